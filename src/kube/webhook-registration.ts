/**
 * Keeps the webhook configuration in the cluster as it is wanted, from registration to removal.
 *
 * The object is read, compared, and written by compare-and-swap on its resource version, so nothing that somebody else
 * writes in between is lost unseen. Afterwards a watch on the one object notices edits and deletion.
 */
import { messageOf } from '../errors.ts';
import { Backoff, type BackoffOptions } from './backoff.ts';
import { timeoutMsDefault, type KubeClient } from './client.ts';
import { isKind, KubeError } from './errors.ts';
import { persistently } from './persistently.ts';
import { objectAt, stringAt, type JsonObject } from './json.ts';
import { timerSleep, type Logger, type MonotonicClock, type Sleep } from './ports.ts';
import { changeSink, Watch, type WatchSink } from './watch.ts';
import {
  configurationName,
  configurationPath,
  configurationsPath,
  type WebhookConfiguration,
} from './webhook-configuration.ts';
import { drift } from './webhook-drift.ts';

/** Surroundings of a registration. */
export interface RegistrationOptions {
  readonly clock: MonotonicClock;
  readonly logger: Logger;
  readonly sleep?: Sleep;
  /** Told whenever the configuration turns out to be registered, or not to be. */
  readonly onChange?: (registered: boolean) => void;
  /**
   * Called right before each write: says for how long it may go on, in milliseconds, or stops it by throwing. For a leader
   * that may have ceased to be one, or may cease to be one while the write is under way.
   */
  readonly beforeWrite?: () => number;
  /** Delays between repairs of an object that somebody else keeps changing, and after failures. */
  readonly backoff?: BackoffOptions;
}

/** LIMIT: as often as two lockwardens that fight over the object should write it: about once in half a minute each. */
const fightCapMs = 30_000;
/** LIMIT: an object that stayed as it is for two caps is not being fought over. */
const quietMs = 2 * fightCapMs;
/** LIMIT: who has granted this right should not wait longer than this to see it used; one refusal in ten seconds costs nobody anything. */
const createRefusedMs = 10_000;

/**
 * The configuration does not exist, and who runs lockwarden has not granted it the right to create one. That is a decision and not a
 * failure: it has been deleted by somebody, or is yet to be applied. The watch tells when it is there.
 */
export class ConfigurationMissing extends KubeError {
  constructor(cause: KubeError) {
    super(
      'forbidden',
      `the ValidatingWebhookConfiguration \`${configurationName}\` does not exist: apply lockwarden’s manifests again to have locks guarded, or let it create one (${cause.message})`,
      {
        reason: cause.reason,
        missing: cause.missing,
        cause,
        ...(cause.status !== null && { status: cause.status }),
      },
    );
  }
}

/** The registration of one configuration. */
export class WebhookRegistration {
  readonly #client: KubeClient;
  readonly #logger: Logger;
  readonly #clock: MonotonicClock;
  readonly #sleep: Sleep;
  readonly #onChange: (registered: boolean) => void;
  readonly #beforeWrite: () => number;
  readonly #backoff: Backoff;
  readonly #watch: Watch;
  readonly #stopping = new AbortController();
  /** Aborted only when a removal is given up: a write that is under way at the end may still be stored, so it is waited for. */
  readonly #givenUp = new AbortController();
  /** The write under way; resolves whether it succeeds or not. */
  #writing: Promise<unknown> = Promise.resolve();
  #desired: WebhookConfiguration;
  /** What the API server is known to have been given; null: nothing yet. Lags behind what is wanted while a write fails. */
  #applied: WebhookConfiguration | null = null;
  #registered = false;
  /** Whether it is put back: from the end of `register` on. */
  #kept = false;
  #lastRepairAt = -Infinity;
  /** That it could not be created, and when that was tried. */
  #missing: { readonly error: ConfigurationMissing; readonly at: number } | null = null;
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
    this.#beforeWrite = options.beforeWrite ?? ((): number => timeoutMsDefault);
    this.#backoff = new Backoff({ capMs: fightCapMs, ...options.backoff });
    const watched = { path: configurationsPath, fieldSelector: `metadata.name=${configurationName}` };
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
    this.#kept = true;
    this.#watch.start();
  }

  /**
   * Looks at the configuration, and puts it back where it differs: for whoever notices that it is not in effect, which the watch may
   * have missed. Does nothing before `register` and after `stop`.
   */
  look(): void {
    if (this.#kept && !this.#stopping.signal.aborted) this.#repair();
  }

  /** Wants another configuration from now on: a new bundle, other conditions. Same errors as `register`. */
  async change(desired: WebhookConfiguration): Promise<void> {
    this.#desired = desired;
    // What somebody else has changed is put back, and told, by the watch.
    if (this.#registered && JSON.stringify(desired) === JSON.stringify(this.#applied)) return;
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
    await persistently(
      async () => {
        const found = await this.#read(signal);
        if (found !== null && this.#isOurs(found)) await this.#delete(found, signal);
      },
      (error) => isKind(error, 'conflict'),
    );
  }

  #sink(): WatchSink {
    return changeSink(
      () => {
        this.#repair();
      },
      (error, retryInMs) => {
        this.#logger.warn({ reason: error.message, retryInMs }, 'watch of the webhook configuration lost');
      },
    );
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
        this.#found(null);
        if (error instanceof ConfigurationMissing) continue;
        this.#lookAgain = true;
        const retryInMs = this.#backoff.nextMs();
        this.#logger.error({ reason: messageOf(error), retryInMs }, 'webhook configuration not put back');
        await this.#sleep(retryInMs, signal);
      }
    }
    // INVARIANT: no `await` between the last look and here, so whoever asks for another starts a loop of its own.
    this.#repairing = null;
  }

  async #repairOnce(signal: AbortSignal): Promise<void> {
    const desired = this.#desired;
    const changed = differences(await this.#read(signal), desired);
    if (changed.length === 0) {
      this.#found(desired);
      return;
    }
    this.#found(null);
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
  #apply(signal: AbortSignal): Promise<readonly string[]> {
    const isRaced = (error: unknown): boolean =>
      isKind(error, 'conflict') || isKind(error, 'already-exists') || isKind(error, 'not-found');
    return persistently(async () => {
      const desired = this.#desired;
      const found = await this.#read(signal);
      const changed = differences(found, desired);
      if (changed.length > 0) {
        if (signal.aborted) throw new KubeError('aborted', 'the registration has ended');
        const timeoutMs = Math.min(this.#beforeWrite(), timeoutMsDefault);
        const writing = this.#write(found, desired, timeoutMs);
        this.#writing = writing.catch(() => undefined);
        await writing;
      }
      this.#found(desired);
      return changed;
    }, isRaced);
  }

  async #read(signal?: AbortSignal): Promise<JsonObject | null> {
    try {
      const { body } = await this.#client.request({ method: 'GET', path: configurationPath, signal });
      return objectAt({ body }, 'body');
    } catch (error) {
      if (isKind(error, 'not-found')) return null;
      throw error;
    }
  }

  async #write(found: JsonObject | null, desired: WebhookConfiguration, timeoutMs: number): Promise<void> {
    const { signal } = this.#givenUp;
    if (found === null) {
      await this.#create(desired, signal, timeoutMs);
      return;
    }
    this.#missing = null;
    const metadata = objectAt(found, 'metadata');
    const labels = { ...objectAt(metadata, 'labels'), ...desired.metadata.labels };
    // What others keep in the metadata stays; its resource version makes the write a compare-and-swap.
    const body = { ...desired, metadata: { ...metadata, labels } };
    await this.#client.request({
      method: 'PUT',
      path: configurationPath,
      query: fieldManager,
      body,
      signal,
      timeoutMs,
    });
  }

  /** @throws ConfigurationMissing; told once, and for a while without asking again */
  async #create(body: WebhookConfiguration, signal: AbortSignal, timeoutMs: number): Promise<void> {
    const at = this.#clock.monotonicMs();
    if (this.#missing !== null && at - this.#missing.at < createRefusedMs) throw this.#missing.error;
    try {
      await this.#client.request({
        method: 'POST',
        path: configurationsPath,
        query: fieldManager,
        body,
        signal,
        timeoutMs,
      });
      this.#missing = null;
    } catch (error) {
      if (!(error instanceof KubeError) || error.missing?.verb !== 'create') throw error;
      const missing = new ConfigurationMissing(error);
      if (this.#missing === null)
        this.#logger.error({ reason: missing.message }, 'webhook configuration missing');
      this.#missing = { error: missing, at };
      throw missing;
    }
  }

  async #delete(found: JsonObject, signal?: AbortSignal): Promise<void> {
    const metadata = objectAt(found, 'metadata');
    const preconditions = {
      uid: stringAt(metadata, 'uid'),
      resourceVersion: stringAt(metadata, 'resourceVersion'),
    };
    try {
      await this.#client.request({
        method: 'DELETE',
        path: configurationPath,
        body: { preconditions },
        signal,
      });
    } catch (error) {
      if (!isKind(error, 'not-found')) throw error;
    }
    this.#found(null);
    this.#logger.info({ configuration: configurationName }, 'webhook removed');
  }

  /** The API server has this configuration, or (null) not the one that it should have. */
  #found(configuration: WebhookConfiguration | null): void {
    this.#applied = configuration ?? this.#applied;
    this.#registered = configuration !== null;
    this.#onChange(this.#registered);
  }

  /**
   * By its address and bundle: the same name may be another lockwarden's by now. What was wanted last may have been stored
   * though nobody said so, or never.
   */
  #isOurs(found: JsonObject): boolean {
    return [this.#desired, this.#applied ?? this.#desired].some((ours) =>
      drift(found, ours).every((path) => !path.includes('.clientConfig')),
    );
  }
}

function differences(found: JsonObject | null, desired: WebhookConfiguration): readonly string[] {
  return found === null ? ['the whole object'] : drift(found, desired);
}

const fieldManager = { fieldManager: 'lockwarden' };
