/**
 * The decision with its surroundings: looks up what is known, decides, asks the one question that may be asked, and
 * remembers what an allowed write implies. Nothing else on the admission path waits for anything.
 */
import { canarySettings, type IsCanary } from '../core/canary.ts';
import { decide } from '../core/decide.ts';
import type { Decision } from '../core/decision.ts';
import type { PodRef, PodState } from '../core/facts.ts';
import type { LockRef, LockWrite } from '../core/lock.ts';
import type { Settings } from '../core/settings.ts';
import type { MonotonicMs } from '../core/time.ts';
import type { LockMemories } from './lock-memories.ts';

/** What a judge needs from outside. */
export interface JudgePorts {
  readonly memories: LockMemories;
  readonly monotonicNow: () => MonotonicMs;
  /** The settings in force for a lock; null: not judged at all. Synchronous: policies are cached. */
  readonly settingsFor: (lock: LockRef) => Settings | null;
  /** Attempts on lockwarden's own canary, which is judged whatever `settingsFor` says. Default: nothing is. */
  readonly isCanary?: IsCanary;
  /**
   * Whether a pod still runs. Bounded in time and number by whoever implements it; any doubt is `unknown`.
   * Must not reject; if it does, that counts as `unknown`.
   */
  readonly podState: (pod: PodRef) => Promise<Exclude<PodState, 'unasked'>>;
  /** Told of each decision but those about the canary, and how long it took, in milliseconds. */
  readonly onJudged?: (write: LockWrite, decision: Decision, tookMs: number) => void;
}

/** Judges one write after another. */
export class Judge {
  readonly #ports: JudgePorts;

  constructor(ports: JudgePorts) {
    this.#ports = ports;
  }

  /** The decision about `write`, or null where no settings cover its lock. At once, but where there is a question to ask. */
  judge(write: LockWrite): Decision | null | Promise<Decision> {
    const { memories, monotonicNow, settingsFor, isCanary, onJudged } = this.#ports;
    const isOfCanary = isCanary?.(write) === true;
    const settings = isOfCanary ? canarySettings : settingsFor(write.lock);
    if (settings === null) return null;
    const at = monotonicNow();
    const facts = memories.factsFor(write, at);
    const conclude = (decision: Decision): Decision => {
      if (decision.effect !== null) memories.admitted(write.lock, decision.effect, at);
      if (!isOfCanary) onJudged?.(write, decision, monotonicNow() - at);
      return decision;
    };
    const decision = decide(write, facts, settings);
    if (decision.question === null) return conclude(decision);
    return this.#ask(decision.question).then((holderPodState) =>
      conclude(decide(write, { ...facts, bindings: { ...facts.bindings, holderPodState } }, settings)),
    );
  }

  async #ask(pod: PodRef): Promise<Exclude<PodState, 'unasked'>> {
    try {
      return await this.#ports.podState(pod);
    } catch {
      return 'unknown';
    }
  }
}
