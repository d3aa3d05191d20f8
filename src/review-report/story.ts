/**
 * The whole story of one refusal, in sentences. Pure: what a person at three in the morning wants to know, from the record and
 * from what the same logs tell of that lock.
 */
import { span as spanOf } from '../core/span.ts';
import { instant } from '../certs-report/words.ts';
import { quote, seconds } from '../core/message.ts';
import { reasons, type Reason } from '../core/reasons.ts';
import { clauseSentence } from './clauses.ts';
import { advise } from './advice.ts';
import { groupKey, lockKey, type Entry, type Rejection } from './entry.ts';
import { grouped, outcomeOf, personOf } from './rejections.ts';
import { spanAt, timelineOf } from './timeline.ts';

/** One question and its answer. */
export interface Chapter {
  readonly title: string;
  readonly sentences: readonly string[];
  /** Commands, or a policy, as they are typed. */
  readonly lines?: readonly string[];
}

/** A refusal with everything that is known of it. */
export interface Story {
  readonly headline: string;
  readonly chapters: readonly Chapter[];
  readonly rejection: Rejection;
}

/** Tells it. `entries` are those of the same lock, or of all. */
export function storyOf(rejection: Rejection, entries: readonly Entry[]): Story {
  const { record } = rejection;
  const isTold = entries.some((each) => each.kind === 'rejection' && groupKey(each) === groupKey(rejection));
  const all = isTold ? entries : [...entries, rejection];
  return {
    headline: `${instant(rejection.atMs)}  ${nameOf(record)}: ${outcomeOf(rejection)}, ${record.reason}`,
    chapters: [
      { title: 'Who', sentences: who(rejection) },
      { title: 'Tried', sentences: tried(rejection) },
      { title: 'Held by', sentences: heldBy(rejection, all) },
      { title: 'Evidence', sentences: evidence(rejection) },
      { title: 'Rule', sentences: rule(rejection) },
      { title: 'Policy', sentences: [policySentence(record.policy)] },
      { title: 'How often', sentences: howOften(rejection, all) },
      { title: 'If wrong', ...advise(record) },
    ],
    rejection,
  };
}

/** `lease/x in team`. */
function nameOf({ lockKind, name, namespace }: Rejection['record']): string {
  return `${lockKind.toLowerCase()}/${name} in ${namespace}`;
}

function who({ record }: Rejection): readonly string[] {
  const { pod, podUid, requester, instance } = record;
  const uid = podUid === null ? '' : ` (uid ${podUid})`;
  const user = requester === '' ? 'an unknown user' : personOf(requester);
  const writer =
    pod === null
      ? `The write came from ${user}; its token named no pod.`
      : `The write came from the pod ${quote(pod)}${uid} as ${user}.`;
  return instance === '' ? [writer] : [writer, `The replica ${quote(instance)} judged it.`];
}

const attempts: Readonly<Partial<Record<string, string>>> = {
  'create-free': 'create the lock, held by nobody',
  'create-held': 'create the lock, already held',
  acquire: 'acquire the lock, which nobody held',
  renew: 'renew the lock',
  shorten: 'cut the lease short, with its holder left in place',
  'strip-timing': 'take the renew time or the duration away, with the holder left in place',
  'strip-record': 'remove the record, or make it unreadable',
  release: 'release the lock',
  takeover: 'take the lock over',
  delete: 'delete the lock',
  unchanged: 'change the object, but not the promise in it',
};

const endings = {
  Deny: 'It was refused: the API server stored nothing.',
  Warn: 'It was let through, and the client was warned.',
  Audit: 'It was let through, and only recorded.',
} as const;

function tried({ record }: Rejection): readonly string[] {
  const { transition, operation, wouldBeHolder, enforcement, dryRun } = record;
  const attempt = attempts[transition] ?? (operation === '' ? 'write the lock' : `${operation} the lock`);
  const next = wouldBeHolder === null ? '' : `, with ${quote(wouldBeHolder)} as its holder`;
  const dry = dryRun ? ['It was a dry run: nothing would have been stored in any case.'] : [];
  return [`It tried to ${attempt}${next}.`, endings[enforcement], ...dry];
}

function heldBy(rejection: Rejection, entries: readonly Entry[]): readonly string[] {
  const { record, atMs } = rejection;
  if (record.holder === null) return ['Nobody held the lock, as far as the record tells.'];
  const holder = quote(record.holder);
  const told = timelineOf(record, entries, { fromMs: null, toMs: null });
  const span = told === null ? null : spanAt(told, atMs);
  const own = span?.holder === record.holder ? span : null;
  const since =
    own?.isFromKnown === true
      ? `${holder} had held it since ${instant(own.fromMs)}, for ${spanOf(atMs - own.fromMs)}${takenBy(own.pod, own.requester)}.`
      : `${holder} held it; since when these logs do not tell.`;
  return [since, ...afterwards(rejection, entries)];
}

function takenBy(pod: string | null, requester: string | null): string {
  if (pod !== null) return `, taken by the pod ${quote(pod)}`;
  return requester === null || requester === '' ? '' : `, taken by ${personOf(requester)}`;
}

function afterwards({ record, atMs }: Rejection, entries: readonly Entry[]): readonly string[] {
  const next = entries
    .filter(
      (entry) => entry.kind === 'change' && entry.atMs > atMs && lockKey(entry.record) === lockKey(record),
    )
    .sort((a, b) => a.atMs - b.atMs)[0];
  if (next?.kind !== 'change') return ['These logs tell of no change of holder after it.'];
  const { newHolder } = next.record;
  const what = newHolder === null ? 'the lock became free' : `${quote(newHolder)} took the lock`;
  return [`${spanOf(next.atMs - atMs)} later, at ${instant(next.atMs)}, ${what}.`];
}

const sources: Readonly<Partial<Record<string, string>>> = {
  observed: 'lockwarden itself had seen the last renewal',
  stamped: 'the API server’s stamp tells of the last renewal',
  recorded: 'only the holder’s own record tells of the last renewal',
};

function evidence({ record }: Rejection): readonly string[] {
  const { elapsedMinMs, elapsedMaxMs, leaseDurationMs, remainingMinMs, remainingMaxMs } = record;
  const source = sources[record.evidence];
  if (source === undefined || elapsedMinMs === null) return ['No promise with a time stood in the way.'];
  const age = bounds(elapsedMinMs, elapsedMaxMs);
  const lease = leaseDurationMs === null ? '' : `, of a lease of ${seconds(leaseDurationMs)}`;
  const left = remainingMaxMs === null ? [] : [leftOf(remainingMinMs, remainingMaxMs)];
  return [`${capital(source)}: ${age} before the write${lease}.`, ...left];
}

function leftOf(min: number | null, max: number): string {
  return max <= 0
    ? 'The lease had run out.'
    : `${capital(bounds(min ?? 0, max))} of the lease remained; a candidate had to wait that long.`;
}

function bounds(min: number, max: number | null): string {
  if (max === null) return `at least ${seconds(min)}`;
  return seconds(min) === seconds(max) ? seconds(min) : `${seconds(min)} to ${seconds(max)}`;
}

function rule({ record }: Rejection): readonly string[] {
  const { rule: clause, reason, alsoViolated, detail } = record;
  const meaning = Object.hasOwn(reasons, reason) ? reasons[reason as Reason] : 'not known to this version';
  const sentence = clauseSentence(clause);
  const inWords = sentence === null ? [] : [`docs/semantics.md, ${clause}: “${sentence}”`];
  const also = alsoViolated.length === 0 ? [] : [`It also broke ${alsoViolated.join(', ')}.`];
  const said = detail === '' ? [] : [`The client was told: ${detail}`];
  return [`${reason}: ${meaning}.`, ...inWords, ...also, ...said];
}

function policySentence(policy: string): string {
  if (policy === '' || policy === 'built-in defaults')
    return 'No policy covered the lock: the built-in defaults held.';
  return `It was judged by ${policy}.`;
}

function howOften(rejection: Rejection, entries: readonly Entry[]): readonly string[] {
  const all = grouped(entries.filter((entry) => entry.kind === 'rejection'));
  const same = all.find((each) => groupKey(each) === groupKey(rejection)) ?? rejection;
  const { count } = same.record;
  const times =
    count === 1
      ? 'Once.'
      : `${String(count)} times in the same way, from ${instant(same.atMs)} to ${instant(same.lastMs)}.`;
  const others = all.filter((each) => lockKey(each.record) === lockKey(rejection.record) && each !== same);
  if (others.length === 0) return [times, 'These logs tell of no other violation on this lock.'];
  const writes = others.reduce((sum, each) => sum + each.record.count, 0);
  const kinds = [...new Set(others.map((each) => each.record.reason))].sort();
  return [times, `On this lock there were ${String(writes)} other violations: ${kinds.join(', ')}.`];
}

function capital(text: string): string {
  return `${text.slice(0, 1).toUpperCase()}${text.slice(1)}`;
}
