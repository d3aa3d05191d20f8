/**
 * How fast an election goes, and for how long a renewal makes leadership certain.
 *
 * A leader may count on its lease from the moment it *sent* a renewal: others count from when they saw it, which is
 * later. It stops in time when it stops within the lease, less a margin, from there, whenever the answer came.
 */
import { LockwardenError } from '../errors.ts';

/** The three durations of client-go, in milliseconds. */
export interface Timing {
  /** How long others wait after the last renewal that they saw. Written in whole seconds, rounded down; at least 1 s. */
  readonly leaseDurationMs: number;
  /** For how long a leader goes on trying to renew before it gives up. */
  readonly renewDeadlineMs: number;
  /** The pause between tries; a candidate's is drawn from one to 2.2 times this, so that candidates spread. */
  readonly retryPeriodMs: number;
}

/** SOURCE: https://github.com/kubernetes/component-base/blob/v0.36.3/config/v1alpha1/defaults.go */
export const timingDefault: Timing = {
  leaseDurationMs: 15_000,
  renewDeadlineMs: 10_000,
  retryPeriodMs: 2_000,
};

/** SOURCE: https://github.com/kubernetes/client-go/blob/v0.36.3/tools/leaderelection/leaderelection.go (JitterFactor) */
export const jitterFactor = 1.2;
/**
 * LIMIT: clocks of machines that run in NTP's hands differ in rate by 0.05 %, when they are being corrected by some
 * percent; a twentieth of the lease covers both.
 */
const marginRatio = 1 / 20;
/** LIMIT: as client-go: half the renew deadline leaves a second try to a request that hangs, and no try is shorter than this. */
const requestTimeoutMinMs = 1_000;

/** What the machine goes by. Durations are in milliseconds. */
export interface Rules {
  readonly identity: string;
  /** As written into the Lease. */
  readonly leaseDurationSeconds: number;
  readonly renewDeadlineMs: number;
  readonly retryPeriodMs: number;
  /** How long a single request may take. */
  readonly requestTimeoutMs: number;
  /** For how long leadership is certain from the sending of a renewal that succeeded. */
  readonly certainMs: number;
  /** Whether the lease is given back when leadership ends. */
  readonly releases: boolean;
}

/** Who elects, and whether it gives the lease back. */
export interface Candidacy {
  readonly identity: string;
  readonly releases: boolean;
}

/** The rules that follow from a `timing` that `checkTiming` and `checkWritten` let pass. */
export function rulesOf(timing: Timing, candidacy: Candidacy): Rules {
  const { leaseDurationMs, renewDeadlineMs, retryPeriodMs } = timing;
  const leaseDurationSeconds = Math.floor(leaseDurationMs / 1000);
  const lastsMs = leaseDurationSeconds * 1000 - marginOf(timing);
  return {
    ...candidacy,
    leaseDurationSeconds,
    renewDeadlineMs,
    retryPeriodMs,
    requestTimeoutMs: Math.max(requestTimeoutMinMs, renewDeadlineMs / 2),
    certainMs: Math.min(retryPeriodMs + renewDeadlineMs, lastsMs),
  };
}

/**
 * What is risky about `timing` although it is allowed, in one sentence, or null.
 *
 * Lockwarden's leaders stop in time whatever the durations. client-go's count from the answer: without this room, two
 * of them lead at once as soon as a single answer takes a moment.
 */
export function riskOf(timing: Timing): string | null {
  const { leaseDurationMs, renewDeadlineMs, retryPeriodMs } = timing;
  const neededMs = renewDeadlineMs + retryPeriodMs + marginOf(timing);
  const writtenMs = Math.floor(leaseDurationMs / 1000) * 1000;
  if (writtenMs >= neededMs) return null;
  return `a lease of ${writtenMs} ms leaves its leader less time to renew than the renew deadline and the retry period promise; make it at least ${Math.ceil(neededMs / 1000)} s`;
}

function marginOf({ leaseDurationMs }: Timing): number {
  return Math.ceil(leaseDurationMs * marginRatio);
}

/**
 * What client-go checks, in its order.
 *
 * @throws LockwardenError `UsageInvalid`
 */
export function checkTiming({ leaseDurationMs, renewDeadlineMs, retryPeriodMs }: Timing): void {
  // NB: with NaN every comparison is false, so each is written to hold when all is well.
  check(leaseDurationMs > renewDeadlineMs, 'the lease duration must be longer than the renew deadline');
  check(
    renewDeadlineMs > retryPeriodMs * jitterFactor,
    `the renew deadline must be longer than ${jitterFactor} times the retry period`,
  );
  check(leaseDurationMs > 0, 'the lease duration must be positive');
  check(renewDeadlineMs > 0, 'the renew deadline must be positive');
  check(retryPeriodMs > 0, 'the retry period must be positive');
}

/**
 * What client-go leaves to the API server, or to luck.
 *
 * @throws LockwardenError `UsageInvalid`
 */
export function checkWritten({ leaseDurationMs, renewDeadlineMs }: Timing): void {
  const writtenMs = Math.floor(leaseDurationMs / 1000) * 1000;
  // SOURCE: leaseDurationSeconds must be positive, and is an int32:
  // https://github.com/kubernetes/kubernetes/blob/v1.36.3/pkg/apis/coordination/validation/validation.go
  check(writtenMs >= 1000, 'the lease duration must be at least a second: a Lease counts in seconds');
  check(writtenMs < 2 ** 31 * 1000, 'the lease duration must fit into 31 bits of seconds');
  check(
    writtenMs > renewDeadlineMs,
    'the lease duration must be longer than the renew deadline in whole seconds, which is what a Lease counts in',
  );
}

/** @throws LockwardenError `UsageInvalid` unless `holds` */
export function check(holds: boolean, message: string): void {
  if (!holds) throw new LockwardenError('UsageInvalid', message);
}
