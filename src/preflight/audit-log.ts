/** An audit log, event by event, told to a preflight; and what of it could not be used. */
import { readAuditEvent } from '../audit-log/event.ts';
import type { LogLine } from '../audit-log/line.ts';
import type { SeenWrite } from '../audit-log/seen.ts';
import { serverMs } from '../core/time.ts';
import type { Preflight } from './preflight.ts';

/** What was read. */
export interface AuditCounts {
  readonly lines: number;
  /** Lines that are no audit events: no JSON, or of something else. */
  readonly notEvents: number;
  /** Lines that are longer than what is read of one. */
  readonly tooLong: number;
  /** Events about something else than writes to kinds of locks. */
  readonly other: number;
  /** Writes to kinds of locks that were recorded without their objects, by level and resource. */
  readonly withoutObjects: ReadonlyMap<string, number>;
  readonly refused: Readonly<Record<'conflict' | 'lockwarden' | 'another', number>>;
  /** Writes to locks, stored or not. */
  readonly writes: number;
  /** Of the writes that were used, in Unix milliseconds; null: there is none. */
  readonly firstAt: number | null;
  readonly lastAt: number | null;
  /** The last line is not complete, as in a log that is still being written. */
  readonly isCut: boolean;
}

/** Reads lines. */
export class AuditLog {
  readonly #preflight: Preflight;
  #lines = 0;
  #notEvents = 0;
  #tooLong = 0;
  #other = 0;
  readonly #withoutObjects = new Map<string, number>();
  readonly #refused = { conflict: 0, lockwarden: 0, another: 0 };
  #writes = 0;
  #firstAt: number | null = null;
  #lastAt: number | null = null;
  #isCut = false;

  constructor(preflight: Preflight) {
    this.#preflight = preflight;
  }

  counts(): AuditCounts {
    return {
      lines: this.#lines,
      notEvents: this.#notEvents,
      tooLong: this.#tooLong,
      other: this.#other,
      withoutObjects: this.#withoutObjects,
      refused: this.#refused,
      writes: this.#writes,
      firstAt: this.#firstAt,
      lastAt: this.#lastAt,
      isCut: this.#isCut,
    };
  }

  take(line: LogLine): void {
    if ('tooLong' in line) {
      this.#lines += 1;
      this.#tooLong += 1;
      return;
    }
    if (line.text.trim() === '') return;
    this.#lines += 1;
    const value = parsed(line.text);
    if (value === undefined && !line.complete) this.#isCut = true;
    else if (value === undefined) this.#notEvents += 1;
    else this.#takeEvent(value);
  }

  #takeEvent(value: unknown): void {
    const reading = readAuditEvent(value);
    switch (reading.kind) {
      case 'not-an-event':
        this.#notEvents += 1;
        return;
      case 'other':
      case 'unfinished':
        this.#other += 1;
        return;
      // What was stored is what the form of a client and its stamps are read from.
      case 'sent':
      case 'no-objects': {
        const key = `${reading.resource} at ${reading.level}`;
        this.#withoutObjects.set(key, (this.#withoutObjects.get(key) ?? 0) + 1);
        return;
      }
      case 'refused':
        this.#refused[reading.by] += 1;
        return;
      case 'writes':
        for (const write of reading.writes) this.#takeWrite(write);
    }
  }

  #takeWrite(write: SeenWrite): void {
    const { arrivedAt, storedAt } = write;
    const second = serverMs(Math.floor(arrivedAt / 1_000) * 1_000);
    this.#preflight.dated(arrivedAt, arrivedAt, second);
    const before = this.#preflight.writes;
    this.#preflight.wrote(write);
    // Of ConfigMaps and Endpoints most are no locks.
    if (this.#preflight.writes === before) {
      this.#other += 1;
      return;
    }
    this.#writes += 1;
    this.#firstAt = Math.min(this.#firstAt ?? Infinity, arrivedAt);
    this.#lastAt = Math.max(this.#lastAt ?? -Infinity, storedAt);
  }
}

/** Undefined where it is no JSON. */
function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
