/**
 * Keeps the policies of the dead man's switch, and their bindings, in the cluster as they should be, for as long as this replica leads.
 *
 * Each object is read, compared, and written by compare-and-swap on its resource version. A watch on each tells of edits.
 *
 * With manifests the objects are there already, inert, and lockwarden has no right to create them: so whoever deletes them has them
 * deleted for good. A process that is alone makes them, and takes those that it has made away at the end.
 */
import { messageOf } from '../errors.ts';
import { Backoff } from '../kube/backoff.ts';
import { timeoutMsDefault, type KubeClient } from '../kube/client.ts';
import { isKind, KubeError } from '../kube/errors.ts';
import { objectAt, stringAt, type JsonObject } from '../kube/json.ts';
import { persistently } from '../kube/persistently.ts';
import { timerSleep, type Logger, type MonotonicClock, type Sleep } from '../kube/ports.ts';
import { changeSink, Watch, type WatchSink } from '../kube/watch.ts';
import { specDrift } from '../kube/webhook-drift.ts';
import type { Errand, Term } from '../replica/duties.ts';
import { collectionOf, describeObject, isPolicy, nameOf, pathOf } from '../switch/places.ts';
import { inertObjects, isInert } from '../switch/policies.ts';

/** What the keeper of the switch needs. */
export interface SwitchKeeperOptions {
  readonly client: KubeClient;
  readonly clock: MonotonicClock;
  readonly logger: Logger;
  /** Whether the objects live with this process. */
  readonly isAlone: boolean;
  /** The objects that are wanted now, by lockwarden's user name; null: none, yet, and nothing is asked. */
  readonly desired: () => ((username: string) => readonly JsonObject[]) | null;
  readonly sleep?: Sleep;
}

/** LIMIT: what the watches have missed is found within this time. */
const tickMs = 300_000;
/** LIMIT: rights and API servers change about once a month; who grants a right can wait for a minute to see it used. */
const rareMs = 60_000;
/** LIMIT: as often as two who fight over an object should write it: about once in half a minute each. */
const fightCapMs = 30_000;
/** LIMIT: an object that stayed as it is for two caps is not being fought over. */
const quietMs = 2 * fightCapMs;

/** On objects that a process has made, and takes away: the manifests' carry none. */
const madeBy = { 'lockwarden.dev/made-by': 'lockwarden serve' };

const fieldManager = { fieldManager: 'lockwarden' };

/** When to look again, and whether a change is a reason to do so sooner. */
interface Pause {
  readonly ms: number;
  readonly wakes: boolean;
}

const idle: Pause = { ms: tickMs, wakes: true };

/** The keeper of the switch. */
export class SwitchKeeper implements Errand {
  readonly #options: SwitchKeeperOptions;
  readonly #sleep: Sleep;
  readonly #failures = new Backoff();
  readonly #fights = new Backoff({ capMs: fightCapMs });
  #awake = new AbortController();
  /** The terms so far, one after another. */
  #running = Promise.resolve();
  #username: string | null = null;
  /** What the API server is known to have been given, by path, as JSON. */
  readonly #applied = new Map<string, string>();
  #lastRepairAt = -Infinity;
  /** What was told last of a lack that lasts. */
  #told: string | null = null;
  #watches: readonly Watch[] = [];
  /** What was wanted when all was as it should be, as JSON; null: something may have changed in the cluster since. */
  #settled: string | null = null;
  #standsIn = false;

  constructor(options: SwitchKeeperOptions) {
    this.#options = options;
    this.#sleep = options.sleep ?? timerSleep;
  }

  /** Whether all objects were as they should be when they were last looked at, and validate something. */
  get standsIn(): boolean {
    return this.#standsIn;
  }

  /** Something has changed: look now. */
  wake(): void {
    this.#awake.abort();
  }

  /** Goes on until the term ends, and never rejects. */
  run(term: Term): Promise<void> {
    this.#running = this.#running.then(() => this.#keepFor(term));
    return this.#running;
  }

  async #keepFor(term: Term): Promise<void> {
    while (!term.signal.aborted) {
      // INVARIANT: a new controller before the look, so that no change falls between looking and sleeping.
      this.#awake = new AbortController();
      const { ms, wakes } = await this.#look(term);
      await this.#sleep(ms, wakes ? AbortSignal.any([this.#awake.signal, term.signal]) : term.signal);
      if (!this.#awake.signal.aborted) this.#settled = null;
    }
    this.#settled = null;
    const watches = this.#watches;
    this.#watches = [];
    await Promise.all(watches.map((watch) => watch.stop()));
  }

  /**
   * Once `run` has ended: deletes what this process, or another that was alone, has made, bindings first; what manifests have made it leaves
   * inert.
   *
   * @throws KubeError
   */
  async remove(signal: AbortSignal): Promise<void> {
    const { isAlone } = this.#options;
    await this.#running;
    // Whoever was not let read them has made none.
    if (!isAlone || this.#applied.size === 0) return;
    for (const object of inertObjects('').toReversed()) {
      await persistently(async () => {
        const found = await this.#read(object, signal);
        if (found === null) return;
        if (isOfProcess(found)) await this.#delete(found, signal);
        else if (isPolicy(object)) await this.#replace(found, object, timeoutMsDefault);
      }, isRaced);
    }
  }

  async #look(term: Term): Promise<Pause> {
    try {
      const desiredBy = this.#options.desired();
      if (desiredBy === null) return idle;
      const desired = desiredBy(await this.#ownName(term.signal));
      const wanted = JSON.stringify(desired);
      if (wanted === this.#settled) return idle;
      this.#settled = wanted;
      await this.#keepAll(desired, term);
      this.#watch(desired);
      this.#failures.reset();
      return idle;
    } catch (error) {
      this.#settled = null;
      this.#standsIn = false;
      return term.signal.aborted ? { ms: 0, wakes: true } : this.#failed(error);
    }
  }

  /** lockwarden's user name, as the API server has it. */
  async #ownName(signal: AbortSignal): Promise<string> {
    if (this.#username !== null) return this.#username;
    const kind = 'SelfSubjectReview';
    const { body } = await this.#options.client.request({
      method: 'POST',
      path: '/apis/authentication.k8s.io/v1/selfsubjectreviews',
      body: { apiVersion: 'authentication.k8s.io/v1', kind },
      signal,
    });
    const username = stringAt(objectAt(objectAt(body, 'status'), 'userInfo'), 'username');
    if (username === '') throw new KubeError('malformed', 'the API server does not say who this is');
    this.#username = username;
    return username;
  }

  async #keepAll(desired: readonly JsonObject[], term: Term): Promise<void> {
    const written: string[] = [];
    const missing: string[] = [];
    for (const object of desired) {
      const outcome = await persistently(() => this.#keep(object, isInert(desired), term), isRaced);
      if (outcome === 'missing') missing.push(describeObject(object));
      if (outcome === 'written') written.push(describeObject(object));
    }
    if (written.length > 0) this.#options.logger.info({ written }, 'switch written');
    this.#standsIn = missing.length === 0 && !isInert(desired);
    if (missing.length === 0) this.#told = null;
    else this.#tell('switch missing', { missing, reason: missingReason });
  }

  async #keep(object: JsonObject, inert: boolean, term: Term): Promise<'kept' | 'written' | 'missing'> {
    const { isAlone } = this.#options;
    const found = await this.#read(object, term.signal);
    const wanted = JSON.stringify(object);
    if (found === null) {
      this.#applied.delete(pathOf(object));
      // What validates nothing need not be there.
      if (inert) return 'kept';
      if (!isAlone) return 'missing';
      await this.#create(object, this.#timeoutOf(term));
    } else {
      const changed = specDrift(found, object);
      const isEdited = changed.length > 0 && this.#applied.get(pathOf(object)) === wanted;
      if (isEdited) await this.#pace(term.signal);
      if (changed.length > 0) await this.#replace(found, object, this.#timeoutOf(term));
      this.#applied.set(pathOf(object), wanted);
      if (isEdited) this.#options.logger.warn({ object: describeObject(object), changed }, 'switch put back');
      return changed.length > 0 && !isEdited ? 'written' : 'kept';
    }
    this.#applied.set(pathOf(object), wanted);
    return 'written';
  }

  /** For how long a write may go on from now. @throws when this replica may not write any more */
  #timeoutOf(term: Term): number {
    term.guard();
    return Math.min(term.remainingMs(), timeoutMsDefault);
  }

  /** The first repair comes at once; only what is changed again and again has to wait. */
  async #pace(signal: AbortSignal): Promise<void> {
    const now = this.#options.clock.monotonicMs();
    if (now - this.#lastRepairAt > quietMs) this.#fights.reset();
    else await this.#sleep(this.#fights.nextMs(), signal);
    this.#lastRepairAt = now;
  }

  async #read(object: JsonObject, signal: AbortSignal): Promise<JsonObject | null> {
    try {
      const { body } = await this.#options.client.request({ method: 'GET', path: pathOf(object), signal });
      return objectAt({ body }, 'body');
    } catch (error) {
      if (isKind(error, 'not-found') && !isUnserved(error)) return null;
      throw error;
    }
  }

  /** NB: a write that is under way when the term ends may still be stored, so it is waited for. */
  async #replace(found: JsonObject, desired: JsonObject, timeoutMs: number): Promise<void> {
    const metadata = objectAt(found, 'metadata');
    const labels = { ...objectAt(metadata, 'labels'), ...objectAt(objectAt(desired, 'metadata'), 'labels') };
    // What others keep in the metadata stays; its resource version makes the write a compare-and-swap.
    const body = { ...desired, metadata: { ...metadata, labels } };
    const { client } = this.#options;
    await client.request({ method: 'PUT', path: pathOf(desired), query: fieldManager, body, timeoutMs });
  }

  async #create(desired: JsonObject, timeoutMs: number): Promise<void> {
    const body = { ...desired, metadata: { ...objectAt(desired, 'metadata'), annotations: madeBy } };
    const { client } = this.#options;
    await client.request({
      method: 'POST',
      path: collectionOf(desired),
      query: fieldManager,
      body,
      timeoutMs,
    });
  }

  async #delete(found: JsonObject, signal: AbortSignal): Promise<void> {
    const metadata = objectAt(found, 'metadata');
    const preconditions = {
      uid: stringAt(metadata, 'uid'),
      resourceVersion: stringAt(metadata, 'resourceVersion'),
    };
    await this.#options.client.request({
      method: 'DELETE',
      path: pathOf(found),
      body: { preconditions },
      signal,
    });
  }

  #watch(objects: readonly JsonObject[]): void {
    if (this.#watches.length > 0) return;
    const { client, clock, logger } = this.#options;
    // One for each, by name: RBAC grants no list of a few.
    this.#watches = objects.map((object) => {
      const resource = {
        path: collectionOf(object),
        fieldSelector: `metadata.name=${nameOf(object)}`,
      };
      return new Watch(client, resource, this.#sinkOf(object), { clock, logger, sleep: this.#sleep });
    });
    for (const watch of this.#watches) watch.start();
  }

  #sinkOf(object: JsonObject): WatchSink {
    const look = (): void => {
      this.#settled = null;
      this.wake();
    };
    return changeSink(look, (error, retryInMs) => {
      this.#options.logger.warn(
        { object: describeObject(object), reason: error.message, retryInMs },
        'watch of the switch lost',
      );
    });
  }

  #failed(error: unknown): Pause {
    if (isUnserved(error)) {
      this.#tell('switch not available', { reason: unservedReason });
      return { ms: rareMs, wakes: false };
    }
    const reason = messageOf(error);
    if (isKind(error, 'forbidden') || isKind(error, 'invalid')) {
      this.#tell('switch not written', { reason });
      // A right that is missing is missing for every policy; what is taken for wrong may be right once it has changed.
      return { ms: rareMs, wakes: isKind(error, 'invalid') };
    }
    const retryInMs = this.#failures.nextMs(error instanceof KubeError ? error.retryAfterMs : 0);
    this.#options.logger.warn({ reason, retryInMs }, 'switch not written');
    return { ms: retryInMs, wakes: false };
  }

  /** Once, for as long as it lasts. */
  #tell(message: string, fields: JsonObject): void {
    const all = JSON.stringify({ message, fields });
    if (this.#told === all) return;
    this.#told = all;
    this.#options.logger.warn(fields, message);
  }
}

const missingReason =
  'they have been deleted, or are yet to be applied: apply lockwarden’s manifests again to have the API server stand in while lockwarden is down, or serve with --stand-in=false';
const unservedReason =
  'the API server has no ValidatingAdmissionPolicies (Kubernetes 1.30 has): while lockwarden is down, nothing stands in for it';

function isRaced(error: unknown): boolean {
  return (
    isKind(error, 'conflict') ||
    isKind(error, 'already-exists') ||
    (isKind(error, 'not-found') && !isUnserved(error))
  );
}

function isOfProcess(object: JsonObject): boolean {
  const annotations = objectAt(objectAt(object, 'metadata'), 'annotations');
  return Object.entries(madeBy).every(([key, value]) => annotations[key] === value);
}

/** A path that the API server does not know at all: it has no Status to tell of an object. */
function isUnserved(error: unknown): boolean {
  return error instanceof KubeError && error.status === 404 && error.reason === '';
}
