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
 * What an event tells. `not-an-event`: it is none. `other`: it is about something else than a write to a kind of lock. `no-objects`: it was
 * recorded at too low a level, or cut because it was too large. `refused`: the write did not come about, and what it
 * would have made is not in the log; `by` says who refused.
 */
export type AuditReading =
  | { readonly kind: 'writes'; readonly writes: readonly SeenWrite[] }
  | { readonly kind: 'not-an-event' | 'other' }
  | { readonly kind: 'no-objects'; readonly level: string; readonly resource: string }
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
  if (kind === null || !verbs.includes(verb) || textAt(value, 'stage') !== 'ResponseComplete')
    return { kind: 'other' };
  const code = at(value, 'responseStatus', 'code');
  const status = typeof code === 'number' ? code : 0;
  const meetsExisting = verb === 'create' && status === 409;
  if ((status < 200 || status >= 300) && !meetsExisting)
    return { kind: 'refused', by: refuserOf(value, status) };
  const level = textAt(value, 'level');
  if (level !== 'RequestResponse' || at(value, 'annotations', 'audit.k8s.io/truncated') === 'true')
    return { kind: 'no-objects', level: level === 'RequestResponse' ? 'truncated' : level, resource };
  const event = eventOf(value, kind, status);
  return event === null ? { kind: 'not-an-event' } : writesOf(event, resource);
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
  const tooLow = { kind: 'no-objects', level: textAt(value, 'level'), resource } as const;
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
  return isObject(object) ? { kind: 'writes', writes: [change(event, object, stored)] } : tooLow;
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
): Pick<SeenWrite, 'lock' | 'requester' | 'agent' | 'arrivedAt' | 'storedAt' | 'readClockAt' | 'dryRun'> {
  const named = (field: 'namespace' | 'name'): string =>
    textAt(object, 'metadata', field) || textAt(value, 'objectRef', field);
  const lock: LockRef = { kind, namespace: named('namespace'), name: named('name') };
  return {
    lock,
    requester,
    agent: textAt(value, 'userAgent'),
    arrivedAt,
    storedAt,
    readClockAt: { min: arrivedAt - onTheWayMs, max: arrivedAt },
    dryRun: /[?&]dryRun=All(&|$)/.test(textAt(value, 'requestURI')),
  };
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
