/**
 * Which writes the API server sends to lockwarden at all: `matchConditions`, in CEL.
 *
 * A webhook in front of every renewal can cost a healthy leader its lock when the webhook is slow or down. So a plain
 * renewal is recognised inside the API server and passes without a call, and so does everything that is no lock. An entry for locks has
 * one condition at most, true for what is sent: the API server evaluates all that there are before it looks at any, and each has its price.
 * What most writes fail by comes first in it, and what nearly all renewals look like is tried before the general case: half of what a
 * condition costs is how often it reads a field.
 *
 * INVARIANT: an expression never fails. Under `failurePolicy: Ignore` one that fails would let a theft pass unseen,
 * under `Fail` it would refuse a renewal. So every field is optional or seen to be there, sizes and types are checked before anything
 * expensive or partial is evaluated (`&&` does not evaluate what follows a false term), and times are compared as text:
 * only the API server's own stamps are parsed.
 *
 * What a skipped write can hide is bounded: it keeps holder and duration, moves the renew time forward and at most a
 * minute past the API server's own stamp, and brings no stamp but the one that the API server wrote for it.
 */
import { canaryName } from '../core/canary.ts';
import { all, any, isNamed, isUpdate, literal, not } from './cel.ts';
import {
  entriesMax,
  entriesOf,
  hasDuration,
  hasRenewTime,
  isHeld,
  keepsLeaseField,
  holderIn,
  isStamped,
  ownsLeaseField,
  renewTimeIn,
  sameManager,
  type Owns,
} from './lease-cel.ts';

/** One entry of `matchConditions`. */
export interface MatchCondition {
  readonly name: string;
  readonly expression: string;
}

/** An object that looks like a lock and elects nobody. */
export interface NotALock {
  readonly namespace: string;
  readonly name: string;
}

/**
 * Which updates of locks an entry is for, besides all creations and deletions.
 * `changes`: all but plain renewals. `everything`: plain renewals too. `tracked-changes`: as `changes`, of objects that have stamps.
 * What is left of `changes` and of `everything` beside `tracked-changes`, both without creations and deletions:
 * `untracked` (any update of an object without stamps) and `untracked-and-renewals`.
 */
export type Sent = 'changes' | 'everything' | 'tracked-changes' | 'untracked' | 'untracked-and-renewals';

/** What to send, and what to leave out. */
export interface MatchOptions {
  readonly sent: Sent;
  readonly notLocks: readonly NotALock[];
}

// SOURCE: https://github.com/kubernetes/client-go/blob/master/tools/leaderelection/resourcelock/interface.go (LeaderElectionRecordAnnotationKey)
const annotationKey = 'control-plane.alpha.kubernetes.io/leader';
const annotation = literal(annotationKey);

/** LIMIT: identities are pod names with a suffix; a longer one may well be judged by the webhook each time. */
const holderCharactersMax = 512;
/** LIMIT: an annotation's record is some 300 bytes; searching 4 KiB costs CEL a thousandth of its budget. */
const recordCharactersMax = 4096;
/** LIMIT: clients take the time before they send, so a renewal's time lies before its stamp; a minute is a clock that is off. */
const renewTimeAhead = "duration('60s')";

/** The year that a time begins with, of a Lease or of a stamp. Those beyond are not printed sortably. */
const years = '[12][0-9]{3}';
/** The date and second of a time, and how many characters they take. */
const toTheSecond = literal('[12][0-9]{3}-[0-9]{2}-[0-9]{2}[T ][0-9]{2}:[0-9]{2}:[0-9]{2}');
const secondCharacters = 19;
/**
 * The renew time inside an annotation's record: RFC 3339 in UTC, or as Python's `str(datetime)` writes it, without a
 * zone. A time with another offset cannot be compared as text; such renewals are sent.
 */
const renewTimeMember = literal(
  '"renewTime": ?"[12][0-9]{3}-[0-9]{2}-[0-9]{2}[T ][0-9]{2}:[0-9]{2}:[0-9]{2}([.][0-9]{1,9})?Z?"',
);

/**
 * The conditions for the canary: a dry run on that one Lease. The other conditions are true for dry runs as well.
 * SOURCE: https://github.com/kubernetes/apiserver/blob/v0.36.3/pkg/admission/plugin/cel/compile.go (BuildRequestType: `dryRun` may be absent)
 */
export const canaryConditions: readonly MatchCondition[] = [
  { name: 'the-canary', expression: `request.?name.orValue('') == ${literal(canaryName)}` },
  { name: 'a-dry-run', expression: 'request.?dryRun.orValue(false) == true' },
];

/** The conditions for Leases. */
export function leaseConditions(options: MatchOptions): readonly MatchCondition[] {
  return conditions(options, [], plainLeaseRenewal);
}

/** The conditions for ConfigMaps and Endpoints: none is sent that carries no record, before or after. */
export function recordConditions(options: MatchOptions): readonly MatchCondition[] {
  const carries = (variable: string): string =>
    all(`${variable} != null`, `${annotation} in ${variable}.?metadata.?annotations.orValue({})`);
  return conditions(
    options,
    [any(carries('object'), carries('oldObject'))],
    any(plainRecordRenewal, untouchedRecord),
  );
}

/** One, or none where everything is sent. */
function conditions(
  { sent, notLocks }: MatchOptions,
  isLock: readonly string[],
  harmless: string,
): readonly MatchCondition[] {
  const { name, terms } = sentTerms(sent, all(isUpdate, harmless));
  const named = notLocks.length === 0 ? [] : [not(any(...notLocks.map(isOneOf)))];
  const expressions = [...isLock, ...terms, ...named];
  return expressions.length === 0 ? [] : [{ name, expression: all(...expressions) }];
}

/** What must be true of a lock's write for it to be sent, and what that is called. */
function sentTerms(
  sent: Sent,
  isPlain: string,
): { readonly name: string; readonly terms: readonly string[] } {
  switch (sent) {
    case 'everything':
      return { name: 'a-lock', terms: [] };
    case 'changes':
      return { name: 'not-a-plain-renewal', terms: [not(isPlain)] };
    case 'tracked-changes':
      return { name: 'tracked-and-not-a-plain-renewal', terms: [not(isPlain), not(isUntracked)] };
    case 'untracked':
      return { name: 'untracked', terms: [isUntracked] };
    case 'untracked-and-renewals':
      return { name: 'untracked-or-a-plain-renewal', terms: [any(isUntracked, isPlain)] };
  }
}

/** A CREATE with a generated name cannot be one of the known. */
function isOneOf({ namespace, name }: NotALock): string {
  return all(`request.?namespace.orValue('') == ${literal(namespace)}`, isNamed(name));
}

/** An update of an object without stamps: whether it renews cannot be told, so its outage must be nobody's. */
const isUntracked = all(isUpdate, `size(${entriesOf('oldObject')}) == 0`);

const fewEntries = all(
  `size(${entriesOf('object')}) <= ${entriesMax}`,
  `size(${entriesOf('oldObject')}) <= ${entriesMax}`,
);

/**
 * Whether an entry `m` was there before, with the same time. What it owns may have become less, as it does when another
 * takes a field over; none of the `guarded` fields may have been added to it: that would make an old stamp theirs.
 */
function isOldEntry(guarded: readonly Owns[]): string {
  const same = all(
    sameManager,
    'o.?time == m.?time',
    ...guarded.map((owns) => any(not(owns('m')), owns('o'))),
  );
  return `${entriesOf('oldObject')}.exists(o, ${same})`;
}

/**
 * The API server takes the ownership of a changed renew time from all other entries and stamps the requester's with the
 * present. So after a renewal there is exactly one owner, it carries the present time, and every other entry was there
 * before: no stamp is forged or planted beside it.
 */
function stampedByThisWrite(owns: Owns, guarded: readonly Owns[], renewTimeSecond: string): string {
  const isPresent = (entry: string): string => {
    const limit = `string(timestamp(${entry}.time) + ${renewTimeAhead}).substring(0, ${secondCharacters})`;
    return all(
      isStamped(entry, years),
      // In step, or a little ahead. As text the second is the first part of its stamp, and so comes before it.
      any(`${renewTimeSecond} <= ${entry}.time`, `${renewTimeSecond} <= ${limit}`),
    );
  };
  const only = 'object.metadata.managedFields[0]';
  const several = all(
    fewEntries,
    `${entriesOf('object')}.exists_one(m, ${owns('m')})`,
    `${entriesOf('object')}.all(m, ${owns('m')} ? (${isPresent('m')}) : (${isOldEntry(guarded)}))`,
  );
  return `size(${entriesOf('object')}) == 1 ? (${all(owns(only), isPresent(only))}) : (${several})`;
}

const ownsRenewTime = ownsLeaseField('renewTime');
const ownsHolder = ownsLeaseField('holderIdentity');

/** A renewal as all surveyed clients write it to a Lease, whatever else of the record it changes. */
const plainLeaseRenewal = all(
  keepsLeaseField('holderIdentity'),
  keepsLeaseField('leaseDurationSeconds'),
  isHeld('object'),
  `size(${holderIn('object')}) <= ${holderCharactersMax}`,
  hasDuration('object'),
  hasRenewTime('object', years),
  hasRenewTime('oldObject', years),
  `${renewTimeIn('object')} > ${renewTimeIn('oldObject')}`,
  stampedByThisWrite(
    ownsRenewTime,
    [ownsHolder],
    `${renewTimeIn('object')}.substring(0, ${secondCharacters})`,
  ),
);

function record(variable: string): string {
  return `${variable}.?metadata.?annotations[?${annotation}].orValue('')`;
}

const ownsRecord: Owns = (entry) =>
  `${literal(`f:${annotationKey}`)} in ${entry}.?fieldsV1[?'f:metadata'][?'f:annotations'].orValue({})`;

const smallRecords = all(
  `size(${record('object')}) <= ${recordCharactersMax}`,
  `size(${record('oldObject')}) <= ${recordCharactersMax}`,
  `${record('object')} != ''`,
  `${record('oldObject')} != ''`,
);

/**
 * A renewal of a record in an annotation: everything but the value of its one renew time is the same, byte for byte and
 * in the same place. So the JSON need not be read, and nothing can be smuggled in that some client would read otherwise.
 * What is searched for is named by a list of one, which costs less than to search again. One renew time in the new text and the same text
 * around it are one in the old.
 */
const plainRecordRenewal = all(
  smallRecords,
  `[${record('object')}.findAll(${renewTimeMember})].exists(now, ${all(
    'size(now) == 1',
    `[${record('oldObject')}.find(${renewTimeMember})].exists(then, ${all(
      // Of the same form and length, so that text order is the order of time.
      'size(now[0]) == size(then)',
      "now[0].lastIndexOf('T') == then.lastIndexOf('T')",
      "now[0].lastIndexOf(' ') == then.lastIndexOf(' ')",
      `now[0].endsWith('Z"') == then.endsWith('Z"')`,
      'now[0] > then',
      `${record('object')}.split(now[0]) == ${record('oldObject')}.split(then)`,
      stampedByThisWrite(ownsRecord, [], `now[0].find(${toTheSecond}).replace(' ', 'T')`),
    )})`,
  )})`,
);

/**
 * A write beside the record: data, subsets, labels. The record's stamps are untouched, and at most one entry, the
 * requester's, differs from what was there.
 */
const untouchedRecord = all(
  fewEntries,
  smallRecords,
  `${record('object')} == ${record('oldObject')}`,
  `${entriesOf('object')}.filter(m, ${ownsRecord('m')}).size() == ${entriesOf('oldObject')}.filter(m, ${ownsRecord('m')}).size()`,
  `${entriesOf('object')}.filter(m, ${ownsRecord('m')}).all(m, ${isOldEntry([ownsRecord])})`,
  `${entriesOf('object')}.filter(m, ${not(isOldEntry([ownsRecord]))}).size() <= 1`,
);
