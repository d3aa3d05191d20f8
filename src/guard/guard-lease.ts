/**
 * The guard Lease: as long as it is renewed, the API server knows that lockwarden is asked, and the switch sleeps. Each replica renews it
 * on its own proofs and on nothing else, so that it runs out whatever it is that breaks between the API server and lockwarden.
 *
 * Several replicas write one object, so each write replaces what was read and nothing else (a compare-and-swap on the resource version).
 * A patch would be one request less, but two replicas that patch at once could move the renew time back, and one that was asleep could
 * write long after the last replica had emptied the Lease. What the watch shows spares the reading of a Lease that another has renewed.
 */
import { LeaseConflict, leaseLock, type ElectionLock, type Patience } from '../election/lease-lock.ts';
import { recordOf, type LeaseRecord } from '../election/record.ts';
import { messageOf } from '../errors.ts';
import type { MonotonicMs, Interval } from '../core/time.ts';
import type { KubeClient } from '../kube/client.ts';
import { persistently } from '../kube/persistently.ts';
import { timerSleep, type Logger, type MonotonicClock, type Sleep } from '../kube/ports.ts';
import { ObservedObject } from '../replica/observed-object.ts';
import type { GuardLeaseMetrics } from '../server/metrics.ts';
import { guardLeaseName } from '../switch/policies.ts';
import type { CanaryProof } from './canary.ts';
import { emptied, remade, renewed, vigilBefore, type Renewal, type Vigil } from './guard-record.ts';

/** What a guard Lease needs. */
export interface GuardLeaseOptions {
  readonly client: KubeClient;
  /** lockwarden's own. */
  readonly namespace: string;
  /** Of this replica. */
  readonly name: string;
  readonly clock: MonotonicClock;
  /** Bounds on the API server's time, in Unix milliseconds; null: not known. */
  readonly serverTimeAt: (at: MonotonicMs) => Interval | null;
  readonly metrics: GuardLeaseMetrics;
  readonly logger: Logger;
  readonly sleep?: Sleep;
  /** Told when the switch sleeps again after it stood watch. */
  readonly onVigil: (vigil: Vigil) => void;
}

/** LIMIT: a proof is renewed well before the switch wakes by it, though one request hangs. */
const timeoutMs = 2_000;
/** LIMIT: what failed without a proof to come is tried again as soon as one with a proof would be. */
const retryMs = 3_000;
/** LIMIT: a conflict means that another replica has renewed, or that somebody edits labels; the next proof is seconds away. */
const conflictsMax = 2;

const isConflict = (error: unknown): boolean => error instanceof LeaseConflict;

/** The guard Lease as one replica keeps it. `start` it, tell it each proof; `stop` it, and `empty` it where nobody is left. */
export class GuardLease {
  readonly #options: GuardLeaseOptions;
  readonly #lock: ElectionLock;
  readonly #observed: ObservedObject;
  readonly #stopping = new AbortController();
  #proof: Renewal | null = null;
  /** What was last known to be stored. It outlives the object, so that a Lease that is deleted comes back as it was. */
  #last: LeaseRecord | null = null;
  #running: Promise<void> | null = null;
  #awake = new AbortController();
  #failing = false;

  constructor(options: GuardLeaseOptions) {
    const { client, namespace, name, clock, logger, sleep } = options;
    this.#options = options;
    this.#lock = leaseLock({
      api: client,
      namespace,
      name: guardLeaseName,
      identity: name,
      labels: { 'app.kubernetes.io/managed-by': 'lockwarden' },
    });
    const collection = `/apis/coordination.k8s.io/v1/namespaces/${encodeURIComponent(namespace)}/leases`;
    this.#observed = new ObservedObject(
      { collection, name: guardLeaseName },
      {
        ...{ client, clock, logger, what: `lease/${guardLeaseName}`, ...(sleep !== undefined && { sleep }) },
        onChange: () => {
          this.#changed();
        },
      },
    );
  }

  start(): void {
    if (this.#stopping.signal.aborted) return;
    this.#observed.start();
    this.#running ??= this.#run(this.#stopping.signal);
  }

  /** The API server has asked lockwarden. */
  proven({ serverAt, sentAt }: CanaryProof): void {
    const { name, serverTimeAt } = this.#options;
    // Whole seconds would cost up to one of the ten. What does not lie in that second is known less well than it seems.
    const finer = serverTimeAt(sentAt)?.min ?? serverAt;
    const atMs = finer > serverAt && finer < serverAt + 1_000 ? finer : serverAt;
    this.#proof = { by: name, atMs };
    this.#awake.abort();
  }

  /** Ends: nothing is written any more. What is stored stays, and runs out unless another replica renews it. */
  async stop(): Promise<void> {
    this.#stopping.abort();
    this.#awake.abort();
    await Promise.all([this.#running, this.#observed.stop()]);
  }

  /** Wakes the switch: after `stop`, where nobody is left to be asked. Never rejects. */
  async empty(signal: AbortSignal): Promise<void> {
    const { clock, serverTimeAt, logger } = this.#options;
    // There is none, and never was: nothing to empty, and nobody to wake.
    const never = this.#last === null && this.#observed.known;
    if (never || this.#last?.holder === '') return;
    const atMs = serverTimeAt(clock.monotonicMs())?.min ?? 0;
    try {
      await persistently(
        async () => {
          const stored = await this.#lock.read({ timeoutMs, signal });
          const record = emptied(stored?.record ?? this.#last, atMs);
          if (record === null) return;
          await this.#write(stored, record, { timeoutMs, signal });
          logger.info({}, 'switch awake');
        },
        isConflict,
        conflictsMax,
      );
    } catch (error) {
      logger.warn({ lease: guardLeaseName, reason: messageOf(error) }, 'guard lease not emptied');
    }
  }

  #changed(): void {
    const { known, object } = this.#observed;
    if (object !== null) this.#last = recordOf(object['spec']);
    else if (known) this.#awake.abort();
  }

  get #isGone(): boolean {
    return this.#observed.known && this.#observed.object === null;
  }

  /** The API server's time, at the latest. */
  get #latestMs(): number {
    const { clock, serverTimeAt } = this.#options;
    return serverTimeAt(clock.monotonicMs())?.max ?? Infinity;
  }

  async #run(signal: AbortSignal): Promise<void> {
    const { sleep = timerSleep } = this.#options;
    while (!signal.aborted) {
      // INVARIANT: a new controller before anything is looked at, so that no proof falls between writing and sleeping.
      this.#awake = new AbortController();
      await this.#tend(signal);
      await sleep(retryMs, this.#awake.signal);
    }
  }

  /** Never rejects. */
  async #tend(signal: AbortSignal): Promise<void> {
    const { logger, metrics } = this.#options;
    try {
      await persistently(() => this.#keep({ timeoutMs, signal }), isConflict, conflictsMax);
      this.#failing = false;
    } catch (error) {
      if (signal.aborted) return;
      metrics.failures.inc();
      // One line for an outage.
      if (!this.#failing)
        logger.warn({ lease: guardLeaseName, reason: messageOf(error) }, 'guard lease not kept');
      this.#failing = true;
    }
  }

  /** Makes the Lease where there is none, and renews it where a proof is newer than what is stored. */
  async #keep(patience: Patience): Promise<void> {
    const proof = this.#proof;
    const isDue = proof !== null && renewed(this.#last, proof, this.#latestMs) !== null;
    if (!isDue && !this.#isGone) return;
    const stored = await this.#lock.read(patience);
    const before = stored?.record ?? this.#last;
    const record =
      stored === null
        ? remade(this.#last, proof)
        : proof === null
          ? null
          : renewed(stored.record, proof, this.#latestMs);
    if (record === null) this.#last = before;
    else {
      await this.#write(stored, record, patience);
      this.#tell(before, record, proof);
    }
  }

  async #write(
    stored: Awaited<ReturnType<ElectionLock['read']>>,
    record: LeaseRecord,
    patience: Patience,
  ): Promise<void> {
    const { logger } = this.#options;
    // NB: asked before, since the watch may show what is written before it is answered.
    const isBack = stored === null && this.#last !== null;
    const written =
      stored === null
        ? await this.#lock.create(record, patience)
        : await this.#lock.replace(stored, record, patience);
    if (isBack) logger.info({ lease: guardLeaseName }, 'guard lease made anew');
    this.#last = written.record;
  }

  #tell(before: LeaseRecord | null, { holder, renewTime }: LeaseRecord, proof: Renewal | null): void {
    const { metrics, logger, onVigil, name } = this.#options;
    if (proof === null || holder !== name || renewTime === before?.renewTime) return;
    metrics.renewals.inc();
    if (before === null || before.renewTime === '') logger.info({}, 'switch asleep');
    const vigil = vigilBefore(before, proof);
    if (vigil !== null) onVigil(vigil);
  }
}
