/**
 * The end of a guard, in order: who is still asked answers, the switch is awake before nobody is, and whoever leads hands over. A second
 * signal, or the end of the grace period, cuts what is left.
 */
import type { ServeConfig } from '../config.ts';
import { messageOf } from '../errors.ts';
import { timerSleep } from '../kube/ports.ts';
import type { ReadApi } from '../read-api/read-api.ts';
import type { Replica } from '../replica/replica.ts';
import type { Log } from '../review/logger.ts';
import type { DrainTimes, HttpsListener } from '../server/https.ts';
import type { Canary } from './canary.ts';
import type { GuardLease } from './guard-lease.ts';
import type { GuardReviews } from './reviews.ts';
import type { SwitchKeeper } from './switch-keeper.ts';

/** What ends. */
export interface EndingParts {
  readonly canary: Pick<Canary, 'stop'>;
  readonly guardLease: Pick<GuardLease, 'stop' | 'empty'> | null;
  /** Whether anybody was ever told that this one is here. */
  readonly hasBegun: () => boolean;
  readonly replica: Pick<Replica, 'resign' | 'leave' | 'unregister' | 'stop'>;
  readonly switchKeeper: Pick<SwitchKeeper, 'remove'> | null;
  readonly edge: Pick<HttpsListener, 'drain'>;
  readonly readApi: Pick<ReadApi, 'close'> | null;
  readonly reviews: Pick<GuardReviews, 'stop'>;
  /** Whatever ends once nobody asks any more, in any order. */
  readonly others: readonly { stop(): Promise<void> }[];
  readonly log: Pick<Log, 'error'>;
}

/** LIMIT: a service stops sending new connections to a pod within seconds of its becoming unready. */
const settleMs = 5_000;
/** LIMIT: with the registration gone nobody comes any more. */
const settleAloneMs = 200;
/** LIMIT: what can be ended in good order is ended in a tenth of this; the rest waits for an API server that does not answer. */
const hurryMs = 1_000;
/** LIMIT: a call takes two seconds at most, and whoever is called answers for longer than this after SIGTERM. */
const farewellMs = 1_000;

/** Ends once; `hurry` it where somebody is tired of waiting. */
export class Ending {
  readonly #parts: EndingParts;
  readonly #isAlone: boolean;
  readonly #drainTimes: DrainTimes;
  /** Whatever is still waited for is given up. */
  readonly #hurrying = new AbortController();

  constructor(
    { election, shutdownGraceMs }: Pick<ServeConfig, 'election' | 'shutdownGraceMs'>,
    parts: EndingParts,
  ) {
    this.#parts = parts;
    this.#isAlone = election === null;
    const settles = this.#isAlone ? settleAloneMs : settleMs;
    this.#drainTimes = { settleMs: Math.min(shutdownGraceMs, settles), graceMs: shutdownGraceMs };
  }

  /** Ends all; resolves when that is so, or when nothing is waited for any longer. */
  async run(): Promise<void> {
    const { readApi } = this.#parts;
    await Promise.race([Promise.all([readApi?.close(), this.#windUp()]), this.#outOfPatience()]);
  }

  /** Cuts what is left. */
  hurry(): void {
    this.#hurrying.abort();
    void this.#parts.edge.drain(this.#drainTimes);
  }

  /** An API server that hangs may hold it up for long. */
  async #windUp(): Promise<void> {
    const { canary, replica, edge, reviews, others } = this.#parts;
    await canary.stop();
    // The switch is to be awake by the time nobody answers any more: before one that is alone unregisters, and long before others are drained.
    if (this.#isAlone) {
      await this.#wakeSwitch();
      await replica.resign();
      await this.#unregister();
      await edge.drain(this.#drainTimes);
    } else {
      await Promise.all([this.#wakeSwitch(), edge.drain(this.#drainTimes), replica.resign()]);
    }
    // Nobody asks any more: what was folded is told now, or never.
    reviews.stop();
    await Promise.all([replica, ...others].map((part) => part.stop()));
  }

  /** Has the API server stand in, where nobody is left to be asked. An API server that hangs holds it up for a moment only. */
  async #wakeSwitch(): Promise<void> {
    const { guardLease, replica, hasBegun } = this.#parts;
    if (guardLease === null || !hasBegun()) return;
    const signal = AbortSignal.any([this.#hurrying.signal, AbortSignal.timeout(farewellMs)]);
    await guardLease.stop();
    if (await replica.leave(signal)) await guardLease.empty(signal);
  }

  async #unregister(): Promise<void> {
    const { replica, switchKeeper, log } = this.#parts;
    try {
      await replica.unregister(this.#hurrying.signal);
    } catch (error) {
      const reason = messageOf(error);
      const remedy = 'kubectl delete validatingwebhookconfiguration lockwarden';
      log.error({ reason, remedy }, 'webhook configuration not removed');
    }
    try {
      await switchKeeper?.remove(this.#hurrying.signal);
    } catch (error) {
      const reason = messageOf(error);
      const kinds = 'validatingadmissionpolicybindings,validatingadmissionpolicies';
      const remedy = `kubectl delete ${kinds} -l app.kubernetes.io/component=switch`;
      log.error({ reason, remedy }, 'switch not removed');
    }
  }

  /** Resolves when nothing is waited for any longer: a moment after a second `stop`, or after the grace period of a replica. */
  async #outOfPatience(): Promise<void> {
    const isOver = this.#isAlone ? [] : [AbortSignal.timeout(this.#drainTimes.graceMs)];
    await aborted(AbortSignal.any([this.#hurrying.signal, ...isOver]));
    await timerSleep(hurryMs, new AbortController().signal);
  }
}

/** Resolves once `signal` is aborted. */
export function aborted(signal: AbortSignal): Promise<unknown> {
  return new Promise((resolve) => {
    signal.addEventListener('abort', resolve, { once: true });
    if (signal.aborted) resolve(undefined);
  });
}
