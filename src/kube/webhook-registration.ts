/**
 * Keeps the webhook configuration in the cluster as it is wanted, from registration to removal.
 *
 * The object is read, compared, and written by compare-and-swap on its resource version, so nothing that somebody else
 * writes in between is lost unseen. Afterwards a watch on the one object notices edits and deletion.
 */
import { Backoff, type BackoffOptions } from './backoff.ts';
import type { KubeClient } from './client.ts';
import { KubeError } from './errors.ts';
import { objectAt, stringAt, type JsonObject } from './json.ts';
import { timerSleep, type Logger, type MonotonicClock, type Sleep } from './ports.ts';
import { Watch, type WatchSink } from './watch.ts';
import { configurationName, type WebhookConfiguration } from './webhook-configuration.ts';
import { drift } from './webhook-drift.ts';

/** Surroundings of a registration. */
export interface RegistrationOptions {
  readonly clock: MonotonicClock;
  readonly logger: Logger;
  readonly sleep?: Sleep;
  /** Told whenever the configuration turns out to be registered, or not to be. */
  readonly onChange?: (registered: boolean) => void;
  /** Delays between repairs of an object that somebody else keeps changing, and after failures. */
  readonly backoff?: BackoffOptions;
}

const collection = '/apis/admissionregistration.k8s.io/v1/validatingwebhookconfigurations';
const objectPath = `${collection}/${configurationName}`;

/** LIMIT: as often as two lockwardens that fight over the object should write it: about once in half a minute each. */
const fightCapMs = 30_000;
/** LIMIT: an object that stayed as it is for two caps is not being fought over. */
const quietMs = 2 * fightCapMs;
/** LIMIT: each conflict means that somebody else has written; after five in a row the back-off takes over. */
const conflictsMax = 5;

/** The registration of one configuration. */
export class WebhookRegistration {
  readonly #client: KubeClient;
  readonly #logger: Logger;
  readonly #clock: MonotonicClock;
  readonly #sleep: Sleep;
  readonly #onChange: (registered: boolean) => void;
  readonly #backoff: Backoff;
  readonly #watch: Watch;
  readonly #stopping = new AbortController();
  /** Aborted only when a removal is given up: a write that is under way at the end may still be stored, so it is waited for. */
  readonly #givenUp = new AbortController();
  /** The write under way; resolves whether it succeeds or not. */
  #writing: Promise<unknown> = Promise.resolve();
  #desired: WebhookConfiguration;
  #registered = false;
  #lastRepairAt = -Infinity;
  /** The repair under way, and whether it must look again when it is done. */
  #repairing: Promise<void> | null = null;
  #lookAgain = false;

  constructor(client: KubeClient, desired: WebhookConfiguration, options: RegistrationOptions) {
    this.#client = client;
    this.#desired = desired;
    this.#logger = options.logger;
    this.#clock = options.clock;
    this.#sleep = options.sleep ?? timerSleep;
    this.#onChange = options.onChange ?? ((): void => undefined);
    this.#backoff = new Backoff({ capMs: fightCapMs, ...options.backoff });
    const watched = { path: collection, fieldSelector: `metadata.name=${configurationName}` };
    this.#watch = new Watch(client, watched, this.#sink(), options);
  }

  /** Whether the API server has the configuration, as far as is known. */
  get registered(): boolean {
    return this.#registered;
  }

  /**
   * Writes the configuration where it differs, and from then on puts it back.
   *
   * @throws KubeError; nothing runs then, and it may be called again
   */
  async register(): Promise<void> {
    const written = await this.#apply(this.#stopping.signal);
    this.#logger.info({ configuration: configurationName, written }, 'webhook registered');
    this.#watch.start();
  }

  /** Wants another configuration from now on: a new bundle, other conditions. Same errors as `register`. */
  async change(desired: WebhookConfiguration): Promise<void> {
    // What somebody else has changed is put back, and told, by the watch.
    if (this.#registered && JSON.stringify(desired) === JSON.stringify(this.#desired)) return;
    this.#desired = desired;
    await this.#apply(this.#stopping.signal);
  }

  /** Ends the watch and leaves the configuration where it is. */
  async stop(): Promise<void> {
    this.#stopping.abort();
    await this.#watch.stop();
    await this.#repairing;
    await this.#writing;
  }

  /**
   * Ends the watch and deletes the configuration, unless another lockwarden has replaced it by its own in the meantime.
   *
   * @param signal gives up, with a KubeError `aborted`
   * @throws KubeError
   */
  async remove(signal?: AbortSignal): Promise<void> {
    signal?.addEventListener('abort', () => {
      this.#givenUp.abort();
    });
    if (signal?.aborted === true) this.#givenUp.abort();
    await this.stop();
    for (let conflicts = 0; ; conflicts += 1) {
      const found = await this.#read(signal);
      if (found === null || !this.#isOurs(found)) return;
      try {
        await this.#delete(found, signal);
        return;
      } catch (error) {
        if (!isKind(error, 'conflict') || conflicts === conflictsMax) throw error;
      }
    }
  }

  #sink(): WatchSink {
    const look = (): void => {
      this.#repair();
    };
    const ignore = (): void => undefined;
    return {
      listed: ignore,
      synced: look,
      added: look,
      modified: look,
      deleted: look,
      deletedUnseen: look,
      connected: ignore,
      disconnected: (error, retryInMs) => {
        this.#logger.warn({ reason: error.message, retryInMs }, 'watch of the webhook configuration lost');
      },
    };
  }

  /** Looks at the object and puts it back: one look at a time, and another for what happens meanwhile. */
  #repair(): void {
    this.#lookAgain = true;
    this.#repairing ??= this.#repairLoop(this.#stopping.signal);
  }

  async #repairLoop(signal: AbortSignal): Promise<void> {
    while (this.#lookAgain) {
      this.#lookAgain = false;
      try {
        await this.#repairOnce(signal);
      } catch (error) {
        if (isKind(error, 'aborted')) break;
        this.#found(false);
        this.#lookAgain = true;
        const retryInMs = this.#backoff.nextMs();
        this.#logger.error({ reason: reasonOf(error), retryInMs }, 'webhook configuration not put back');
        await this.#sleep(retryInMs, signal);
      }
    }
    // INVARIANT: no `await` between the last look and here, so whoever asks for another starts a loop of its own.
    this.#repairing = null;
  }

  async #repairOnce(signal: AbortSignal): Promise<void> {
    const changed = this.#changed(await this.#read(signal));
    if (changed.length === 0) {
      this.#found(true);
      return;
    }
    this.#found(false);
    const now = this.#clock.monotonicMs();
    if (now - this.#lastRepairAt > quietMs) this.#backoff.reset();
    // The first repair comes at once; only what is changed again and again has to wait.
    else await this.#sleep(this.#backoff.nextMs(), signal);
    if (signal.aborted) return;
    this.#lastRepairAt = now;
    await this.#apply(signal);
    this.#logger.warn({ configuration: configurationName, changed }, 'webhook configuration put back');
  }

  /** @returns what was written: the paths that differed; empty when nothing had to be */
  async #apply(signal: AbortSignal): Promise<readonly string[]> {
    for (let conflicts = 0; ; conflicts += 1) {
      const found = await this.#read(signal);
      const changed = this.#changed(found);
      try {
        if (changed.length > 0) {
          if (signal.aborted) throw new KubeError('aborted', 'the registration has ended');
          const writing = this.#write(found);
          this.#writing = writing.catch(() => undefined);
          await writing;
        }
        this.#found(true);
        return changed;
      } catch (error) {
        const raced =
          isKind(error, 'conflict') || isKind(error, 'already-exists') || isKind(error, 'not-found');
        if (!raced || conflicts === conflictsMax) throw error;
      }
    }
  }

  #changed(found: JsonObject | null): readonly string[] {
    return found === null ? ['the whole object'] : drift(found, this.#desired);
  }

  async #read(signal?: AbortSignal): Promise<JsonObject | null> {
    try {
      const { body } = await this.#client.request({ method: 'GET', path: objectPath, signal });
      return objectAt({ body }, 'body');
    } catch (error) {
      if (isKind(error, 'not-found')) return null;
      throw error;
    }
  }

  async #write(found: JsonObject | null): Promise<void> {
    const { signal } = this.#givenUp;
    if (found === null) {
      await this.#client.request({
        method: 'POST',
        path: collection,
        query: fieldManager,
        body: this.#desired,
        signal,
      });
      return;
    }
    const metadata = objectAt(found, 'metadata');
    const labels = { ...objectAt(metadata, 'labels'), ...this.#desired.metadata.labels };
    // What others keep in the metadata stays; its resource version makes the write a compare-and-swap.
    const body = { ...this.#desired, metadata: { ...metadata, labels } };
    await this.#client.request({ method: 'PUT', path: objectPath, query: fieldManager, body, signal });
  }

  async #delete(found: JsonObject, signal?: AbortSignal): Promise<void> {
    const metadata = objectAt(found, 'metadata');
    const preconditions = {
      uid: stringAt(metadata, 'uid'),
      resourceVersion: stringAt(metadata, 'resourceVersion'),
    };
    try {
      await this.#client.request({ method: 'DELETE', path: objectPath, body: { preconditions }, signal });
    } catch (error) {
      if (!isKind(error, 'not-found')) throw error;
    }
    this.#found(false);
    this.#logger.info({ configuration: configurationName }, 'webhook removed');
  }

  #found(registered: boolean): void {
    this.#registered = registered;
    this.#onChange(registered);
  }

  /** By its address and bundle: the same name may be another lockwarden's by now. */
  #isOurs(found: JsonObject): boolean {
    return drift(found, this.#desired).every((path) => !path.includes('.clientConfig'));
  }
}

const fieldManager = { fieldManager: 'lockwarden' };

function isKind(error: unknown, kind: KubeError['kind']): boolean {
  return error instanceof KubeError && error.kind === kind;
}

function reasonOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
