/**
 * The webhook configuration in the hands of whoever leads: registered with the bundle that holds, kept as it should be
 * for one term, and left where it is at the end.
 */
import { splitBundle } from '../certs/bundle.ts';
import type { KubeClient } from '../kube/client.ts';
import type { Logger, MonotonicClock } from '../kube/ports.ts';
import type { WebhookConfiguration } from '../kube/webhook-configuration.ts';
import { WebhookRegistration } from '../kube/webhook-registration.ts';

/** What a registrar needs. */
export interface RegistrarOptions {
  readonly client: KubeClient;
  readonly clock: MonotonicClock;
  readonly logger: Logger;
  /** The configuration that is wanted now, with a bundle (PEM text). */
  readonly desired: (caBundle: string) => WebhookConfiguration;
  /** For how long a write may go on from now, in milliseconds; throws when this replica may not write any more. */
  readonly beforeWrite: () => number;
  readonly onChange: (registered: boolean) => void;
}

/** Registers, for one term. */
export class Registrar {
  readonly #options: RegistrarOptions;
  #registration: WebhookRegistration | null = null;
  #registered = false;
  /** The bundle that was written last. */
  #published: string | null = null;

  constructor(options: RegistrarOptions) {
    this.#options = options;
  }

  /** Has the configuration carry `caBundle` from now on. @throws KubeError; then it may be called again */
  async publish(caBundle: string): Promise<void> {
    const before = this.#published;
    await this.#reconfigure(caBundle);
    this.#published = caBundle;
    if (before !== null && before !== caBundle)
      this.#options.logger.info({ authorities: splitBundle(caBundle).length }, 'trust published');
  }

  /** Brings the configuration up to date with what is wanted now. */
  async #reconfigure(caBundle: string): Promise<void> {
    const { client, desired, clock, logger, beforeWrite, onChange } = this.#options;
    const wanted = desired(caBundle);
    if (this.#registration === null) {
      this.#registration = new WebhookRegistration(client, wanted, { clock, logger, beforeWrite, onChange });
    } else await this.#registration.change(wanted);
    if (this.#registered) return;
    await this.#registration.register();
    this.#registered = true;
  }

  /** Has the configuration looked at, and put back where it differs. */
  look(): void {
    this.#registration?.look();
  }

  /** Ends, and leaves the configuration where it is. */
  async stop(): Promise<void> {
    await this.#registration?.stop();
  }

  /** Ends, and deletes the configuration. @throws KubeError */
  async remove(signal: AbortSignal): Promise<void> {
    await this.#registration?.remove(signal);
  }
}
