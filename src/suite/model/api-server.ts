/**
 * A model of what an API server does with the writes to one lock: it decodes, stamps, asks, stores, and tells the watch. Virtual
 * time: nothing waits. test/conformance compares it with a real one.
 */
import type { AdmissionRequest } from '../../admission/review.ts';
import type { AdmissionReviewResponse } from '../../admission/response.ts';
import type { LockRef } from '../../core/lock.ts';
import { at, listAt, textAt, isObject, type JsonObject } from '../../locks/json.ts';
import { apiVersionOf, kinds, secondTime } from '../lock-object.ts';
import { managedFieldsFor } from './managed-fields.ts';
import { mergePatch } from './merge-patch.ts';
import { ApiRejection, rejected } from './rejection.ts';
import { sameJson } from './same.ts';
import { typedObject } from './typed.ts';

/** Who sends a request. */
export interface Caller {
  readonly userInfo: AdmissionRequest['userInfo'];
  readonly fieldManager: string;
}

/** A request for admission, as webhooks are sent it. */
export type Review = Readonly<Record<string, unknown>>;

/** What the model needs from its surroundings. */
export interface ApiServerPorts {
  /** Unix milliseconds. */
  readonly nowMs: () => number;
  /** Asks the webhooks that want the request; an empty list: none does. */
  readonly admit: (review: Review) => Promise<readonly AdmissionReviewResponse['response'][]>;
  /** The watch: an object as it is now, or as it last was. */
  readonly onEvent: (type: 'ADDED' | 'MODIFIED' | 'DELETED', object: JsonObject) => void;
}

/** What a request came to. */
export interface Handled {
  readonly status: number;
  readonly message: string;
  /** What the webhooks answered, each. */
  readonly responses: readonly AdmissionReviewResponse['response'][];
}

/** The API server, as far as it concerns one lock. */
export class ApiServerModel {
  readonly #lock: LockRef;
  readonly #ports: ApiServerPorts;
  #stored: JsonObject | null = null;
  #revision = 0;
  #created = 0;
  #reviews = 0;

  constructor(lock: LockRef, ports: ApiServerPorts) {
    this.#lock = lock;
    this.#ports = ports;
  }

  /** The object as it is stored; null: there is none. */
  get object(): JsonObject | null {
    return this.#stored;
  }

  /** POST. */
  create(body: JsonObject, caller: Caller): Promise<Handled> {
    return this.#handle(async () => {
      const object = this.#prepared(null, body, caller);
      const responses = await this.#admit('CREATE', object, null, caller);
      if (isRefused(responses)) return responses;
      // NB: webhooks are asked before the name is found to be taken.
      if (this.#stored !== null) throw rejected(409, `${this.#name} already exists`);
      this.#store('ADDED', object);
      return responses;
    });
  }

  /** PUT. */
  replace(body: JsonObject, caller: Caller): Promise<Handled> {
    return this.#update(() => body, caller);
  }

  /** PATCH with a JSON merge patch. */
  merge(patch: JsonObject, caller: Caller): Promise<Handled> {
    return this.#update((live) => mergePatch(live, patch), caller);
  }

  /** DELETE. An object with finalizers stays, with a deletion that has begun. */
  delete(caller: Caller): Promise<Handled> {
    return this.#handle(async () => {
      const live = this.#existing();
      const responses = await this.#admit('DELETE', null, live, caller);
      if (isRefused(responses)) return responses;
      if (listAt(live, 'metadata', 'finalizers').length > 0) this.#begin(live);
      else this.#remove(live);
      return responses;
    });
  }

  #update(change: (live: JsonObject) => JsonObject, caller: Caller): Promise<Handled> {
    return this.#handle(async () => {
      const live = this.#existing();
      const object = this.#prepared(live, change(live), caller);
      const responses = await this.#admit('UPDATE', object, live, caller);
      if (isRefused(responses)) return responses;
      const isTerminating = textAt(live, 'metadata', 'deletionTimestamp') !== '';
      if (isTerminating && listAt(object, 'metadata', 'finalizers').length === 0) this.#remove(object);
      else if (!sameJson(live, object)) this.#store('MODIFIED', object);
      return responses;
    });
  }

  async #handle(work: () => Promise<Handled['responses']>): Promise<Handled> {
    try {
      const responses = await work();
      const refusal = responses.find(({ allowed }) => !allowed)?.status;
      if (refusal === undefined) return { status: 200, message: '', responses };
      const message = `admission webhook denied the request: ${refusal.message}`;
      return { status: refusal.code, message, responses };
    } catch (error) {
      if (!(error instanceof ApiRejection)) throw error;
      return { status: error.status, message: error.message, responses: [] };
    }
  }

  #existing(): JsonObject {
    if (this.#stored === null) throw rejected(404, `${this.#name} not found`);
    return this.#stored;
  }

  /** The object as it is to be stored: typed, with the metadata that only the API server writes, and stamped. */
  #prepared(live: JsonObject | null, body: JsonObject, { fieldManager }: Caller): JsonObject {
    const { kind } = this.#lock;
    const typed = typedObject(kind, body);
    const metadata = at(typed, 'metadata');
    const given: JsonObject = isObject(metadata) ? metadata : {};
    if (live !== null) this.#requireSame(live, given);
    const owned = live === null ? this.#newMetadata() : ownedMetadata(live);
    const object = { ...typed, metadata: { ...without(given, serverFields), ...owned } };
    const writer = { manager: fieldManager, apiVersion: apiVersionOf(kind), nowMs: this.#ports.nowMs() };
    const stamps = managedFieldsFor(live, withStamps(object, given['managedFields']), writer);
    const stamped = withStamps(object, stamps.length === 0 ? undefined : stamps);
    // What differs in nothing but the time of a stamp is no change.
    return live !== null && sameButForTimes(live, stamped)
      ? withStamps(stamped, at(live, 'metadata', 'managedFields'))
      : stamped;
  }

  #requireSame(live: JsonObject, given: JsonObject): void {
    const { resourceVersion, uid, name } = given;
    const conflict = (field: string, value: unknown): boolean =>
      value !== undefined && value !== textAt(live, 'metadata', field);
    if (name !== this.#lock.name) throw rejected(400, 'the name of the object is not that of the request');
    if (conflict('uid', uid) || conflict('resourceVersion', resourceVersion)) {
      throw rejected(409, `${this.#name}: the object has been modified`);
    }
  }

  #newMetadata(): JsonObject {
    this.#created += 1;
    return {
      uid: `00000000-0000-4000-8000-${String(this.#created).padStart(12, '0')}`,
      creationTimestamp: secondTime(this.#ports.nowMs()),
    };
  }

  #store(type: 'ADDED' | 'MODIFIED', object: JsonObject): void {
    this.#revision += 1;
    this.#stored = withMetadata(object, { resourceVersion: String(this.#revision) });
    this.#ports.onEvent(type, this.#stored);
  }

  #remove(object: JsonObject): void {
    this.#stored = null;
    this.#revision += 1;
    this.#ports.onEvent('DELETED', withMetadata(object, { resourceVersion: String(this.#revision) }));
  }

  #begin(live: JsonObject): void {
    if (textAt(live, 'metadata', 'deletionTimestamp') !== '') return;
    const deletionTimestamp = secondTime(this.#ports.nowMs());
    this.#store('MODIFIED', withMetadata(live, { deletionTimestamp, deletionGracePeriodSeconds: 0 }));
  }

  #admit(
    operation: 'CREATE' | 'UPDATE' | 'DELETE',
    object: JsonObject | null,
    oldObject: JsonObject | null,
    { userInfo, fieldManager }: Caller,
  ): Promise<Handled['responses']> {
    const { kind, namespace, name } = this.#lock;
    const { group, version, resource } = kinds[kind];
    this.#reviews += 1;
    return this.#ports.admit({
      uid: `10000000-0000-4000-8000-${String(this.#reviews).padStart(12, '0')}`,
      kind: { group, version, kind },
      resource: { group, version, resource },
      name,
      namespace,
      operation,
      userInfo,
      object,
      oldObject,
      dryRun: false,
      options: { apiVersion: 'meta.k8s.io/v1', kind: optionsKind[operation], fieldManager },
    });
  }

  get #name(): string {
    return `${kinds[this.#lock.kind].resource} "${this.#lock.name}"`;
  }
}

const optionsKind = { CREATE: 'CreateOptions', UPDATE: 'UpdateOptions', DELETE: 'DeleteOptions' };

/** Metadata that a writer cannot change. */
const serverFields = [
  ...['uid', 'creationTimestamp', 'resourceVersion', 'generation', 'selfLink', 'managedFields'],
  ...['deletionTimestamp', 'deletionGracePeriodSeconds'],
];

function ownedMetadata(live: JsonObject): JsonObject {
  const metadata = at(live, 'metadata');
  const kept = [
    'uid',
    'creationTimestamp',
    'resourceVersion',
    'deletionTimestamp',
    'deletionGracePeriodSeconds',
  ];
  return isObject(metadata)
    ? Object.fromEntries(Object.entries(metadata).filter(([key]) => kept.includes(key)))
    : {};
}

function withMetadata(object: JsonObject, more: JsonObject): JsonObject {
  const metadata = at(object, 'metadata');
  return { ...object, metadata: { ...(isObject(metadata) ? metadata : {}), ...more } };
}

/** NB: an object that is not tracked has no list at all, not an empty one. */
function withStamps(object: JsonObject, managedFields: unknown): JsonObject {
  const metadata = at(object, 'metadata');
  const rest = without(isObject(metadata) ? metadata : {}, ['managedFields']);
  const isAbsent = managedFields === undefined || managedFields === null;
  return { ...object, metadata: isAbsent ? rest : { ...rest, managedFields } };
}

function without(object: JsonObject, keys: readonly string[]): JsonObject {
  return Object.fromEntries(Object.entries(object).filter(([key]) => !keys.includes(key)));
}

function sameButForTimes(a: JsonObject, b: JsonObject): boolean {
  // NB: in nearly all writes the contents differ, which is found out quickly.
  return (
    sameJson(a['spec'], b['spec']) &&
    sameJson(withStamps(a, undefined), withStamps(b, undefined)) &&
    sameJson(timeless(a), timeless(b))
  );
}

function timeless(object: JsonObject): readonly unknown[] {
  return listAt(object, 'metadata', 'managedFields').map((entry) =>
    isObject(entry) ? without(entry, ['time']) : entry,
  );
}

function isRefused(responses: Handled['responses']): boolean {
  return responses.some(({ allowed }) => !allowed);
}
