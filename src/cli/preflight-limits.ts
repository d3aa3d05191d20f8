/** What a source of a preflight cannot show, or did not, in sentences. */
import { LockwardenError } from '../errors.ts';
import type { AuditCounts } from '../preflight/audit-log.ts';
import type { Preflight } from '../preflight/preflight.ts';

/** What no watch shows. */
export const limitsOfWatch: readonly string[] = [
  'a watch shows what was stored: not who wrote it, nor what was refused, nor a write that changed nothing. So releases, renewals and deletions by the wrong pod are not found; an audit log (--audit-log) shows them',
];

/**
 * Checks that the log holds audit events that can be used.
 *
 * @throws LockwardenError `StorageFailed`, saying what to do
 */
export function requireEvents(name: string, counts: AuditCounts): void {
  const { lines, notEvents, tooLong, writes, withoutObjects } = counts;
  if (lines === 0) throw unusable(name, 'it is empty; give a log of a time in which elections ran');
  if (notEvents + tooLong + (counts.isCut ? 1 : 0) === lines)
    throw unusable(
      name,
      'it holds no audit events, one JSON object of audit.k8s.io/v1 a line; unpack it if it is compressed (zcat FILE | lockwarden preflight --audit-log -)',
    );
  if (writes === 0 && withoutObjects.size > 0)
    throw unusable(
      name,
      `writes to locks are in it without their objects (${levelsOf(withoutObjects)}); record leases, configmaps and endpoints at the level RequestResponse (docs/preflight.md has a policy)`,
    );
}

/** What of an audit log was not used, and what that leaves open. */
export function limitsOfAuditLog(counts: AuditCounts, seen: Preflight): readonly string[] {
  const { notEvents, tooLong, withoutObjects, refused, isCut } = counts;
  const limits = [
    'policies of a cluster were not asked for: the built-in defaults were judged by',
    notEvents === 0 ? null : `${lines(notEvents)} no audit events, and left out`,
    tooLong === 0 ? null : `${lines(tooLong)} too long, and left out`,
    isCut ? 'the last line is cut, and left out' : null,
    withoutObjects.size === 0
      ? null
      : `writes were recorded without their objects (${levelsOf(withoutObjects)}), and could not be judged: record them at the level RequestResponse`,
    refused.another === 0
      ? null
      : `${writes(refused.another)} refused by somebody else than lockwarden, and not judged`,
    refused.lockwarden === 0 ? null : `${writes(refused.lockwarden)} refused by lockwarden already`,
    gapsOf(seen),
    hasNoStamps(seen)
      ? 'the objects carry no managedFields (`omitManagedFields` of the audit policy), so stamps were not judged'
      : null,
  ];
  return limits.filter((limit) => limit !== null);
}

function gapsOf(seen: Preflight): string | null {
  const gaps = [...seen.tallies].reduce((all, { unseen }) => all + unseen, 0);
  if (gaps === 0) return null;
  return `${String(gaps)} times a lock had been written in between, which the log does not have: with several API servers, put all their logs together (sort by requestReceivedTimestamp)`;
}

/** LIMIT: a lock without stamps is normal, ten of them and no other are not. */
const locksWithoutStamps = 10;

function hasNoStamps(seen: Preflight): boolean {
  const held = [...seen.tallies].filter(({ state }) => state !== null);
  return held.length >= locksWithoutStamps && held.every(({ state }) => state?.stamps.count === 0);
}

function levelsOf(withoutObjects: ReadonlyMap<string, number>): string {
  return [...withoutObjects].map(([what, count]) => `${String(count)} of ${what}`).join(', ');
}

function lines(count: number): string {
  return count === 1 ? '1 line is' : `${String(count)} lines are`;
}

function writes(count: number): string {
  return count === 1 ? '1 write was' : `${String(count)} writes were`;
}

function unusable(name: string, why: string): LockwardenError {
  return new LockwardenError('StorageFailed', `the audit log \`${name}\` cannot be used: ${why}`);
}
