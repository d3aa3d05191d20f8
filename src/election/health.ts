/** Health of an election that may not have begun, in the manner of client-go's HealthzAdaptor. */

/** What can be asked whether it is well; an Elector fits. */
export interface Checkable {
  check(toleranceMs: number): Error | null;
}

/** Made before there is an elector, and asked by a health endpoint at any time. */
export class ElectionHealth {
  readonly name = 'leaderElection';
  readonly #toleranceMs: number;
  #elector: Checkable | null = null;

  /** `toleranceMs`: how much longer than its lease a leader may go without a renewal. */
  constructor(toleranceMs: number) {
    this.#toleranceMs = toleranceMs;
  }

  watch(elector: Checkable): void {
    this.#elector = elector;
  }

  /** Why the process should be restarted, or null. */
  check(): Error | null {
    return this.#elector?.check(this.#toleranceMs) ?? null;
  }
}
