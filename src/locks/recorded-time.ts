/**
 * Times as clients write them into locks. A time without an offset names no instant: the official Python client writes
 * its local time that way. It can still be compared for equality, which is all that a promise needs.
 */
import type { RecordedTime } from '../core/lock.ts';
import { serverMs, type ServerMs } from '../core/time.ts';

/** SOURCE: https://www.rfc-editor.org/rfc/rfc3339#section-5.6, with the space and the missing offset of other writers. */
const timePattern =
  /^(\d{4})-(\d\d)-(\d\d)[Tt ](\d\d):(\d\d):(\d\d)(?:[.,](\d{1,12}))?([Zz]|[+-]\d\d:?\d\d)?$/;

/** Go's zero time, which its clients write for "never". */
const zeroTime = /^0001-01-01[Tt ]00:00:00(?:\.0+)?[Zz]$/;

/** Reads a recorded time; null for an absent, empty or zero one. Anything else is kept, if only as text. */
export function readRecordedTime(value: unknown): RecordedTime | null {
  if (typeof value !== 'string' || value === '') return null;
  return zeroTime.test(value) ? null : { raw: value, at: instantOf(value) };
}

/** The instant that a text names, or null where it names none. */
export function instantOf(text: string): ServerMs | null {
  const match = timePattern.exec(text);
  if (match === null) return null;
  const [, year, month, day, hour, minute, second, fraction = '', offset] = match;
  if (offset === undefined) return null;
  const parts = [year, month, day, hour, minute, second].map(Number);
  const [y = 0, mo = 0, d = 0, h = 0, mi = 0, s = 0] = parts;
  const date = new Date(0);
  date.setUTCFullYear(y, mo - 1, d);
  date.setUTCHours(h, mi, s, Math.floor(Number(`0.${fraction || '0'}`) * 1000));
  // A date that does not exist rolls over into one that does: then the text names none.
  const exists = date.getUTCMonth() === mo - 1 && date.getUTCDate() === d && h < 24 && mi < 60 && s < 60;
  return exists ? serverMs(date.getTime() - offsetMs(offset)) : null;
}

function offsetMs(offset: string): number {
  if (offset === 'Z' || offset === 'z') return 0;
  const digits = offset.replace(':', '');
  const minutes = Number(digits.slice(1, 3)) * 60 + Number(digits.slice(3, 5));
  return (offset.startsWith('-') ? -minutes : minutes) * 60_000;
}
