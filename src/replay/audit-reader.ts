/** The lines of an audit log to what they tell of locks; and what of it could not be used. Total: a log may hold anything. */
import { readAuditEvent } from '../audit-log/event.ts';
import type { ByteLine } from '../audit-log/line.ts';
import { recordedEvent } from '../audit-log/recording.ts';
import type { SeenWrite } from '../audit-log/seen.ts';
import { at, isObject, listAt, textAt } from '../locks/json.ts';
import { isWorthReading } from './sieve.ts';
import type { Told } from './told.ts';

/** What was read. A line may hold several events, as a list. */
export interface ReadCounts {
  lines: number;
  /** Lines or items that are no audit events. */
  notEvents: number;
  /** Lines that are longer than what is read of one. */
  tooLong: number;
  /** Lines and events about something else than writes to kinds of locks. */
  other: number;
  /** Events of a stage before the answer; the answer has one of its own. */
  unfinished: number;
  /** The last line is not complete, as in a log that is still being written; at most one a file. */
  cut: number;
  /** Writes to kinds of locks that the API server refused, by who it was. */
  readonly refused: { conflict: number; lockwarden: number; another: number };
  /** Writes to kinds of locks without what could be judged, by resource and level. */
  readonly withoutObjects: Map<string, number>;
}

/** Nothing yet. */
export function nothingRead(): ReadCounts {
  return {
    ...{ lines: 0, notEvents: 0, tooLong: 0, other: 0, unfinished: 0, cut: 0 },
    refused: { conflict: 0, lockwarden: 0, another: 0 },
    withoutObjects: new Map(),
  };
}

/** LIMIT: as many resources and levels as there are, and then some: the level is the log's text. */
const levelsMax = 32;

const nothing: readonly Told[] = [];

/** Reads lines. Several files may count together. */
export class AuditReader {
  readonly #counts: ReadCounts;

  constructor(counts: ReadCounts) {
    this.#counts = counts;
  }

  /** What a line tells, in the order in which it was stored. */
  take(line: ByteLine): readonly Told[] {
    const counts = this.#counts;
    if ('tooLong' in line) {
      counts.lines += 1;
      counts.tooLong += 1;
      return nothing;
    }
    if (line.bytes.length === 0) return nothing;
    if (!isWorthReading(line.bytes)) {
      counts.lines += 1;
      counts.other += 1;
      return nothing;
    }
    const text = line.bytes.toString('utf8');
    if (text.trim() === '') return nothing;
    counts.lines += 1;
    const value = parsed(text);
    if (value !== undefined) return isList(value) ? this.#takeList(value) : this.#takeEvent(value);
    if (line.complete) counts.notEvents += 1;
    else counts.cut += 1;
    return nothing;
  }

  /** As the webhook backend of an API server sends them. */
  #takeList(value: unknown): readonly Told[] {
    return listAt(value, 'items').flatMap((item) =>
      // The items of a list need not repeat what they are.
      this.#takeEvent(
        isObject(item) ? { kind: 'Event', apiVersion: at(value, 'apiVersion'), ...item } : item,
      ),
    );
  }

  #takeEvent(value: unknown): readonly Told[] {
    const counts = this.#counts;
    const reading = readAuditEvent(recordedEvent(value) ?? value);
    switch (reading.kind) {
      case 'not-an-event':
        counts.notEvents += 1;
        return nothing;
      case 'other':
        counts.other += 1;
        return nothing;
      case 'unfinished':
        counts.unfinished += 1;
        return nothing;
      case 'refused':
        counts.refused[reading.by] += 1;
        return nothing;
      case 'no-objects':
        this.#countWithoutObjects(`${reading.resource} at ${reading.level}`);
        return [{ kind: 'unseen', lock: reading.lock, storedAt: reading.storedAt }];
      case 'sent':
        // What was to be named by the API server cannot be told from the others that were.
        if (reading.write.lock.name === '') {
          this.#countWithoutObjects(`${reading.resource} at ${reading.level}`);
          return nothing;
        }
        return this.#told(reading.isPatch ? 'patched' : 'sent', [reading.write]);
      case 'writes':
        return this.#told('stored', reading.writes);
    }
  }

  /** A creation that met an existing object went through admission, but changed nothing, as any other lost race. */
  #told(kind: 'stored' | 'sent' | 'patched', writes: readonly SeenWrite[]): readonly Told[] {
    const stored = writes.filter((write) => write.stored);
    this.#counts.refused.conflict += writes.length - stored.length;
    return stored.map((write, index) => {
      // Records are told apart by it, and one deletion may be of a whole collection.
      const auditId = index === 0 ? write.auditId : `${write.auditId}#${String(index + 1)}`;
      return { kind, write: { ...write, auditId }, storedAt: write.storedAt };
    });
  }

  #countWithoutObjects(key: string): void {
    const { withoutObjects } = this.#counts;
    const counted = withoutObjects.size < levelsMax || withoutObjects.has(key) ? key : 'others';
    withoutObjects.set(counted, (withoutObjects.get(counted) ?? 0) + 1);
  }
}

function isList(value: unknown): boolean {
  return textAt(value, 'kind') === 'EventList' && textAt(value, 'apiVersion').startsWith('audit.k8s.io/');
}

/** Undefined where it is no JSON. */
function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
