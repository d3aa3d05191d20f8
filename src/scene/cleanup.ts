/** What has been opened and must be closed again, the last first, however far things got. */
export class Cleanup {
  readonly #actions: (() => unknown)[] = [];

  /** Remembers to do `action` at the end. */
  add(action: () => unknown): void {
    this.#actions.push(action);
  }

  /** Does everything once, even where something fails, and then throws the first failure. */
  async run(): Promise<void> {
    const failures: unknown[] = [];
    for (let action = this.#actions.pop(); action !== undefined; action = this.#actions.pop()) {
      try {
        await action();
      } catch (error) {
        failures.push(error);
      }
    }
    if (failures.length > 0) throw failures[0];
  }
}
