/**
 * Leader election on a Lease, for any program that has @kubernetes/client-node.
 *
 *     const lock = leaseLock({ api: kubeConfig, namespace: 'default', name: 'my-controller', identity });
 *     const elector = new Elector({ lock, onStartedLeading: (term) => reconcileUntil(term), onStoppedLeading: () => {} });
 *     await elector.run(signal);
 *
 * The contract is client-go's, case by case (docs/election-parity.md), with deadlines that hold. A Lease still excludes
 * nobody by itself: a process may stall between looking and writing. So each write that matters is made right after
 * `term.guard()`, and with a precondition (a resource version, or `term.fence`) that a late one fails.
 */
import { systemClock, type Clock } from '../clock.ts';
import { messageOf } from '../errors.ts';
import { stringAt, objectAt } from '../kube/json.ts';
import type { Logger } from '../kube/ports.ts';
import { LeaseConflict, type Patience } from './lease-lock.ts';
import { step } from './machine.ts';
import { durationsIn, processLog, timerSleep, type ElectionEnd, type ElectorOptions } from './options.ts';
import type { StoredLease } from './record.ts';
import { certainForMs, heldSinceMs, initialState, type Effect, type Event, type Instant } from './state.ts';
import { NotLeading, type Term } from './term.ts';
import { check, checkTiming, checkWritten, riskOf, rulesOf, timingDefault, type Rules } from './timing.ts';

export {
  LeaseConflict,
  leaseLock,
  type ElectionLock,
  type LeaseClient,
  type LeaseLockOptions,
  type Patience,
} from './lease-lock.ts';
export type { LeaseRecord, StoredLease } from './record.ts';
export { NotLeading, type Term } from './term.ts';
export { ElectionHealth } from './health.ts';
export type { ElectionEnd, ElectionEvent, ElectionMetrics, ElectorOptions } from './options.ts';

/** An event before its time and chance are drawn. */
type Happening = Event extends infer E ? (E extends Event ? Omit<E, 'at' | 'random'> : never) : never;
/** What a request brought. */
type Answered =
  | { readonly type: 'read'; readonly stored: StoredLease | null }
  | { readonly type: 'written'; readonly stored: StoredLease };

/** One candidate of one election. It runs once, as in client-go: make another to stand again. */
export class Elector {
  /** Of the election, for metrics and health. */
  readonly name: string;
  readonly #options: ElectorOptions;
  readonly #rules: Rules;
  readonly #log: Logger;
  readonly #clock: Clock;
  readonly #finished = Promise.withResolvers<undefined>();
  readonly #queue: Event[] = [];
  readonly #callbacks = new Set<Promise<void>>();
  #state = initialState;
  #isRunning = false;
  #isHandling = false;
  #isEnding = false;
  #isBroken = false;
  #end: ElectionEnd | null = null;
  #term: {
    readonly handle: Term;
    readonly controller: AbortController;
    readonly work: Promise<void>;
  } | null = null;
  #request = new AbortController();
  #wake = new AbortController();

  /** @throws LockwardenError `UsageInvalid` */
  constructor(options: ElectorOptions) {
    const timing = { ...timingDefault, ...durationsIn(options) };
    checkTiming(timing);
    // NB: the types say so too, and bind nobody who writes JavaScript.
    check(typeof options.onStartedLeading === 'function', 'onStartedLeading must be a function');
    check(typeof options.onStoppedLeading === 'function', 'onStoppedLeading must be a function');
    check((options.lock as unknown) != null, 'the elector needs a lock');
    const { identity } = options.lock;
    check(identity !== '', 'the identity of the lock must not be empty');
    checkWritten(timing);
    this.#options = options;
    this.#rules = rulesOf(timing, { identity, releases: options.releaseOnStop ?? true });
    this.#log = options.log ?? processLog;
    this.#clock = options.clock ?? systemClock();
    this.name = options.name ?? options.lock.name;
    const risk = riskOf(timing);
    if (risk !== null) this.#log.warn({ ...this.#lock, risk }, 'election timing is risky');
    this.#port(() => this.#options.metrics?.leaderOff(this.name));
  }

  /** Whether this process leads, for certain, now. To act on it is `term.guard()`'s business. */
  get isLeader(): boolean {
    return this.#certainMs() > 0;
  }

  /** Who led when the Lease was last seen; null: nobody, or not known yet. For information only. */
  get leader(): string | null {
    const holder = this.#state.observed?.stored.record.holder ?? '';
    return holder === '' ? null : holder;
  }

  /**
   * Null while all is well, as it is for a standby. An error when this process has held the lease for longer than it
   * lasts, by more than `toleranceMs`, without renewing it: then something hangs, and the process should be restarted.
   */
  check(toleranceMs: number): Error | null {
    const heldMs = heldSinceMs(this.#rules, this.#state, this.#now());
    const limitMs = this.#rules.leaseDurationSeconds * 1000 + toleranceMs;
    if (heldMs === null || heldMs <= limitMs) return null;
    return new Error(
      `the lease of the election \`${this.name}\` could not be renewed for ${Math.round(heldMs)} ms`,
    );
  }

  /**
   * Stands for election, leads, and ends: when `signal` aborts, the lease is lost, or a callback throws. Resolves, with
   * how it ended, when the guarded work is over and the lease given back.
   *
   * @throws LockwardenError `UsageInvalid` when it has run before
   */
  async run(signal: AbortSignal): Promise<ElectionEnd> {
    check(!this.#isRunning, 'an elector runs once; make another to stand again');
    this.#isRunning = true;
    const onAbort = (): void => {
      this.#stop('stopped');
    };
    signal.addEventListener('abort', onAbort, { once: true });
    try {
      this.#log.info({ ...this.#lock }, 'standing for election');
      if (signal.aborted) onAbort();
      else this.#happen({ type: 'started' });
      await this.#finished.promise;
      while (this.#callbacks.size > 0) await Promise.all(this.#callbacks);
      return this.#end ?? 'stopped';
    } finally {
      signal.removeEventListener('abort', onAbort);
      this.#port(() => {
        this.#options.lock.close();
      });
    }
  }

  get #lock(): { readonly lock: string; readonly identity: string } {
    const { namespace, name, identity } = this.#options.lock;
    return { lock: `${namespace}/${name}`, identity };
  }

  #now(): Instant {
    // NB: in this order, a pause between the two makes leadership look shorter, never longer.
    const monotonicMs = this.#clock.monotonicMs();
    return { monotonicMs, wallMs: this.#clock.wallMs() };
  }

  #certainMs(): number {
    return certainForMs(this.#rules, this.#state, this.#now());
  }

  #stop(why: ElectionEnd): void {
    this.#end ??= why;
    this.#happen({ type: 'stopped' });
  }

  /** NB: ports are called in here and may call back, so what happens meanwhile waits for its turn. */
  #happen(what: Happening): void {
    if (this.#isBroken) return;
    try {
      const random = (this.#options.random ?? Math.random)();
      this.#queue.push({ ...what, at: this.#now(), random });
      if (this.#isHandling) return;
      this.#isHandling = true;
      for (let event = this.#queue.shift(); event !== undefined; event = this.#queue.shift()) {
        const { state, effects } = step(this.#rules, this.#state, event);
        this.#state = state;
        for (const effect of effects) this.#perform(effect);
      }
      this.#isHandling = false;
    } catch (error) {
      this.#break(error);
    }
  }

  /** A clock, a log or a defect has thrown: what is known of the election may be wrong. The lease is left to run out. */
  #break(error: unknown): void {
    if (this.#isBroken) return;
    this.#isBroken = true;
    this.#term?.controller.abort(new NotLeading(this.name, 'over'));
    this.#wake.abort();
    this.#request.abort();
    void (this.#isEnding ? Promise.resolve() : this.#windUp()).then(() => {
      this.#finished.reject(error);
    });
  }

  #perform(effect: Effect): void {
    const { lock, metrics, onNewLeader } = this.#options;
    switch (effect.type) {
      case 'read':
        this.#ask(effect, async (patience) => ({ type: 'read', stored: await lock.read(patience) }));
        break;
      case 'create':
        this.#ask(effect, async (patience) => ({
          type: 'written',
          stored: await lock.create(effect.record, patience),
        }));
        break;
      case 'replace':
        this.#ask(effect, async (patience) => ({
          type: 'written',
          stored: await lock.replace(effect.stored, effect.record, patience),
        }));
        break;
      case 'cancel':
        this.#request.abort();
        break;
      case 'wake':
        this.#arrange(effect.afterMs);
        break;
      case 'leader':
        this.#log.info({ ...this.#lock, leader: effect.identity }, 'leader changed');
        if (onNewLeader !== undefined) {
          void this.#call(() => onNewLeader(effect.identity === '' ? null : effect.identity));
        }
        break;
      case 'lead':
        this.#lead(effect.fence);
        break;
      case 'end':
        this.#conclude(effect.why);
        break;
      case 'slowpath':
        this.#port(() => metrics?.slowpathExercised(this.name));
        break;
      case 'finish':
        this.#finished.resolve(undefined);
        break;
    }
  }

  #ask(
    { id, timeoutMs }: { readonly id: number; readonly timeoutMs: number },
    send: (patience: Patience) => Promise<Answered>,
  ): void {
    const request = new AbortController();
    this.#request = request;
    void send({ timeoutMs, signal: request.signal }).then(
      (answer) => {
        this.#happen({ ...answer, id });
      },
      (error: unknown) => {
        const conflict = error instanceof LeaseConflict;
        if (!conflict && !request.signal.aborted) {
          const reason = messageOf(error);
          this.#port(() => {
            this.#log.warn({ ...this.#lock, reason }, 'lease request failed');
          });
        }
        this.#happen({ type: 'failed', id, conflict });
      },
    );
  }

  #arrange(afterMs: number | null): void {
    this.#wake.abort();
    if (afterMs === null) return;
    const wake = new AbortController();
    this.#wake = wake;
    const { sleep = timerSleep } = this.#options;
    void sleep(afterMs, wake.signal).then(
      () => {
        if (!wake.signal.aborted) this.#happen({ type: 'woke' });
      },
      (error: unknown) => {
        this.#break(error);
      },
    );
  }

  #lead(fence: number): void {
    this.#log.info({ ...this.#lock, fence }, 'became leader');
    this.#port(() => this.#options.metrics?.leaderOn(this.name));
    this.#record('became leader');
    const controller = new AbortController();
    const handle = this.#termOf(fence, controller.signal);
    const work = this.#call(() => this.#options.onStartedLeading(handle));
    this.#term = { handle, controller, work };
  }

  #termOf(fence: number, signal: AbortSignal): Term {
    const remainingMs = (): number => (signal.aborted ? 0 : this.#certainMs());
    return {
      signal,
      fence,
      remainingMs,
      guard: (needMs = this.#rules.requestTimeoutMs) => {
        const leftMs = remainingMs();
        if (leftMs > 0 && leftMs >= needMs) return;
        // Whatever took the certainty away, the election should hear of it before its timer does.
        if (leftMs === 0 && !signal.aborted) this.#happen({ type: 'doubted' });
        throw new NotLeading(this.name, signal.aborted ? 'over' : 'uncertain');
      },
    };
  }

  #conclude(why: 'stopped' | 'lost'): void {
    this.#end ??= why;
    const term = this.#term;
    this.#log.info({ ...this.#lock, why: this.#end, led: term !== null }, 'candidacy ended');
    if (term !== null) {
      this.#port(() => this.#options.metrics?.leaderOff(this.name));
      this.#record('stopped leading');
      term.controller.abort(new NotLeading(this.name, 'over'));
    }
    void this.#windUp().then(() => {
      this.#happen({ type: 'concluded' });
    });
  }

  /** Resolves when nothing that the lease guards goes on any more. */
  async #windUp(): Promise<void> {
    this.#isEnding = true;
    await this.#term?.work;
    await this.#call(() => this.#options.onStoppedLeading());
  }

  /** Calls back, never from within a step. The promise never rejects. */
  #call(callback: () => unknown): Promise<void> {
    const called = Promise.resolve()
      .then(callback)
      .then(
        () => undefined,
        (error: unknown) => {
          this.#tell(error);
          this.#stop('failed');
        },
      )
      .finally(() => this.#callbacks.delete(called));
    this.#callbacks.add(called);
    return called;
  }

  /** Calls a port that leadership does not depend on. */
  #port(call: () => unknown): void {
    void new Promise((resolve) => {
      resolve(call());
    }).catch((error: unknown) => {
      this.#tell(error);
    });
  }

  #tell(error: unknown): void {
    try {
      const { onError } = this.#options;
      if (onError !== undefined) onError(error);
      else this.#log.error({ ...this.#lock, reason: String(error) }, 'election callback failed');
    } catch {
      // Who is to be told of errors has failed, too: there is nobody left to tell.
    }
  }

  #record(what: string): void {
    const { lock, recordEvent } = this.#options;
    const metadata = objectAt(this.#state.observed?.stored.object, 'metadata');
    const regarding = {
      apiVersion: 'coordination.k8s.io/v1',
      kind: 'Lease',
      namespace: lock.namespace,
      name: lock.name,
      uid: stringAt(metadata, 'uid'),
      resourceVersion: stringAt(metadata, 'resourceVersion'),
    } as const;
    const message = `${lock.identity} ${what}`;
    this.#port(() => recordEvent?.({ type: 'Normal', reason: 'LeaderElection', message, regarding }));
  }
}
