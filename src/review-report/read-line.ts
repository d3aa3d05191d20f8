/** One line of a log to what it tells of a lock. Total: a log is other people's text, with other programs' lines in it. */
import type { Enforcement } from '../core/reasons.ts';
import { changeMessage, recordMessages } from '../review/record.ts';
import { printable } from '../review/text.ts';
import type { ChangeFields, CommonFields, Entry, RejectionFields } from './entry.ts';

/**
 * What a line is. `other`: not about a lock (text, or another program's JSON). `torn`: begun as JSON and not ended, or one of
 * ours without what makes it one.
 */
export type ReadLine = Entry | { readonly kind: 'other' } | { readonly kind: 'torn' };

/** By a line's message, what became of the write. The last two are those of version 0.1.0, whose lines have fewer keys. */
const enforcements: Readonly<Partial<Record<string, Enforcement>>> = {
  [recordMessages.Deny]: 'Deny',
  [recordMessages.Warn]: 'Warn',
  [recordMessages.Audit]: 'Audit',
  'lock write allowed with a warning': 'Warn',
  'lock write allowed and recorded': 'Audit',
};

/** LIMIT: names and identities have at most 256 characters in a record, its sentence 1,024; other keys are somebody else's. */
const textMax = 1_024;
/** LIMIT: records are flat; what is deeper is not ours and only passed on. */
const depthMax = 4;

const other: ReadLine = { kind: 'other' };
const torn: ReadLine = { kind: 'torn' };

/** Reads a line, whatever a container runtime or kubectl has put before it. */
export function readLine(line: string): ReadLine {
  const { text, cut, writtenAt } = unwrapped(line);
  if (!text.startsWith('{')) return other;
  const parsed = cut ? undefined : parse(text);
  if (parsed === undefined) return torn;
  const message = parsed['msg'];
  if (typeof message !== 'string') {
    // SOURCE: https://docs.docker.com/engine/logging/drivers/json-file/ ({"log":"...\n","stream":"stdout","time":"..."})
    const inner = parsed['log'];
    return typeof inner === 'string' && !inner.startsWith('{"log"') ? readLine(inner.trimEnd()) : other;
  }
  const enforcement = Object.hasOwn(enforcements, message) ? enforcements[message] : undefined;
  if (enforcement === undefined && message !== changeMessage) return other;
  const fields = new Fields(parsed);
  return enforcement === undefined
    ? changeOf(fields, writtenAt)
    : rejectionOf(fields, enforcement, writtenAt);
}

interface Unwrapped {
  readonly text: string;
  readonly cut: boolean;
  /** The time that stood before the line, or empty. */
  readonly writtenAt: string;
}

/**
 * SOURCE: `kubectl logs --prefix` writes `[pod/NAME/CONTAINER] `; `--timestamps` a time; a container runtime writes a time, the
 * stream, and F for a whole line or P for a part of one:
 * https://github.com/kubernetes/design-proposals-archive/blob/main/node/kubelet-cri-logging.md
 */
const prefixes =
  /^\s*(?:\[pod\/[^\]]{1,600}\]\s+)?(?:(\d{4}-\d\d-\d\dT[\d:.]{8,18}(?:Z|[+-]\d\d:\d\d))\s+)?(?:std(?:out|err) ([FP])(?::\S*)? )?/;

function unwrapped(line: string): Unwrapped {
  const [prefix = '', writtenAt = '', part] = prefixes.exec(line) ?? [];
  return { text: line.slice(prefix.length).trim(), cut: part === 'P', writtenAt };
}

function parse(text: string): Readonly<Record<string, unknown>> | undefined {
  try {
    return JSON.parse(text) as Readonly<Record<string, unknown>>;
  } catch {
    return undefined;
  }
}

function rejectionOf(fields: Fields, enforcement: Enforcement, writtenAt: string): ReadLine {
  const firstMs = fields.instant('firstSeen') ?? fields.instant('time') ?? instantOf(writtenAt);
  const common = commonOf(fields);
  const reason = fields.text('reason');
  if (firstMs === null || common === null || reason === '') return torn;
  const lastMs = Math.max(firstMs, fields.instant('lastSeen') ?? firstMs);
  const known: RejectionFields = {
    recordVersion: fields.number('recordVersion') ?? 1,
    ...common,
    enforcement,
    wouldBeHolder: fields.textOrNull('wouldBeHolder'),
    podUid: fields.textOrNull('podUid'),
    rule: fields.text('rule'),
    reason,
    alsoViolated: fields.texts('alsoViolated'),
    policy: fields.text('policy'),
    detail: fields.text('detail'),
    remainingMinMs: fields.number('remainingMinMs'),
    remainingMaxMs: fields.number('remainingMaxMs'),
    dryRun: fields.isTrue('dryRun'),
    count: Math.max(1, Math.floor(fields.number('count') ?? 1)),
    firstSeen: new Date(firstMs).toISOString(),
    lastSeen: new Date(lastMs).toISOString(),
  };
  return { kind: 'rejection', atMs: firstMs, lastMs, record: { ...known, ...fields.unknown(known) } };
}

function changeOf(fields: Fields, writtenAt: string): ReadLine {
  const atMs = fields.instant('time') ?? instantOf(writtenAt);
  const common = commonOf(fields);
  if (atMs === null || common === null) return torn;
  const known: ChangeFields = {
    ...common,
    newHolder: fields.textOrNull('newHolder'),
    leaseTransitions: fields.number('leaseTransitions'),
  };
  return { kind: 'change', atMs, lastMs: atMs, record: { ...known, ...fields.unknown(known) } };
}

/** Null for what names no lock. */
function commonOf(fields: Fields): CommonFields | null {
  const [lockKind, namespace, name] = [
    fields.text('lockKind'),
    fields.text('namespace'),
    fields.text('name'),
  ];
  if (lockKind === '' || namespace === '' || name === '') return null;
  return {
    lockKind,
    namespace,
    name,
    lockUid: fields.text('lockUid'),
    operation: fields.text('operation'),
    transition: fields.text('transition'),
    holder: fields.textOrNull('holder'),
    requester: fields.text('requester'),
    pod: fields.textOrNull('pod'),
    evidence: fields.text('evidence') || 'none',
    elapsedMinMs: fields.number('elapsedMinMs'),
    elapsedMaxMs: fields.number('elapsedMaxMs'),
    leaseDurationMs: fields.number('leaseDurationMs'),
    reviewUid: fields.text('reviewUid'),
    instance: fields.text('instance'),
  };
}

/** Keys that the log adds to each line. */
const logKeys: readonly string[] = ['level', 'time', 'msg'];

/** The keys of a line, each as what it should be. */
class Fields {
  readonly #parsed: Readonly<Record<string, unknown>>;

  constructor(parsed: Readonly<Record<string, unknown>>) {
    this.#parsed = parsed;
  }

  text(key: string): string {
    const value = this.#own(key);
    return typeof value === 'string' ? safe(value, textMax) : '';
  }

  textOrNull(key: string): string | null {
    const text = this.text(key);
    return text === '' ? null : text;
  }

  texts(key: string): readonly string[] {
    const value = this.#own(key);
    if (!Array.isArray(value)) return [];
    return value.filter((each) => typeof each === 'string').map((each) => safe(each, textMax));
  }

  number(key: string): number | null {
    const value = this.#own(key);
    return typeof value === 'number' && Number.isFinite(value) ? value : null;
  }

  isTrue(key: string): boolean {
    return this.#own(key) === true;
  }

  instant(key: string): number | null {
    return instantOf(this.text(key));
  }

  /** What this version knows nothing of. */
  unknown(known: object): Readonly<Record<string, unknown>> {
    const keys = Object.keys(this.#parsed).filter(
      (key) => !logKeys.includes(key) && !Object.hasOwn(known, key),
    );
    return Object.fromEntries(
      keys
        // NB: such a key would not be an entry of the new object but its prototype.
        .filter((key) => key !== '__proto__')
        .map((key) => [safe(key, textMax), printableIn(this.#parsed[key], depthMax)]),
    );
  }

  #own(key: string): unknown {
    return Object.hasOwn(this.#parsed, key) ? this.#parsed[key] : undefined;
  }
}

/** NB: nearly every text is plain, and a log of a gigabyte has many. */
function safe(text: string, maxLength: number): string {
  return text.length <= maxLength && /^[ -~]*$/.test(text) ? text : printable(text, maxLength);
}

function printableIn(value: unknown, depth: number): unknown {
  if (typeof value === 'string') return safe(value, textMax);
  if (typeof value !== 'object' || value === null) return value;
  if (depth === 0) return '…';
  if (Array.isArray(value)) return value.map((each) => printableIn(each, depth - 1));
  return Object.fromEntries(
    Object.entries(value).map(([key, each]) => [safe(key, textMax), printableIn(each, depth - 1)]),
  );
}

/** LIMIT: what `Date` can write again. */
const instantMsMax = 8.64e15;

function instantOf(text: string): number | null {
  if (!/^\d{4}-\d\d-\d\dT/.test(text)) return null;
  const ms = Date.parse(text);
  return Number.isNaN(ms) || Math.abs(ms) > instantMsMax ? null : ms;
}
