/**
 * One event of an API server's audit log, as the writes to locks that it tells of. Total: a log is a file, and may hold anything.
 * SOURCE: https://github.com/kubernetes/apiserver/blob/master/pkg/apis/audit/v1/types.go
 */
import type { LockKind, LockRef, Requester } from '../core/lock.ts';
import { monotonicMs, type MonotonicMs } from '../core/time.ts';
import { at, isObject, listAt, textAt, type JsonObject } from '../locks/json.ts';
import { lockKindOf } from '../locks/registry.ts';
import { toLockWrite } from '../locks/write.ts';
import type { SeenWrite } from './seen.ts';

/**
 * What an event tells. `not-an-event`: it is none. `other`: it is about something else than a write to a kind of lock. `unfinished`: it
 * is of a stage before the answer, which has an event of its own. `no-objects`: it was recorded at too low a level, or cut because
 * it was too large. `refused`: the write did not come about, and what it would have made is not in the log; `by` says who
 * refused. `sent`: only what was sent is in the log, not what was stored: the object without what the API server adds, or, for
 * `isPatch`, what was to be changed of it.
 */
export type AuditReading =
  | { readonly kind: 'writes'; readonly writes: readonly SeenWrite[] }
  | {
      readonly kind: 'sent';
      readonly write: SeenWrite;
      readonly isPatch: boolean;
      readonly level: string;
      readonly resource: string;
    }
  | { readonly kind: 'not-an-event' | 'other' | 'unfinished' }
  | {
      readonly kind: 'no-objects';
      readonly level: string;
      readonly resource: string;
      /** Its name is empty where the event names none, as for a collection. */
      readonly lock: LockRef;
      readonly arrivedAt: MonotonicMs;
      readonly storedAt: MonotonicMs;
    }
  | { readonly kind: 'refused'; readonly by: 'conflict' | 'lockwarden' | 'another' };

const resources: Readonly<Partial<Record<string, LockKind>>> = {
  leases: 'Lease',
  configmaps: 'ConfigMap',
  endpoints: 'Endpoints',
};

/** LIMIT: a client reads its clock for the renew time before it connects; on a healthy path that is far less than a second. */
const onTheWayMs = 1_000;

/** Reads an event. */
export function readAuditEvent(value: unknown): AuditReading {
  const isEvent =
    textAt(value, 'kind') === 'Event' && textAt(value, 'apiVersion').startsWith('audit.k8s.io/');
  if (!isObject(value) || !isEvent) return { kind: 'not-an-event' };
  const resource = textAt(value, 'objectRef', 'resource');
  const kind = kindOf(value, resource);
  const verb = textAt(value, 'verb');
  if (kind === null || !verbs.includes(verb)) return { kind: 'other' };
  if (textAt(value, 'stage') !== 'ResponseComplete') return { kind: 'unfinished' };
  const code = at(value, 'responseStatus', 'code');
  const status = typeof code === 'number' ? code : 0;
  const meetsExisting = verb === 'create' && status === 409;
  if ((status < 200 || status >= 300) && !meetsExisting)
    return { kind: 'refused', by: refuserOf(value, status) };
  const level = textAt(value, 'level');
  const isTruncated = at(value, 'annotations', 'audit.k8s.io/truncated') === 'true';
  const event = eventOf(value, kind, status);
  if (event === null) return { kind: 'not-an-event' };
  if (isTruncated || (level !== 'RequestResponse' && level !== 'Request'))
    return withoutObjects(event, isTruncated ? 'truncated' : level, resource);
  return level === 'Request' ? sentOf(event, resource) : writesOf(event, resource);
}

const verbs: readonly string[] = ['create', 'update', 'patch', 'delete', 'deletecollection'];

interface Event {
  readonly value: JsonObject;
  readonly kind: LockKind;
  readonly verb: string;
  readonly status: number;
  readonly arrivedAt: MonotonicMs;
  readonly storedAt: MonotonicMs;
  readonly requester: Requester;
}

function kindOf(value: JsonObject, resource: string): LockKind | null {
  const kind = Object.hasOwn(resources, resource) ? resources[resource] : undefined;
  if (kind === undefined || textAt(value, 'objectRef', 'subresource') !== '') return null;
  return lockKindOf({ group: textAt(value, 'objectRef', 'apiGroup'), kind });
}

function eventOf(value: JsonObject, kind: LockKind, status: number): Event | null {
  const arrivedAt = instantOf(textAt(value, 'requestReceivedTimestamp'));
  if (arrivedAt === null) return null;
  const storedAt = instantOf(textAt(value, 'stageTimestamp')) ?? arrivedAt;
  const user = at(value, 'impersonatedUser');
  const requester = requesterOf(isObject(user) ? user : at(value, 'user'));
  return { value, kind, verb: textAt(value, 'verb'), status, arrivedAt, storedAt, requester };
}

function writesOf(event: Event, resource: string): AuditReading {
  const { value, kind, verb } = event;
  const response = at(value, 'responseObject');
  if (verb === 'deletecollection') {
    const items = listAt(response, 'items').filter(isObject);
    return { kind: 'writes', writes: items.map((item) => deletion(event, item)) };
  }
  if (verb === 'delete') {
    const isKept = isObject(response) && textAt(response, 'kind') === kind && isTerminating(response);
    return { kind: 'writes', writes: [isKept ? change(event, response, true) : deletion(event, null)] };
  }
  const stored = event.status < 300;
  const object = stored ? response : at(value, 'requestObject');
  if (!isObject(object) || (stored && isPartial(object, kind))) return sentOf(event, resource);
  return { kind: 'writes', writes: [change(event, object, stored)] };
}

/**
 * A client that asked for metadata alone (the garbage collector does) was answered with that, which says nothing of a Lease's spec. The
 * record of the other kinds is metadata.
 */
function isPartial(object: JsonObject, kind: LockKind): boolean {
  return kind === 'Lease' && !['', 'Lease'].includes(textAt(object, 'kind'));
}

/** What can be said without what was stored. */
function sentOf(event: Event, resource: string): AuditReading {
  const { value, verb, status } = event;
  const level = textAt(value, 'level') === 'Request' ? 'Request' : 'RequestResponse without the object';
  const sent = { kind: 'sent', level, resource } as const;
  if (verb === 'delete') return { ...sent, write: deletion(event, null), isPatch: false };
  const object = at(value, 'requestObject');
  const isPatch = verb === 'patch' && status !== 201;
  // A JSON patch is a list. A strategic merge patch with directives cannot be told from what it means without the kind's schema.
  if (verb === 'deletecollection' || !isObject(object) || (isPatch && hasDirectives(object)))
    return withoutObjects(event, level, resource);
  return { ...sent, write: change(event, object, status < 300), isPatch };
}

function withoutObjects(event: Event, level: string, resource: string): AuditReading {
  const { value, kind, arrivedAt, storedAt } = event;
  return { kind: 'no-objects', level, resource, lock: lockOf(value, kind, null), arrivedAt, storedAt };
}

/** SOURCE: https://github.com/kubernetes/apimachinery/blob/master/pkg/util/strategicpatch/patch.go (directiveMarker and those after it) */
function hasDirectives(value: unknown): boolean {
  if (Array.isArray(value)) return value.some(hasDirectives);
  if (!isObject(value)) return false;
  return Object.entries(value).some(([key, each]) => key.startsWith('$') || hasDirectives(each));
}

/** What has finalizers is not gone by its deletion: it is marked. */
function isTerminating(object: JsonObject): boolean {
  return (
    textAt(object, 'metadata', 'deletionTimestamp') !== '' &&
    listAt(object, 'metadata', 'finalizers').length > 0
  );
}

function change(event: Event, object: JsonObject, stored: boolean): SeenWrite {
  const { value, verb, status } = event;
  const creates = verb === 'create' || (verb !== 'delete' && status === 201);
  const operation = verb === 'delete' ? 'DELETE' : creates ? 'CREATE' : 'UPDATE';
  return {
    ...common(event, object),
    operation,
    object,
    deleted: null,
    basedOn: creates ? '' : textAt(value, 'requestObject', 'metadata', 'resourceVersion'),
    stored,
  };
}

function deletion(event: Event, deleted: JsonObject | null): SeenWrite {
  return { ...common(event, deleted), operation: 'DELETE', object: null, deleted, basedOn: '', stored: true };
}

function common(
  { value, kind, arrivedAt, storedAt, requester }: Event,
  object: JsonObject | null,
): Omit<SeenWrite, 'operation' | 'object' | 'deleted' | 'basedOn' | 'stored'> {
  return {
    auditId: textAt(value, 'auditID'),
    lock: lockOf(value, kind, object),
    requester,
    agent: textAt(value, 'userAgent'),
    arrivedAt,
    storedAt,
    readClockAt: { min: arrivedAt - onTheWayMs, max: arrivedAt },
    dryRun: /[?&]dryRun=All(&|$)/.test(textAt(value, 'requestURI')),
  };
}

function lockOf(value: JsonObject, kind: LockKind, object: JsonObject | null): LockRef {
  const named = (field: 'namespace' | 'name'): string =>
    textAt(object, 'metadata', field) || textAt(value, 'objectRef', field);
  return { kind, namespace: named('namespace'), name: named('name') };
}

/** Reads a user as admission sees one. */
function requesterOf(user: unknown): Requester {
  const extra = at(user, 'extra');
  const texts = (value: unknown): readonly string[] =>
    Array.isArray(value) ? value.filter((each) => typeof each === 'string') : [];
  const userInfo = {
    username: textAt(user, 'username'),
    groups: texts(at(user, 'groups')),
    extra: isObject(extra)
      ? Object.fromEntries(Object.entries(extra).map(([key, value]) => [key, texts(value)]))
      : {},
  };
  const write = toLockWrite({ ...nobodys, userInfo });
  return 'requester' in write ? write.requester : { username: userInfo.username, groups: [], pod: null };
}

/** A request of which only the requester is of interest. */
const nobodys = {
  kind: { group: 'coordination.k8s.io', kind: 'Lease' },
  subResource: '',
  namespace: '',
  name: '',
  operation: 'CREATE',
  object: null,
  oldObject: null,
  dryRun: false,
} as const;

function refuserOf(value: JsonObject, status: number): 'conflict' | 'lockwarden' | 'another' {
  if (status === 409 || status === 404) return 'conflict';
  const said = textAt(value, 'responseStatus', 'message');
  return /admission webhook "[^"]*lockwarden\.dev" denied/.test(said) ? 'lockwarden' : 'another';
}

/** A MicroTime in Unix milliseconds, with its fraction: two writes may arrive within one. Null where it is none. */
function instantOf(text: string): MonotonicMs | null {
  const wholeMs = Date.parse(`${text.slice(0, 19)}Z`);
  const [, digits] = /^.{19}(?:\.(\d{1,9}))?Z$/.exec(text) ?? [null];
  if (Number.isNaN(wholeMs) || digits === null) return null;
  return monotonicMs(wholeMs + Number(`0.${digits ?? '0'}`) * 1_000);
}
