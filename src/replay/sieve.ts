/**
 * Which lines of an audit log need no reading. Most events are about other things than writes to locks, and parsing them is most of the
 * work of a gigabyte; looking for a few words is a hundredth of it.
 */

/**
 * INVARIANT: a line that is let go tells of no write to a lock, however its JSON is laid out: without these texts it names neither the
 * resource nor the verb.
 * NB: JSON may write any character as an escape; no encoder does so with letters.
 */
const resources = ['"leases"', '"configmaps"', '"endpoints"'].map((text) => Buffer.from(text));
const verbs = ['"update"', '"patch"', '"create"', '"delete"', '"deletecollection"'].map((text) =>
  Buffer.from(text),
);

const openBrace = 0x7b;
const closeBrace = 0x7d;
const space = 0x20;

/** Whether a line may tell of a write to a lock, or is no event at all, which is to be counted. */
export function isWorthReading(line: Buffer): boolean {
  if (line.length === 0) return false;
  if (!isClosed(line)) return true;
  return resources.some((text) => line.includes(text)) && verbs.some((text) => line.includes(text));
}

/** Whether it begins and ends as a JSON object does. */
function isClosed(line: Buffer): boolean {
  let start = 0;
  let end = line.length - 1;
  while (start < end && (line[start] ?? 0) <= space) start += 1;
  while (end > start && (line[end] ?? 0) <= space) end -= 1;
  return line[start] === openBrace && line[end] === closeBrace && end > start;
}
