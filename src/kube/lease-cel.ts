/**
 * Parts of CEL expressions about Leases: fields and stamps, read in such a way that no expression fails, whatever the object is.
 * `&&` does not evaluate what follows a false term, so sizes and types are checked before anything partial.
 */
import { all } from './cel.ts';

/** LIMIT: as `stampEntriesMax` of the core: an honest list has some ten entries. It also bounds the pairs that are compared. */
export const entriesMax = 64;

/** The year that a time begins with which can be parsed: CEL knows no duration of more than 292 years. As a pattern of RE2. */
const parsedYears = '(19|2[01])[0-9]{2}';
/** A time of a Lease as the API server prints it: `2026-01-02T03:04:05.000000Z`. */
const microTimeCharacters = 27;
/** A stamp as the API server prints it: `2026-01-02T03:04:05Z`. */
const stampCharacters = 20;
/** Of either, those of the year. */
const yearCharacters = 4;

/** Whether the entry that the CEL variable `entry` names owns a field. */
export type Owns = (entry: string) => string;

/** Ownership of a field of a Lease's spec. */
export function ownsLeaseField(field: string): Owns {
  return (entry) => `'f:${field}' in ${entry}.?fieldsV1[?'f:spec'].orValue({})`;
}

/** The stamps of an object. */
export function entriesOf(variable: string): string {
  return `${variable}.?metadata.?managedFields.orValue([])`;
}

/** A field of a Lease's spec, or `absent` (a CEL literal). */
export function leaseField(variable: string, field: string, absent: string): string {
  return `${variable}.?spec.?${field}.orValue(${absent})`;
}

/** The holder, or the empty string. */
export function holderIn(variable: string): string {
  return leaseField(variable, 'holderIdentity', "''");
}

/** The lease duration in seconds, or 0. */
export function durationIn(variable: string): string {
  return leaseField(variable, 'leaseDurationSeconds', '0');
}

/** The renew time as text, or the empty string. */
export function renewTimeIn(variable: string): string {
  return leaseField(variable, 'renewTime', "''");
}

/** Whether a write leaves a field of a Lease's spec as it is, or as absent as it is. */
export function keepsLeaseField(field: string): string {
  return `object.?spec.?${field} == oldObject.?spec.?${field}`;
}

/**
 * Whether there is a renew time in a year of a form, by default one that can be parsed. NB: a zero MicroTime is stored as null, so the type
 * is checked and not only the presence.
 */
export function hasRenewTime(variable: string, years = parsedYears): string {
  return isTime(renewTimeIn(variable), microTimeCharacters, years);
}

/** Whether there is a duration. */
export function hasDuration(variable: string): string {
  return all(`type(${durationIn(variable)}) == int`, `${durationIn(variable)} > 0`);
}

/** Whether somebody holds the lock. */
export function isHeld(variable: string): string {
  return all(`type(${holderIn(variable)}) == string`, `${holderIn(variable)} != ''`);
}

/** Whether an entry has a time in a year of a form, by default one that can be parsed. */
export function isStamped(entry: string, years = parsedYears): string {
  return isTime(`${entry}.?time.orValue('')`, stampCharacters, years);
}

/** Whether a value is a time of so many characters, in UTC, that begins with such a year. */
function isTime(value: string, characters: number, years: string): string {
  const between = characters - yearCharacters - '-'.length - 'Z'.length;
  return all(`type(${value}) == string`, `${value}.matches('^${years}-.{${String(between)}}Z$')`);
}

/** Whether the entries `o`, of before, and `m` are those of one manager. */
export const sameManager = all(
  'o.?manager == m.?manager',
  'o.?operation == m.?operation',
  'o.?subresource == m.?subresource',
  'o.?apiVersion == m.?apiVersion',
);
