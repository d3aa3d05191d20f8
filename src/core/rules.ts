/**
 * The rules: each looks at one context and finds at most one thing wrong. Which rules a transition is put to stands in
 * one table, so that a transition without an entry does not compile. docs/semantics.md has each clause in words.
 */
import { lengthens, returnsTo, type Context } from './context.ts';
import type { Clause } from './decision.ts';
import type { Finding, Rule } from './finding.ts';
import { collects, provesAnotherIdentity } from './identity.ts';
import { seconds } from './message.ts';
import { conditionsNotMet, forbiddenCandidate, holderMismatch, outOfBounds } from './policy-rules.ts';
import { falsifying, planting } from './tampering.ts';
import { stampResolutionMs } from './time.ts';
import type { Transition } from './transition.ts';

/** LIMIT: clients are built for clocks that are off; a minute is more than NTP ever leaves and less than an hour's mistake. */
const skewWorthAWarningMs = 60_000;

const prematureTakeover: Rule = ({ expiry }) => {
  switch (expiry.verdict) {
    case 'live':
      return { clause: 'U15', reason: 'PrematureTakeover', detail: '' };
    case 'doubt':
      return { clause: 'U13', reason: 'UncertainExpiry', detail: '' };
    case 'untimed':
      return { clause: 'U12', reason: 'UntimedRecord', detail: 'its holder promised no time' };
    case 'free':
    case 'expired':
      return null;
  }
};

const prematureRecreation: Rule = (context) => {
  const { buried, buriedTie, facts, transition } = context;
  if (buried.verdict !== 'live' && buried.verdict !== 'doubt') return null;
  const clause = transition === 'acquire' ? 'U3' : 'C3';
  if (returnsTo(context)) {
    if (buried.verdict === 'doubt' || buriedTie !== 'foreign') return null;
    return {
      clause,
      reason: 'PrematureRecreation',
      detail: "in its holder's name, by another pod than its holder's",
    };
  }
  if (buried.verdict === 'doubt')
    return { clause, reason: 'UncertainExpiry', detail: 'it was deleted while held' };
  if (facts.tombstone?.attribution === 'other') return { clause, reason: 'PrematureRecreation', detail: '' };
  return { clause, reason: 'PrematureRecreation', detail: 'who deleted it is not known', atMost: 'Warn' };
};

const staleRenewTime: Rule = ({ after, now, facts, settings }) => {
  const renewedAt = after?.renewTime?.at ?? null;
  if (after?.renewTime == null || renewedAt === null || now === null) return null;
  const behindMs = now.min - settings.toleranceMs - renewedAt;
  if (after.leaseDurationMs !== null && behindMs >= after.leaseDurationMs) {
    const detail = `the new renew time is ${seconds(now.min - renewedAt)} behind the API server's clock, its duration only ${seconds(after.leaseDurationMs)}`;
    return { clause: 'S1', reason: 'StaleRenewTime', detail };
  }
  // Whole-second annotation times repeat honestly within their second, so only an old time counts as replayed.
  if (behindMs > stampResolutionMs && facts.storedRenewTimes.includes(after.renewTime.raw)) {
    return {
      clause: 'S2',
      reason: 'StaleRenewTime',
      detail: 'the renew time repeats one that this identity has stored before',
    };
  }
  return null;
};

const strippedTiming: Rule = ({ expiry }) =>
  expiry.verdict === 'live'
    ? { clause: 'U7', reason: 'StrippedTiming', detail: '' }
    : doubtful(expiry.verdict, 'U7', 'its timing is removed');

const strippedRecord: Rule = ({ expiry, write }) => {
  const reading = write.after?.reading;
  const detail = reading?.kind === 'unreadable' ? reading.why : 'the record is gone';
  if (expiry.verdict === 'live') return { clause: 'U16', reason: 'StrippedRecord', detail };
  if (expiry.verdict === 'doubt') return { clause: 'U16', reason: 'UncertainExpiry', detail };
  return null;
};

const unreadableRecord: Rule = ({ write }) => {
  const reading = write.after?.reading;
  if (reading?.kind === 'unreadable')
    return { clause: 'U17', reason: 'UnreadableRecord', detail: reading.why };
  return null;
};

const foreignRelease: Rule = ({ expiry, tie, transition, facts }) => {
  if (expiry.verdict !== 'live' || tie === 'own') return null;
  const clause = transition === 'release' ? 'U11' : 'U6';
  if (tie === 'foreign') return { clause, reason: 'ForeignRelease', detail: '' };
  if (facts.bindings.holderPodState !== 'unknown') return null;
  return {
    clause,
    reason: 'ForeignRelease',
    detail: "whether the holder's pod still runs is not known",
    atMost: 'Warn',
  };
};

const foreignRenewal: Rule = (context) => {
  const { expiry, tie, facts } = context;
  if (expiry.verdict !== 'live' || tie === 'own') return null;
  const { requesterSuperseded, holderPod, holderPodState } = facts.bindings;
  if (provesAnotherIdentity(context.before?.holder ?? null, context.write.requester, facts.bindings))
    return { clause: 'U8', reason: 'ForeignRenewal', detail: '' };
  if (tie === 'foreign' && lengthens(context)) {
    return { clause: 'U8', reason: 'ForeignRenewal', detail: 'it would also lengthen the lease' };
  }
  if (requesterSuperseded && holderPodState === 'exists') {
    return {
      clause: 'U8',
      reason: 'DuplicateIdentity',
      detail: `pod ${holderPod?.name ?? ''} goes by the same identity`,
    };
  }
  return null;
};

const liveLockDeleted: Rule = ({ expiry, tie, write, settings }) => {
  if (expiry.verdict !== 'live' || tie === 'own') return null;
  if (write.before?.terminating === true || collects(write.requester)) return null;
  const detail = tie === 'foreign' ? "by another pod than its holder's" : '';
  if (settings.deletion === 'Deny') return { clause: 'D4', reason: 'LiveLockDeleted', detail };
  return { clause: 'D4', reason: 'LiveLockDeleted', detail, atMost: 'Audit' };
};

const planted: Rule = ({ write }) => {
  const found = planting(write);
  return found === null ? null : { clause: found.clause, reason: 'EvidenceTampered', detail: found.what };
};

const falsified: Rule = ({ write, expiry, settings }) => {
  if (expiry.verdict !== 'live' && expiry.verdict !== 'doubt') return null;
  const found = falsifying(write, settings.toleranceMs);
  return found === null ? null : { clause: found.clause, reason: 'EvidenceTampered', detail: found.what };
};

const skewed: Rule = ({ before, after, now }) => {
  const renewedAt = after?.renewTime?.at ?? null;
  if (renewedAt === null || now === null || after?.renewTime?.raw === before?.renewTime?.raw) return null;
  if (renewedAt > now.max + skewWorthAWarningMs) {
    return { clause: 'W1', reason: 'RenewTimeSkewed', detail: `${seconds(renewedAt - now.max)} ahead` };
  }
  if (renewedAt < now.min - skewWorthAWarningMs) {
    return { clause: 'W1', reason: 'RenewTimeSkewed', detail: `${seconds(now.min - renewedAt)} behind` };
  }
  return null;
};

const backward: Rule = ({ before, after }) => {
  const then = before?.renewTime?.at ?? null;
  const now = after?.renewTime?.at ?? null;
  if (then === null || now === null || now >= then) return null;
  return { clause: 'W2', reason: 'RenewTimeBackward', detail: `by ${seconds(then - now)}` };
};

const oddTransitions: Rule = ({ before, after, transition }) => {
  const then = before?.transitions ?? null;
  const now = after?.transitions ?? null;
  // Many clients never write the count, and one that is absent is not odd.
  if (then === null || now === null) return null;
  const expected = transition === 'takeover' || transition === 'acquire' ? then + 1 : then;
  return now === expected
    ? null
    : { clause: 'W3', reason: 'TransitionsOdd', detail: `${then} becomes ${now}` };
};

const acquireTimeChanged: Rule = ({ before, after }) =>
  before?.acquireTime?.raw === after?.acquireTime?.raw
    ? null
    : { clause: 'W4', reason: 'AcquireTimeChanged', detail: '' };

/** P1 where a promise of another length is made by its holder. */
const newDurationOutOfBounds: Rule = (context) => (lengthens(context) ? outOfBounds(context) : null);

const anyUpdate: readonly Rule[] = [planted, falsified];
const taking: readonly Rule[] = [outOfBounds, forbiddenCandidate, holderMismatch, conditionsNotMet];

/** Which rules each transition is put to. */
const rulesOf: Readonly<Record<Transition, readonly Rule[]>> = {
  'create-free': [planted, unreadableRecord, conditionsNotMet],
  'create-held': [planted, prematureRecreation, staleRenewTime, skewed, ...taking],
  unchanged: anyUpdate,
  unheld: anyUpdate,
  acquire: [...anyUpdate, prematureRecreation, staleRenewTime, skewed, oddTransitions, ...taking],
  renew: [
    ...anyUpdate,
    foreignRenewal,
    skewed,
    backward,
    oddTransitions,
    acquireTimeChanged,
    newDurationOutOfBounds,
  ],
  shorten: [...anyUpdate, foreignRelease, conditionsNotMet],
  'strip-timing': [...anyUpdate, strippedTiming, conditionsNotMet],
  'strip-record': [...anyUpdate, strippedRecord, unreadableRecord, conditionsNotMet],
  release: [...anyUpdate, foreignRelease, conditionsNotMet],
  takeover: [...anyUpdate, prematureTakeover, staleRenewTime, skewed, oddTransitions, ...taking],
  delete: [liveLockDeleted, conditionsNotMet],
};

/** Puts a write to every rule of its transition, in the table's order. */
export function findings(context: Context): readonly Finding[] {
  const found: Finding[] = [];
  for (const rule of rulesOf[context.transition]) {
    const finding = rule(context);
    if (finding !== null) found.push(finding);
  }
  return found;
}

function doubtful(verdict: Context['expiry']['verdict'], clause: Clause, detail: string): Finding | null {
  return verdict === 'doubt' ? { clause, reason: 'UncertainExpiry', detail } : null;
}
