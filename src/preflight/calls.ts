/** Which updates the API server would send to lockwarden at all: the webhooks that would be registered, asked offline. */
import type { LockRef } from '../core/lock.ts';
import type { JsonObject } from '../locks/json.ts';
import type { PolicyStore } from '../policy/store.ts';
import { webhooksFor } from '../suite/guarded.ts';
import { kinds } from '../suite/lock-object.ts';
import { webhooksAsked } from '../suite/model/webhooks.ts';

/** Tells whether an update of a lock would be sent. */
export type WouldCall = (lock: LockRef, before: JsonObject, after: JsonObject) => boolean;

/** Makes it from the policies in force. */
export function wouldCall(store: PolicyStore, ownNamespace: string): WouldCall {
  const webhooks = webhooksFor(store, ownNamespace);
  return ({ kind, namespace, name }, oldObject, object) => {
    const resource = kinds[kind];
    const about = { operation: 'UPDATE', resource, namespace, name, object, oldObject, dryRun: false };
    return webhooksAsked(webhooks, about, store.labelsOf(namespace)).length > 0;
  };
}
