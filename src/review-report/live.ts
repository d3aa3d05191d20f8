/** What replicas tell of themselves, to entries as logs have them. Pure. */
import { recordMessages } from '../review/record.ts';
import { groupKey, type Rejection } from './entry.ts';
import { readLine } from './read-line.ts';

/** A record as a replica sends it; null for what is none. It is read as leniently, and made as safe to print, as a line of a log. */
export function liveRejection(record: Readonly<Record<string, unknown>>): Rejection | null {
  const { enforcement } = record;
  const message =
    typeof enforcement === 'string' && Object.hasOwn(recordMessages, enforcement)
      ? recordMessages[enforcement as keyof typeof recordMessages]
      : null;
  if (message === null) return null;
  const read = readLine(JSON.stringify({ ...record, msg: message }));
  return read.kind === 'rejection' ? read : null;
}

/** LIMIT: as many groups as ten replicas keep. */
const groupsMax = 10_000;

/**
 * What is new of groups that are told again and again with their whole count: an entry of the writes since, as a log has a line for each fold.
 * A stream that begins anew tells everything again, of which then nothing is new.
 */
export class LiveDeltas {
  readonly #told = new Map<string, number>();

  /** Null: nothing is new. */
  next(rejection: Rejection): Rejection | null {
    const key = groupKey(rejection);
    const { record } = rejection;
    const told = this.#told.get(key) ?? 0;
    // INVARIANT: a count that has shrunk is of a group that a replica had forgotten, and is new.
    const count = record.count >= told ? record.count - told : record.count;
    this.#told.delete(key);
    this.#told.set(key, record.count);
    const [oldest] = this.#told.keys();
    if (this.#told.size > groupsMax && oldest !== undefined) this.#told.delete(oldest);
    if (count === 0) return null;
    if (told === 0) return rejection;
    return {
      kind: 'rejection',
      atMs: rejection.lastMs,
      lastMs: rejection.lastMs,
      record: { ...record, count, firstSeen: record.lastSeen },
    };
  }
}
