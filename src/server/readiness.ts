/** What must hold before lockwarden may be called. */
export type ReadinessCondition = 'certificate' | 'caches' | 'webhook' | 'serving';

/**
 * What is worth telling beside the conditions, and never makes the process unready. A path from the API server to lockwarden that is blocked
 * is the same for all replicas: if they became unready for it, the Service would lose its endpoints, and a bundle or a policy
 * that is easily put right would have become an outage.
 */
export type ReadinessDetail = 'election' | 'webhook' | 'canary';

/** One condition as it stands; `why` is a clause that follows its name (`not registered: ...`). */
export interface ReadinessState {
  readonly name: ReadinessCondition;
  readonly ready: boolean;
  readonly why: string;
}

/** One detail as it stands. */
export interface DetailState {
  readonly name: ReadinessDetail;
  readonly fine: boolean;
  readonly why: string;
}

/** Whether lockwarden is ready: all of its conditions, each set by whoever knows. */
export class Readiness {
  readonly #states = new Map<ReadinessCondition, ReadinessState>();
  readonly #details = new Map<ReadinessDetail, DetailState>();

  /** @param conditions what is required; none of it holds yet */
  constructor(conditions: readonly ReadinessCondition[]) {
    for (const name of conditions) this.#states.set(name, { name, ready: false, why: 'not ready yet' });
  }

  /** Sets a condition; one that is not required here is ignored. */
  set(name: ReadinessCondition, ready: boolean, why = ready ? 'ok' : 'not ready'): void {
    if (this.#states.has(name)) this.#states.set(name, { name, ready, why });
  }

  /** Sets a detail, which is shown from then on. */
  tell(name: ReadinessDetail, fine: boolean, why: string): void {
    this.#details.set(name, { name, fine, why });
  }

  get ready(): boolean {
    return this.states().every((state) => state.ready);
  }

  /** All conditions, in the order in which they were required. */
  states(): readonly ReadinessState[] {
    return [...this.#states.values()];
  }

  /** All details, in the order in which they were first told. */
  details(): readonly DetailState[] {
    return [...this.#details.values()];
  }
}
