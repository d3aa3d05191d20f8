/**
 * The record in an annotation: JSON that clients of several languages wrote, and others read.
 *
 * They do not read alike. Go takes a key whatever its case, and the last of several; JavaScript and Java take it to the
 * letter. A record that two clients would understand differently elects two leaders, so it is not guessed at:
 * whatever is ambiguous is `unreadable`.
 * SOURCE: https://github.com/kubernetes/client-go/blob/master/tools/leaderelection/resourcelock/interface.go (LeaderElectionRecord)
 * SOURCE: https://github.com/fabric8io/kubernetes-client (LeaderElectionRecord.java: `leaseDuration` as an ISO-8601 duration)
 */
import { parseTree, type Node, type ParseError } from 'jsonc-parser';
import { emptyRecord, type RecordReading } from '../core/lock.ts';
import { readRecordedTime } from './recorded-time.ts';

/** LIMIT: a record is 200 bytes and an identity; beyond this the API server's expressions do not look either. */
const lengthMax = 16 * 1024;
/** LIMIT: a record is flat. The parser descends by recursion, so brackets are counted first; identities may hold a few. */
const bracketsMax = 64;

const knownKeys = [
  'holderIdentity',
  'leaseDurationSeconds',
  'leaseDuration',
  'acquireTime',
  'renewTime',
  'leaderTransitions',
  'strategy',
  'preferredHolder',
] as const;

/** Reads the annotation's text. The empty text and `{}` are records that nobody holds. */
export function readJsonRecord(text: string): RecordReading {
  if (text.trim() === '') return { kind: 'record', record: emptyRecord };
  if (text.length > lengthMax) return unreadable(`it is longer than ${String(lengthMax)} characters`);
  if ((text.match(/[[{]/g) ?? []).length > bracketsMax) return unreadable('it is nested');
  const properties = propertiesOf(text);
  if (typeof properties === 'string') return unreadable(properties);
  return recordOf(properties);
}

type Properties = ReadonlyMap<string, Node>;

/** The values by key, or why there are none. */
function propertiesOf(text: string): Properties | string {
  const errors: ParseError[] = [];
  const tree = parseTree(text, errors, { disallowComments: true });
  if (tree === undefined || errors.length > 0 || !isStrictJson(text)) return 'it is not JSON';
  if (tree.type === 'null') return new Map();
  if (tree.type !== 'object') return 'it is not a JSON object';
  const properties = new Map<string, Node>();
  const seen = new Map<string, string>(knownKeys.map((key) => [foldCase(key), key]));
  for (const { children: [key, value] = [] } of tree.children ?? []) {
    const name: unknown = key?.value;
    if (typeof name !== 'string' || value === undefined) return 'it is not JSON';
    if (properties.has(name)) return `the key \`${shown(name)}\` stands twice`;
    const twin = seen.get(foldCase(name));
    if (twin !== undefined && twin !== name)
      return `the key \`${shown(name)}\` reads as \`${shown(twin)}\` in Go`;
    seen.set(foldCase(name), name);
    properties.set(name, value);
  }
  return properties;
}

function recordOf(properties: Properties): RecordReading {
  const holder = textOf(properties, 'holderIdentity');
  const renewTime = textOf(properties, 'renewTime');
  const acquireTime = textOf(properties, 'acquireTime');
  const transitions = wholeOf(properties.get('leaderTransitions'), false);
  const leaseDurationMs = durationOf(properties);
  if (holder === undefined) return unreadable('the holder is not a text');
  if (renewTime === undefined || acquireTime === undefined) return unreadable('a time is not a text');
  if (transitions === undefined) return unreadable('the transitions are not a whole number');
  if (leaseDurationMs === undefined) return unreadable('the duration cannot be read');
  return {
    kind: 'record',
    record: {
      holder: holder === '' ? null : holder,
      leaseDurationMs,
      renewTime: readRecordedTime(renewTime),
      acquireTime: readRecordedTime(acquireTime),
      transitions,
    },
  };
}

/** A text; null where it is absent or null; undefined where it is something else. */
function textOf(properties: Properties, key: (typeof knownKeys)[number]): string | null | undefined {
  const node = properties.get(key);
  if (node === undefined || node.type === 'null') return null;
  const value: unknown = node.value;
  return typeof value === 'string' ? value : undefined;
}

/** In milliseconds; null where there is none (or none that promises anything); undefined where it cannot be read. */
function durationOf(properties: Properties): number | null | undefined {
  const seconds = wholeOf(properties.get('leaseDurationSeconds'), true);
  const iso = isoDurationOf(properties.get('leaseDuration'));
  if (seconds === undefined || iso === undefined) return undefined;
  const secondsMs = seconds === null || seconds <= 0 ? null : seconds * 1000;
  if (iso === null) return secondsMs;
  return secondsMs === null || secondsMs === iso ? iso : undefined;
}

/**
 * A whole number as Go reads one into an int: digits and nothing else. `quoted`: also within a text, as the official
 * Python client writes its duration.
 */
function wholeOf(node: Node | undefined, quoted: boolean): number | null | undefined {
  if (node === undefined || node.type === 'null') return null;
  const value: unknown = node.value;
  if (node.type === 'string' && quoted && typeof value === 'string') return digits(value);
  if (node.type !== 'number' || typeof value !== 'number') return undefined;
  // The source text is gone, but its length is not: `1e1` and `10.0` are not as long as `10`.
  return node.length === String(value).length ? digits(String(value)) : undefined;
}

function digits(text: string): number | undefined {
  return /^-?\d{1,15}$/.test(text) ? Number(text) : undefined;
}

/** SOURCE: https://docs.oracle.com/javase/8/docs/api/java/time/Duration.html#toString-- */
const isoDuration = /^PT(?=\d)(?:(\d{1,9})H)?(?:(\d{1,9})M)?(?:(\d{1,9}(?:\.\d{1,9})?)S)?$/;

function isoDurationOf(node: Node | undefined): number | null | undefined {
  if (node === undefined || node.type === 'null') return null;
  const value: unknown = node.value;
  if (typeof value === 'number') return value > 0 ? value * 1000 : null;
  const match = typeof value === 'string' ? isoDuration.exec(value) : null;
  if (match === null) return undefined;
  const [, hours = '0', minutes = '0', seconds = '0'] = match;
  const ms = Math.round((Number(hours) * 3600 + Number(minutes) * 60 + Number(seconds)) * 1000);
  return ms > 0 ? ms : null;
}

/**
 * Case folding as Go's encoding/json does it: beyond ASCII, the long s and the Kelvin sign fold to s and k.
 * SOURCE: https://github.com/golang/go/blob/master/src/encoding/json/fold.go
 */
function foldCase(key: string): string {
  return key.toUpperCase().toLowerCase();
}

function isStrictJson(text: string): boolean {
  try {
    JSON.parse(text);
    return true;
  } catch {
    return false;
  }
}

function shown(key: string): string {
  return key.slice(0, 64);
}

function unreadable(why: string): RecordReading {
  return { kind: 'unreadable', why };
}
