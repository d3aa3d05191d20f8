/**
 * What is known of one lock, as a line of text, and back: `lease/team/election [1,[...],null]`. The text comes from a
 * ConfigMap, so it is read as strictly as if a stranger had written it, and every part of it is bounded: holders and times
 * are their writers' words.
 */
import type { Attribution } from '../core/decision.ts';
import type { PodRef } from '../core/facts.ts';
import { describeLock, lockKinds, type LockRef } from '../core/lock.ts';
import type { Assertion, Deletion, LockFacts } from '../core/shared-facts.ts';
import { serverMs } from '../core/time.ts';
import { readRecordedTime } from '../locks/recorded-time.ts';

/**
 * The layout that is written here: `[1, assertions, deletion or null]`.
 * An assertion is `[version, uid, holder, pod, acquireTime, transitions]`, a pod `[namespace, name, uid]` or null; a
 * deletion `[version, uid, attribution, pod, holder, leaseDurationMs, renewTime, stampedAt, spentBy]`, times in Unix
 * milliseconds. An empty uid is that of the assertion before, an empty namespace the lock's.
 */
const layout = 1;

/** LIMIT: client-go's identities are a host name (64) and a UUID; four times that is not a name any more. */
const holderMax = 256;
/** LIMIT: Go's longest RFC 3339 time has 35 characters. */
const timeMax = 64;
/** LIMIT: a UUID has 36 characters. */
const uidMax = 64;
/** LIMIT: a name is a DNS subdomain. */
const nameMax = 253;
/** LIMIT: four assertions and a deletion with the longest of everything, less what no cluster combines. */
const lineMax = 4_096;
/** LIMIT: the one that holds, whom it has superseded, and the holder before: what a restarted replica needs. */
export const assertionsMax = 4;

/** A line as it was read: `foreign` is of a later lockwarden, and is left as it is; `broken` is nobody's. */
export type Line = { readonly lock: LockRef; readonly facts: LockFacts } | 'foreign' | 'broken';

/** The key of a lock's line. */
export function keyOf(lock: LockRef): string {
  return describeLock(lock);
}

/** The facts that can be written down, and how many cannot. */
export function fitting(facts: LockFacts): { readonly facts: LockFacts; readonly dropped: number } {
  const asserted = facts.asserted.filter(fits).slice(-assertionsMax);
  const deleted = facts.deleted !== null && deletionFits(facts.deleted) ? facts.deleted : null;
  const unfit = facts.asserted.filter((each) => !fits(each)).length + (deleted === facts.deleted ? 0 : 1);
  return { facts: { asserted, deleted }, dropped: unfit };
}

/** The line of a lock; null where it would be too long. */
export function lineOf(lock: LockRef, { asserted, deleted }: LockFacts): string | null {
  let uid = '';
  const assertions = asserted.slice(-assertionsMax).map((each) => {
    const same = each.uid === uid;
    uid = each.uid;
    const { version, holder, pod, acquireTime, transitions } = each;
    return [version, same ? '' : uid, holder, podText(pod, lock), acquireTime, transitions];
  });
  const line = `${keyOf(lock)} ${JSON.stringify([layout, assertions, deletionText(deleted, lock)])}`;
  return line.length > lineMax ? null : line;
}

/** Reads a line. */
export function readLine(line: string): Line {
  const space = line.indexOf(' ');
  const lock = line.length > lineMax ? null : lockOf(line.slice(0, space));
  const value = lock === null ? undefined : parsed(line.slice(space + 1));
  if (lock === null || !Array.isArray(value)) return 'broken';
  const [version, assertions, deletion] = value as readonly unknown[];
  if (typeof version === 'number' && version > layout) return 'foreign';
  if (version !== layout || !Array.isArray(assertions) || assertions.length > assertionsMax) return 'broken';
  const asserted = readAssertions(assertions, lock);
  const deleted = deletion === null ? null : readDeletion(deletion, lock);
  return asserted === null || deleted === 'broken' ? 'broken' : { lock, facts: { asserted, deleted } };
}

function fits({ uid, holder, pod, acquireTime }: Assertion): boolean {
  return (
    isText(uid, uidMax) &&
    isText(holder, holderMax) &&
    podFits(pod) &&
    (acquireTime === null || isText(acquireTime, timeMax))
  );
}

function deletionFits({ uid, holder, holderPod, renewTime }: Deletion): boolean {
  return (
    isText(uid, uidMax) && isText(holder, holderMax) && podFits(holderPod) && isText(renewTime.raw, timeMax)
  );
}

function podFits(pod: PodRef | null): boolean {
  return (
    pod === null || (isText(pod.namespace, nameMax) && isText(pod.name, nameMax) && isText(pod.uid, uidMax))
  );
}

function podText(pod: PodRef | null, lock: LockRef): readonly string[] | null {
  return pod === null ? null : [pod.namespace === lock.namespace ? '' : pod.namespace, pod.name, pod.uid];
}

function deletionText(deleted: Deletion | null, lock: LockRef): readonly unknown[] | null {
  if (deleted === null) return null;
  const { version, uid, attribution, holderPod, holder, leaseDurationMs, renewTime, stampedAt, spentBy } =
    deleted;
  const pod = podText(holderPod, lock);
  return [version, uid, attribution, pod, holder, leaseDurationMs, renewTime.raw, stampedAt, spentBy];
}

function lockOf(key: string): LockRef | null {
  const [kindText, namespace = '', name = '', ...more] = key.split('/');
  const kind = lockKinds.find((each) => each.toLowerCase() === kindText);
  if (kind === undefined || more.length > 0) return null;
  return isText(namespace, nameMax) && isText(name, nameMax) ? { kind, namespace, name } : null;
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

function readAssertions(values: readonly unknown[], lock: LockRef): readonly Assertion[] | null {
  const asserted: Assertion[] = [];
  for (const value of values) {
    if (!Array.isArray(value)) return null;
    const [version, uidText, holder, podValue, acquireTime, transitions] = value as readonly unknown[];
    const uid = uidText === '' ? asserted.at(-1)?.uid : uidText;
    const pod = readPod(podValue, lock);
    if (!isCount(version) || !isText(uid, uidMax) || !isText(holder, holderMax) || pod === 'broken')
      return null;
    if (acquireTime !== null && !isText(acquireTime, timeMax)) return null;
    if (transitions !== null && typeof transitions !== 'number') return null;
    asserted.push({ uid, version, holder, pod, acquireTime, transitions });
  }
  return asserted.sort((a, b) => a.version - b.version);
}

const attributions: readonly Attribution[] = ['holder', 'system', 'other', 'unknown'];

function readDeletion(value: unknown, lock: LockRef): Deletion | 'broken' {
  if (!Array.isArray(value)) return 'broken';
  const [version, uid, attributionText, podValue, holder, leaseDurationMs, renewed, stampedAt, spentBy] =
    value as readonly unknown[];
  const attribution = attributions.find((each) => each === attributionText);
  const holderPod = readPod(podValue, lock);
  const renewTime = isText(renewed, timeMax) ? readRecordedTime(renewed) : null;
  if (!isCount(version) || !isText(uid, uidMax) || !isText(holder, holderMax)) return 'broken';
  if (attribution === undefined || holderPod === 'broken' || renewTime === null) return 'broken';
  if (typeof leaseDurationMs !== 'number' || leaseDurationMs <= 0 || !isCount(spentBy)) return 'broken';
  if (stampedAt !== null && !isCount(stampedAt)) return 'broken';
  const stamp = stampedAt === null ? null : serverMs(stampedAt);
  const promise = { holder, leaseDurationMs, renewTime, stampedAt: stamp, spentBy: serverMs(spentBy) };
  return { uid, version, attribution, holderPod, ...promise };
}

function readPod(value: unknown, lock: LockRef): PodRef | null | 'broken' {
  if (value === null) return null;
  if (!Array.isArray(value)) return 'broken';
  const [namespaceText, name, uid] = value as readonly unknown[];
  const namespace = namespaceText === '' ? lock.namespace : namespaceText;
  if (!isText(namespace, nameMax) || !isText(name, nameMax) || !isText(uid, uidMax)) return 'broken';
  return { namespace, name, uid };
}

function isText(value: unknown, max: number): value is string {
  return typeof value === 'string' && value !== '' && value.length <= max;
}

function isCount(value: unknown): value is number {
  return typeof value === 'number' && Number.isSafeInteger(value) && value > 0;
}
