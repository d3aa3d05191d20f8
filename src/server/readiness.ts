/** What must hold before lockwarden may be called. */
export type ReadinessCondition = 'certificate' | 'caches' | 'webhook' | 'serving';

/** One condition as it stands; `why` is a clause that follows its name (`not registered: ...`). */
export interface ReadinessState {
  readonly name: ReadinessCondition;
  readonly ready: boolean;
  readonly why: string;
}

/** Whether lockwarden is ready: all of its conditions, each set by whoever knows. */
export class Readiness {
  readonly #states = new Map<ReadinessCondition, ReadinessState>();

  /** @param conditions what is required; none of it holds yet */
  constructor(conditions: readonly ReadinessCondition[]) {
    for (const name of conditions) this.#states.set(name, { name, ready: false, why: 'not ready yet' });
  }

  /** Sets a condition; one that is not required here is ignored. */
  set(name: ReadinessCondition, ready: boolean, why = ready ? 'ok' : 'not ready'): void {
    if (this.#states.has(name)) this.#states.set(name, { name, ready, why });
  }

  get ready(): boolean {
    return this.states().every((state) => state.ready);
  }

  /** All conditions, in the order in which they were required. */
  states(): readonly ReadinessState[] {
    return [...this.#states.values()];
  }
}
