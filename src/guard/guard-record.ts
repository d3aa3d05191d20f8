/**
 * What is written into the guard Lease, and when. Pure: what is stored and what was proven go in, the next record comes out.
 *
 * Every time here is the API server's. A replica's own clock has no part in it, or one that is an hour fast would keep the switch asleep
 * for an hour after its death.
 */
import { microTime, type LeaseRecord } from '../election/record.ts';
import { instantOf } from '../locks/recorded-time.ts';

/** That the API server asked lockwarden at `atMs` or later, as one replica has seen it. */
export interface Renewal {
  /** Name of the replica. */
  readonly by: string;
  /** In Unix milliseconds of the API server; never later than what it tells of. */
  readonly atMs: number;
}

/** For how long nothing told the switch to sleep. In Unix milliseconds of the API server. */
export interface Vigil {
  readonly sinceMs: number;
  readonly untilMs: number;
  /** Whether the last replica had ended in good order, and had said so. */
  readonly orderly: boolean;
}

/** How long the switch sleeps after a proof. LIMIT: three proofs; so one that is late, and one that is lost, wake nobody. */
export const guardSeconds = 10;
/**
 * LIMIT: proofs come every three seconds. A replica renews what it holds at each of them; the others only when it has missed one, so
 * that together they write no more than one, and the Lease stays in one hand. At worst another finds out by its second proof, after seven.
 */
const ownRenewalMs = 2_500;
const othersRenewalMs = 4_000;
/** SOURCE: src/switch/expressions.ts: a renew time that lies further ahead than this puts nobody to sleep. */
const aheadMaxMs = 10_000;

/** The record of a Lease that nobody has renewed: the switch is awake. */
export const neverRenewed: LeaseRecord = {
  holder: '',
  durationSeconds: guardSeconds,
  acquireTime: '',
  renewTime: '',
  transitions: 0,
};

/**
 * What to write over `stored` (null: there is no Lease) for a renewal; null: nothing, since what is stored is as good.
 *
 * INVARIANT: the renew time never moves back: a proof that is older than what is stored adds nothing. But for a time that lies ahead of
 * the API server's clock, which is one of before that clock was set back: it would keep the switch awake until the clock has caught up.
 *
 * @param nowMs the API server's time, at the latest
 */
export function renewed(stored: LeaseRecord | null, renewal: Renewal, nowMs: number): LeaseRecord | null {
  return stored === null || isDue(stored, renewal, nowMs) ? claimed(stored, renewal) : null;
}

/** As an election has it: whoever goes on keeps the time of the beginning, whoever takes over counts one more. */
function claimed(stored: LeaseRecord | null, { by, atMs }: Renewal): LeaseRecord {
  const now = microTime(atMs);
  const claim = { ...neverRenewed, holder: by, acquireTime: now, renewTime: now };
  if (stored === null) return claim;
  const { holder, acquireTime, transitions } = stored;
  return holder === by ? { ...claim, acquireTime, transitions } : { ...claim, transitions: transitions + 1 };
}

function isDue(stored: LeaseRecord, { by, atMs }: Renewal, nowMs: number): boolean {
  const renewedMs = instantOf(stored.renewTime);
  if (renewedMs === null || renewedMs > nowMs + aheadMaxMs) return true;
  const isWhole = stored.holder !== '' && stored.durationSeconds === guardSeconds;
  if (!isWhole) return atMs > renewedMs;
  return atMs - renewedMs >= (stored.holder === by ? ownRenewalMs : othersRenewalMs);
}

/**
 * What to write when nobody is left to be asked: nobody holds it, and the renew time says since when. Null: that is so already.
 * NB: the duration stays, so that what is written differs from a renewal in one thing alone.
 */
export function emptied(stored: LeaseRecord | null, atMs: number): LeaseRecord | null {
  if (stored?.holder === '') return null;
  const record = stored ?? neverRenewed;
  const renewTime =
    record.renewTime === '' ? '' : microTime(Math.max(atMs, instantOf(record.renewTime) ?? 0));
  return { ...record, holder: '', renewTime };
}

/** What a Lease that is gone is made anew as: what was last known of it, and what has been proven since. */
export function remade(last: LeaseRecord | null, proof: Renewal | null): LeaseRecord {
  if (proof === null || proof.atMs <= (instantOf(last?.renewTime ?? '') ?? -Infinity))
    return last ?? neverRenewed;
  return claimed(last, proof);
}

/** For how long the switch stood watch before a renewal; null: not at all, or it cannot be told. */
export function vigilBefore(stored: LeaseRecord | null, { atMs }: Renewal): Vigil | null {
  const renewedMs = stored === null ? null : instantOf(stored.renewTime);
  if (stored === null || renewedMs === null) return null;
  const orderly = stored.holder === '';
  const sinceMs = orderly ? renewedMs : renewedMs + stored.durationSeconds * 1000;
  return sinceMs < atMs ? { sinceMs, untilMs: atMs, orderly } : null;
}
