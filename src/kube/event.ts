/**
 * A Kubernetes Event as a value: what happened to which object, for whoever looks at that object with kubectl. Pure.
 * SOURCE: https://github.com/kubernetes/api/blob/v0.36.3/events/v1/types.go (Event)
 */
import type { JsonObject } from './json.ts';

/** Something that has happened. Texts that others wrote are to be made printable first. */
export interface Happening {
  /** The object that it is about. `namespace` is empty for a cluster-scoped object; `uid` may be left out. */
  readonly regarding: {
    readonly apiVersion: string;
    readonly kind: string;
    readonly namespace: string;
    readonly name: string;
    readonly uid?: string;
  };
  readonly type: 'Normal' | 'Warning';
  /** Why, in CamelCase: `LeaderElected`. */
  readonly reason: string;
  /** What was done, in CamelCase: `Elect`. */
  readonly action: string;
  /** A sentence for people. */
  readonly note: string;
}

/** A happening as often as it has happened: `count` times, first and last at Unix milliseconds. */
export interface Series {
  readonly happening: Happening;
  /** Of the Event. */
  readonly name: string;
  readonly count: number;
  readonly firstMs: number;
  readonly lastMs: number;
}

/** The controller that all Events are reported by. */
export const reportingController = 'lockwarden.dev/lockwarden';

/** SOURCE: https://github.com/kubernetes/kubernetes/blob/v1.36.3/pkg/apis/core/validation/events.go (NoteLengthLimit; reason, action, instance) */
const noteBytesMax = 1024;
const wordLengthMax = 128;
/** LIMIT: a name of an object has 253 characters; the suffix and its dot take seventeen. */
const nameLengthMax = 236;

/** Happenings with the same key are told of as one. */
export function keyOf({ regarding, type, reason, action, note }: Happening): string {
  const { apiVersion, kind, namespace, name, uid = '' } = regarding;
  return JSON.stringify([apiVersion, kind, namespace, name, uid, type, reason, action, note]);
}

/** Path of the collection that the Event goes into: the object's namespace, or `default` for a cluster-scoped object. */
export function eventsPath({ regarding: { namespace } }: Happening): string {
  return `/apis/events.k8s.io/v1/namespaces/${encodeURIComponent(namespaceOf(namespace))}/events`;
}

/** The name of an Event about an object; `suffix` (sixteen characters) tells it from others about the same. */
export function eventName({ regarding: { name } }: Happening, suffix: string): string {
  // NB: names of RBAC objects may hold what no name of an Event may.
  const allowed = name
    .toLowerCase()
    .replaceAll(/[^a-z0-9.-]/gu, '-')
    .slice(0, nameLengthMax);
  const about = allowed.replaceAll(/^[.-]+|[.-]+$/gu, '').replaceAll(/[.-]*\.[.-]*/gu, '.');
  return `${about === '' ? 'lockwarden' : about}.${suffix}`;
}

/** The Event, to be created. `instance` is the replica. */
export function eventOf(series: Series, instance: string): JsonObject {
  const { happening, name, count, firstMs } = series;
  const { regarding, type, reason, action, note } = happening;
  return {
    apiVersion: 'events.k8s.io/v1',
    kind: 'Event',
    metadata: { name, namespace: namespaceOf(regarding.namespace) },
    eventTime: microTime(firstMs),
    reportingController,
    reportingInstance: instance.slice(0, wordLengthMax),
    type,
    reason: reason.slice(0, wordLengthMax),
    action: action.slice(0, wordLengthMax),
    regarding,
    note: cut(note),
    ...(count > 1 && seriesOf(series)),
  };
}

/** The part of an Event that changes when it has happened again: a merge patch. */
export function seriesOf({ count, lastMs }: Series): JsonObject {
  return { series: { count, lastObservedTime: microTime(lastMs) } };
}

function namespaceOf(namespace: string): string {
  return namespace === '' ? 'default' : namespace;
}

/** NB: a MicroTime is refused unless it has six digits. */
function microTime(ms: number): string {
  return new Date(ms).toISOString().replace('Z', '000Z');
}

/** `note` in at most as many bytes as an Event takes, ending in an ellipsis where something is missing. */
function cut(note: string): string {
  const bytes = Buffer.from(note, 'utf8');
  if (bytes.length <= noteBytesMax) return note;
  const ellipsis = '…';
  // In a stream, the bytes of a character that is cut in two are kept back.
  const kept = new TextDecoder().decode(bytes.subarray(0, noteBytesMax - Buffer.byteLength(ellipsis)), {
    stream: true,
  });
  return `${kept}${ellipsis}`;
}
