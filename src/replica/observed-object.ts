/**
 * One object of the cluster as it is now: its latest state, kept by a watch, and whoever is to be told of changes.
 */
import type { KubeClient } from '../kube/client.ts';
import type { JsonObject } from '../kube/json.ts';
import type { Logger, MonotonicClock, Sleep } from '../kube/ports.ts';
import type { WatchedObject } from '../kube/resource.ts';
import { Watch } from '../kube/watch.ts';

/** Which object. `collection` is the path of its collection, of its namespace where it has one. */
export interface ObjectPlace {
  readonly collection: string;
  readonly name: string;
}

/** Surroundings of an observed object. */
export interface ObservedObjectOptions {
  readonly client: KubeClient;
  readonly clock: MonotonicClock;
  readonly logger: Logger;
  /** What the object is, for the log: `webhook configuration`. */
  readonly what: string;
  /** Told after each change, and once when it is known whether the object exists. */
  readonly onChange: () => void;
  readonly sleep?: Sleep;
}

/** The latest state of one object. */
export class ObservedObject {
  readonly #watch: Watch;
  readonly #onChange: () => void;
  #latest: WatchedObject | null = null;
  #known = false;

  constructor(place: ObjectPlace, options: ObservedObjectOptions) {
    this.#onChange = options.onChange;
    const { client, clock, logger, what, sleep } = options;
    const resource = { path: place.collection, fieldSelector: `metadata.name=${place.name}` };
    const take = (object: WatchedObject): void => {
      this.#take(object);
    };
    this.#watch = new Watch(
      client,
      resource,
      {
        listed: (objects) => {
          for (const object of objects) this.#latest = object;
        },
        synced: () => {
          this.#known = true;
          this.#onChange();
        },
        added: take,
        modified: take,
        deleted: () => {
          this.#take(null);
        },
        // NB: told by a list, which may go on to show another object of the name: `synced` tells of both.
        deletedUnseen: () => {
          this.#latest = null;
        },
        connected: () => undefined,
        disconnected: (error, retryInMs) => {
          logger.warn({ object: what, reason: error.message, retryInMs }, 'watch of an object interrupted');
        },
      },
      { clock, logger, ...(sleep === undefined ? {} : { sleep }) },
    );
  }

  /** Whether it is known if the object exists. It stays known when the watch is lost: what was last seen counts. */
  get known(): boolean {
    return this.#known;
  }

  /** The object as last seen; null: it does not exist, or nothing is known yet. */
  get object(): JsonObject | null {
    return this.#latest?.object ?? null;
  }

  /** Of the object as last seen; empty where there is none. */
  get resourceVersion(): string {
    return this.#latest?.resourceVersion ?? '';
  }

  start(): void {
    this.#watch.start();
  }

  async stop(): Promise<void> {
    await this.#watch.stop();
  }

  #take(object: WatchedObject | null): void {
    this.#latest = object;
    this.#onChange();
  }
}
