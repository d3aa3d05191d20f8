/**
 * Steady elections: workers that create locks, take over those whose leases have run out, and delete them, every write
 * one that lockwarden is asked about and must allow. Whatever fails is kept with what the API server said.
 */
import { setTimeout as sleep } from 'node:timers/promises';

import type { KubeClient } from '../../../src/kube/client.ts';
import { KubeError } from '../../../src/kube/errors.ts';
import { type JsonObject } from '../../../src/kube/json.ts';
import { microTime, Namespace, withSpec } from '../../kube/support/cluster.ts';

/** A write that failed. */
export interface Failure {
  readonly what: 'create' | 'takeover' | 'delete';
  readonly at: string;
  readonly message: string;
}

/** How much, and how fast. */
export interface LoadOptions {
  readonly workers: number;
  /** Pause of a worker between two writes, in milliseconds. */
  readonly pauseMs: number;
}

/** LIMIT: the shortest lease that guards anything, with the tolerance and a margin, so that takeovers need not wait long. */
const leaseDurationSeconds = 1;
const takeOverAfterMs = 2_500;
/** LIMIT: taken over three times before it is deleted, so most writes are takeovers. */
const takeoversEach = 3;

interface Held {
  readonly name: string;
  object: JsonObject;
  renewedAtMs: number;
  takeovers: number;
}

/** Elections that go on until they are stopped. */
export class Load {
  readonly failures: Failure[] = [];
  /** Writes that went as they should, by what they were. */
  readonly done = { create: 0, takeover: 0, delete: 0 };
  readonly #namespace: Namespace;
  readonly #stopping = new AbortController();
  readonly #working: Promise<void>[];
  #held: Promise<void> | null = null;
  #inFlight = 0;
  #onIdle: () => void = () => undefined;

  constructor(client: KubeClient, namespace: string, options: LoadOptions) {
    this.#namespace = new Namespace(client, namespace);
    this.#working = Array.from({ length: options.workers }, (_, index) => this.#work(index, options.pauseMs));
  }

  get calls(): number {
    return this.done.create + this.done.takeover + this.done.delete;
  }

  /**
   * Runs `act` at a moment when no write is under way: a call that a process has in its hands when it is killed is lost
   * with it, whatever anybody does.
   */
  async between(act: () => void | Promise<void>): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<undefined>();
    this.#held = promise;
    try {
      if (this.#inFlight > 0) {
        await new Promise<void>((idle) => {
          this.#onIdle = idle;
        });
      }
      await act();
    } finally {
      this.#held = null;
      resolve(undefined);
    }
  }

  async stop(): Promise<void> {
    this.#stopping.abort();
    await Promise.all(this.#working);
  }

  async #work(index: number, pauseMs: number): Promise<void> {
    const { signal } = this.#stopping;
    const held: Held[] = [];
    for (let turn = 0; !signal.aborted; turn += 1) {
      // INVARIANT: no `await` between the last look and the count, so that nobody slips in while a write is held off.
      while (this.#held !== null) await this.#held;
      this.#inFlight += 1;
      await this.#turn(held, `w${String(index)}-${String(turn)}`);
      this.#inFlight -= 1;
      if (this.#inFlight === 0) this.#onIdle();
      await sleep(pauseMs, undefined, { signal }).catch(() => undefined);
    }
  }

  /** One write: what has waited longest, or where nothing is due, a new lock. */
  async #turn(held: Held[], name: string): Promise<void> {
    const [oldest] = held;
    const due = oldest !== undefined && performance.now() - oldest.renewedAtMs > takeOverAfterMs;
    if (!due) {
      const spec = { ...promise(name), leaseTransitions: 0 };
      const object = await this.#try('create', () => this.#namespace.post('leases', name, { spec }));
      if (object !== null) held.push({ name, object, renewedAtMs: performance.now(), takeovers: 0 });
      return;
    }
    held.shift();
    if (oldest.takeovers === takeoversEach) {
      await this.#try('delete', () => this.#namespace.delete('leases', oldest.name));
      return;
    }
    oldest.takeovers += 1;
    const taken = withSpec(oldest.object, {
      ...promise(`${name}-takes`),
      leaseTransitions: oldest.takeovers,
    });
    const object = await this.#try('takeover', () => this.#namespace.putWhole('leases', oldest.name, taken));
    if (object !== null) held.push({ ...oldest, object, renewedAtMs: performance.now() });
  }

  async #try<T>(what: Failure['what'], write: () => Promise<T>): Promise<T | null> {
    try {
      const result = await write();
      this.done[what] += 1;
      return result;
    } catch (error) {
      if (!(error instanceof KubeError)) throw error;
      this.failures.push({ what, at: new Date().toISOString(), message: error.message });
      return null;
    }
  }
}

function promise(holderIdentity: string): JsonObject {
  const now = microTime();
  return { holderIdentity, leaseDurationSeconds, acquireTime: now, renewTime: now };
}
