/** Objects that were made on a cluster and must go again. */
import type { KubeClient } from '../../kube/client.ts';
import { KubeError } from '../../kube/errors.ts';

/** What was made, the last of which goes first. */
export class Created {
  readonly #admin: KubeClient;
  readonly #paths: string[] = [];

  constructor(admin: KubeClient) {
    this.#admin = admin;
  }

  /** Remembers a path at which nobody else can have put anything; whether anything will be there does not matter. */
  claim(path: string): void {
    this.#paths.push(path);
  }

  /** Makes something, and remembers it by its path, unless the API server says that it was not made. */
  async make<T>(path: string, work: () => Promise<T>): Promise<T> {
    // NB: what is made although its answer is lost must go too.
    this.#paths.push(path);
    try {
      return await work();
    } catch (error) {
      if (error instanceof KubeError && error.status !== null) this.#paths.pop();
      throw error;
    }
  }

  /** As `make`, but leaves alone what is there already; returns whether it was made. */
  async makeIfAbsent(path: string, work: () => Promise<unknown>): Promise<boolean> {
    try {
      await this.make(path, work);
      return true;
    } catch (error) {
      if (error instanceof KubeError && error.kind === 'already-exists') return false;
      throw error;
    }
  }

  /** Removes everything, and returns the paths of what could not be removed. */
  async removeAll(): Promise<readonly string[]> {
    const left: string[] = [];
    for (let path = this.#paths.pop(); path !== undefined; path = this.#paths.pop()) {
      try {
        await this.#admin.request({
          method: 'DELETE',
          path,
          body: { apiVersion: 'v1', kind: 'DeleteOptions', gracePeriodSeconds: 0 },
        });
      } catch (error) {
        const isGone = error instanceof KubeError && error.kind === 'not-found';
        if (!isGone) left.push(path);
      }
    }
    return left;
  }
}
