/** The audit log that an API server would have written of a recording, and of single writes. */
import { isObject, textAt, type JsonObject } from '../../../src/locks/json.ts';
import { kinds } from '../../../src/suite/lock-object.ts';
import { writesOf, type RecordedWrite } from '../../support/recordings.ts';

/** An event, to be changed and written as a line. */
export type AuditEvent = JsonObject;

/** LIMIT: what an API server and its etcd need for a write on a machine with little to do. */
const takesMs = 4;

/** The events of a recording in the order in which an API server logs them. */
export function eventsOf(recording: string): AuditEvent[] {
  return writesOf(recording).map(eventOf);
}

export function eventOf({ atMs, stored, agent, request }: RecordedWrite): AuditEvent {
  const { object, operation, kind, namespace, name, userInfo } = request;
  const resource = kinds[kind.kind as keyof typeof kinds];
  const creates = operation === 'CREATE';
  const metadata = (isObject(object) ? object['metadata'] : {}) as JsonObject;
  // All recorded clients write with a precondition.
  const basedOn = { resourceVersion: textAt(request.oldObject, 'metadata', 'resourceVersion') };
  return {
    kind: 'Event',
    apiVersion: 'audit.k8s.io/v1',
    level: 'RequestResponse',
    auditID: request.uid,
    stage: 'ResponseComplete',
    requestURI: `/namespaces/${namespace}/${resource.resource}/${name}`,
    verb: creates ? 'create' : 'update',
    user: userInfo,
    userAgent: agent,
    objectRef: { resource: resource.resource, namespace, name, apiGroup: resource.group, apiVersion: 'v1' },
    responseStatus: { metadata: {}, code: stored ? (creates ? 201 : 200) : 409 },
    requestObject: isObject(object) ? { ...object, metadata: { ...metadata, ...basedOn } } : null,
    responseObject: stored ? object : { kind: 'Status', apiVersion: 'v1', code: 409 },
    requestReceivedTimestamp: microTime(atMs),
    stageTimestamp: microTime(atMs + takesMs),
  };
}

export function linesOf(events: readonly AuditEvent[]): string {
  return events.map((event) => `${JSON.stringify(event)}\n`).join('');
}

/** With six digits, as an API server writes it. */
export function microTime(ms: number): string {
  const whole = Math.floor(ms);
  const micros = Math.round((ms - whole) * 1_000);
  return new Date(whole).toISOString().replace('Z', `${String(Math.min(999, micros)).padStart(3, '0')}Z`);
}

/** The stamp that the API server puts on a write. */
export function stampOf(ms: number): string {
  return new Date(Math.floor(ms / 1_000) * 1_000).toISOString().replace('.000Z', 'Z');
}
