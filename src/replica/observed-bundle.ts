/**
 * What the API servers are told to trust, as far as this replica can see: the bundles in the webhook configuration. No
 * API server says what it has taken in, so the configuration and the time since it changed stand for that.
 */
import type { MonotonicMs } from '../core/time.ts';
import { arrayAt, objectAt, stringAt, type JsonObject } from '../kube/json.ts';
import type { MonotonicClock } from '../kube/ports.ts';

/** The bundles that are in effect. */
export interface ObservedBundles {
  /** PEM text of each entry of the configuration; null: no entry exists, so no call can come. */
  readonly bundles: readonly string[] | null;
  /** For how long exactly these have been seen, in milliseconds. */
  readonly ageMs: number;
}

/** Keeps account of the bundles over time. */
export class BundleObserver {
  readonly #clock: MonotonicClock;
  #seen: { readonly bundles: readonly string[] | null; readonly at: MonotonicMs } | null = null;

  constructor(clock: MonotonicClock) {
    this.#clock = clock;
  }

  /** The configuration as it is now; null: there is none. */
  observe(configuration: JsonObject | null): void {
    const bundles = bundlesIn(configuration);
    if (this.#seen !== null && JSON.stringify(bundles) === JSON.stringify(this.#seen.bundles)) return;
    this.#seen = { bundles, at: this.#clock.monotonicMs() };
  }

  /** What is in effect; null as long as nothing has been seen. */
  get observed(): ObservedBundles | null {
    if (this.#seen === null) return null;
    return { bundles: this.#seen.bundles, ageMs: this.#clock.monotonicMs() - this.#seen.at };
  }
}

/** The bundles of a configuration's entries; null where it has none. */
export function bundlesIn(configuration: JsonObject | null): readonly string[] | null {
  const bundles = arrayAt(configuration, 'webhooks').map((entry) =>
    Buffer.from(stringAt(objectAt(entry, 'clientConfig'), 'caBundle'), 'base64').toString('utf8'),
  );
  return bundles.length === 0 ? null : bundles;
}
