/**
 * What a replica does that does not lead, when the configuration has lost the trust in what it serves: it adds what is
 * missing, and takes nothing away. To widen is harmless whoever does it; to wait for a leader, who may just have died,
 * would cost every call until there is another.
 */
import { splitBundle, widened } from '../certs/bundle.ts';
import { messageOf } from '../errors.ts';
import type { KubeClient } from '../kube/client.ts';
import { KubeError } from '../kube/errors.ts';
import { arrayAt, isObject, objectAt, type JsonObject } from '../kube/json.ts';
import type { Logger, MonotonicClock } from '../kube/ports.ts';
import { configurationPath } from '../kube/webhook-configuration.ts';
import { bundlesIn } from './observed-bundle.ts';

/** What a widener needs. */
export interface TrustWidenerOptions {
  readonly client: KubeClient;
  readonly clock: MonotonicClock;
  readonly logger: Logger;
}

/** LIMIT: a leader puts back what was edited within a second; who is slower than this is no leader any more. */
const patienceMs = 2_000;

/** Widens trust, where nobody else does. */
export class TrustWidener {
  readonly #options: TrustWidenerOptions;
  #missingSince: number | null = null;
  #widening: Promise<void> | null = null;

  constructor(options: TrustWidenerOptions) {
    this.#options = options;
  }

  /**
   * Looks at what is trusted, once a second or so.
   *
   * @param missing PEM text of what has to be trusted, where API servers refuse what this replica serves; else null
   * @param nowMs the API server's time
   */
  look(missing: string | null, nowMs: number): void {
    const at = this.#options.clock.monotonicMs();
    if (missing === null || missing === '') {
      this.#missingSince = null;
      return;
    }
    this.#missingSince ??= at;
    if (at - this.#missingSince < patienceMs) return;
    this.#missingSince = at;
    this.#widening ??= this.#widen(missing, nowMs).finally(() => {
      this.#widening = null;
    });
  }

  /** Resolves when nothing is being written. */
  async stop(): Promise<void> {
    await this.#widening;
  }

  async #widen(needed: string, nowMs: number): Promise<void> {
    const { client, logger } = this.#options;
    try {
      const { body } = await client.request({ method: 'GET', path: configurationPath });
      const found = isObject(body) ? body : {};
      const changed = withTrust(found, needed, nowMs);
      if (changed === null) return;
      await client.request({
        method: 'PUT',
        path: configurationPath,
        query: { fieldManager: 'lockwarden' },
        body: changed,
      });
      logger.warn({ authorities: splitBundle(needed).length }, 'trust widened in the place of a leader');
    } catch (error) {
      // Somebody else was faster, or there is nothing to widen: the watch brings what is now.
      if (error instanceof KubeError && (error.kind === 'conflict' || error.kind === 'not-found')) return;
      logger.warn({ reason: messageOf(error) }, 'trust not widened');
    }
  }
}

/** The configuration with `needed` trusted by every entry; null where that is so already. Its version makes it a compare-and-swap. */
function withTrust(configuration: JsonObject, needed: string, nowMs: number): JsonObject | null {
  const bundles = bundlesIn(configuration) ?? [];
  const webhooks = arrayAt(configuration, 'webhooks').map((entry, index) => {
    const caBundle = Buffer.from(widened(needed, [bundles[index] ?? ''], nowMs)).toString('base64');
    return {
      ...objectAt({ entry }, 'entry'),
      clientConfig: { ...objectAt(entry, 'clientConfig'), caBundle },
    };
  });
  return JSON.stringify(webhooks) === JSON.stringify(configuration['webhooks'])
    ? null
    : { ...configuration, webhooks };
}
