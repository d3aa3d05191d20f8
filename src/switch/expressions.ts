/**
 * The decision as the API server can make it alone: what the core says of a write when nothing was observed and nothing is
 * remembered, in CEL. Only stamps count. "Now" is the stamp that the API server put on this very write; the age of a promise is the
 * time since the stamp of the renew time, and a recorded time never makes it younger.
 *
 * INVARIANT: an expression never fails, and never refuses what is not certainly early. Times that a writer chose are parsed only
 * where their form was checked, and are used only where the API server has left no stamp.
 */
import { all, any, isUpdate, not } from '../kube/cel.ts';
import {
  durationIn,
  entriesMax,
  entriesOf,
  hasDuration,
  hasRenewTime,
  holderIn,
  isHeld,
  isStamped,
  keepsLeaseField,
  ownsLeaseField,
  renewTimeIn,
  sameManager,
  type Owns,
} from '../kube/lease-cel.ts';

/** A part of a policy by name: `variables.NAME` in the expressions after it. */
export interface Variable {
  readonly name: string;
  readonly expression: string;
}

const ownsRenewTime = ownsLeaseField('renewTime');
const ownsHolder = ownsLeaseField('holderIdentity');
const ownsDuration = ownsLeaseField('leaseDurationSeconds');

/** A promise that can be judged: held, timed and stamped, before the write. */
const isPromise = all(
  isHeld('oldObject'),
  hasDuration('oldObject'),
  hasRenewTime('oldObject'),
  `size(${entriesOf('oldObject')}) > 0`,
  `size(${entriesOf('oldObject')}) <= ${String(entriesMax)}`,
);

const keepsHolder = all(isHeld('object'), `${holderIn('object')} == ${holderIn('oldObject')}`);

/** Another holder is written in. */
const isTakeover = all(isHeld('object'), `${holderIn('object')} != ${holderIn('oldObject')}`);

/** The holder stays and its lease is cut short. */
const isShortening = all(
  keepsHolder,
  hasDuration('object'),
  hasDuration('oldObject'),
  `${durationIn('object')} < ${durationIn('oldObject')}`,
);

const hasFairList = all(
  `size(${entriesOf('object')}) > 0`,
  `size(${entriesOf('object')}) <= ${String(entriesMax)}`,
);

/** What nearly all writes are: nobody is refused for one, and it leaves the API server's own stamp behind, whatever list it brings. */
const isPlainRenewal = all(
  keepsLeaseField('holderIdentity'),
  keepsLeaseField('leaseDurationSeconds'),
  not(keepsLeaseField('renewTime')),
  hasRenewTime('object'),
  hasFairList,
);

/**
 * Whether there is anything to judge. One expression, since the API server evaluates every match condition before it looks at any; and for
 * a renewal it is over after its first terms.
 */
export const needsJudging = all(isUpdate, not(isPlainRenewal), isPromise);

const renewTimeStays = keepsLeaseField('renewTime');

/**
 * Whether a write may touch the evidence. A write that moves the renew time makes the API server stamp its one owner anew, whatever list
 * it brings: then only its length and what is missing are looked at.
 */
export const mayFalsify = any(
  renewTimeStays,
  not(hasFairList),
  not(hasDuration('object')),
  not(hasRenewTime('object')),
);

/** Times of the entries of `variable` that own a field. */
function stampsOf(variable: string, owns: Owns): string {
  return `${entriesOf(variable)}.filter(m, ${all(owns('m'), isStamped('m'))}).map(m, timestamp(m.time))`;
}

/** SOURCE: a list of timestamps has `min`: https://kubernetes.io/docs/reference/using-api/cel/ (Kubernetes list library) */
const earliest = (list: string): string => `${list}.min()`;

/** LIMIT: API servers of one cluster whose clocks differ by more than this have other troubles. */
const aheadMax = "duration('10s')";
/** A stamp is of whole seconds: what was stamped at S may have been written up to a second later. */
const stampResolution = "duration('1s')";

/**
 * What the switch judges by, in order. The object may be refused only where `now` holds exactly one time: the stamp of the sole
 * owner of what this write has changed, which only the API server can have put there.
 */
export const switchVariables: readonly Variable[] = [
  { name: 'takes', expression: isTakeover },
  { name: 'shortens', expression: isShortening },
  {
    name: 'now',
    expression: `variables.takes ? ${stampsOf('object', ownsHolder)} : ${stampsOf('object', ownsDuration)}`,
  },
  {
    name: 'isJudged',
    expression: all(
      'size(variables.now) == 1',
      `size(${entriesOf('object')}.filter(m, variables.takes ? (${ownsHolder('m')}) : (${ownsDuration('m')}))) == 1`,
    ),
  },
  // Stamps of the promise. One that lies ahead was forged, and is as good as none.
  {
    name: 'stamps',
    expression: `variables.isJudged ? ${stampsOf('oldObject', ownsRenewTime)}.filter(t, t <= variables.now[0] + ${aheadMax}) : []`,
  },
  {
    name: 'renewed',
    expression: `size(variables.stamps) > 0 ? [${earliest('variables.stamps')}] : (${recordedOnly()} ? [timestamp(${renewTimeIn('oldObject')})] : [])`,
  },
];

/** An owner without a time is real (a forced apply of the same value leaves one); then the record is all there is. */
function recordedOnly(): string {
  return all(
    'variables.isJudged',
    `${entriesOf('oldObject')}.exists(m, ${ownsRenewTime('m')})`,
    `timestamp(${renewTimeIn('oldObject')}) <= variables.now[0]`,
  );
}

/**
 * Whether the write is certainly early, with a tolerance that is a CEL expression of whole milliseconds. As the core has it: the oldest that the promise may be
 * is at most what it lasts, less the tolerance.
 */
export function isEarly(toleranceMs: string): string {
  const lasts = `duration(string(${durationIn('oldObject')}) + 's') - duration(string(${toleranceMs}) + 'ms')`;
  return all(
    'variables.isJudged',
    'size(variables.renewed) == 1',
    `variables.now[0] - variables.renewed[0] + ${stampResolution} <= ${lasts}`,
  );
}

/** How many whole seconds are left, at most; only where `isEarly`. */
export const secondsLeft = `string((duration(string(${durationIn('oldObject')}) + 's') - (variables.now[0] - variables.renewed[0])).getSeconds())`;

/**
 * Whether the writer of a shortened lease is another than who renews it: by name of the manager, which is all there is. The holder's
 * own programs have one name; some release by cutting their lease short. Bonny creates under one name and applies under another, but it
 * applies the whole record, and so owns the renew time as well.
 * SOURCE: https://github.com/coryodaniel/bonny/blob/master/lib/bonny/operator/leader_elector.ex
 */
export const isByAnother = not(
  any(
    `${entriesOf('oldObject')}.exists(o, ${all(
      ownsRenewTime('o'),
      `${entriesOf('object')}.exists(m, ${all(ownsDuration('m'), 'm.?manager == o.?manager')})`,
    )})`,
    `${entriesOf('object')}.exists(m, ${all(ownsDuration('m'), ownsRenewTime('m'), "m.?operation.orValue('') == 'Apply'")})`,
  ),
);

/**
 * Whether the guard Lease, which is the parameter, was renewed so lately before `now`, a CEL timestamp, that lockwarden is asked. A renew
 * time that lies ahead is one of before a clock was set back: it says nothing.
 */
function isAsleepAt(now: string): string {
  return all(
    isHeld('params'),
    hasRenewTime('params'),
    hasDuration('params'),
    `timestamp(${renewTimeIn('params')}) <= ${now} + ${aheadMax}`,
    `${now} <= timestamp(${renewTimeIn('params')}) + duration(string(${durationIn('params')}) + 's')`,
  );
}

/** Whether lockwarden is asked about this write. Only where `variables.isJudged`. */
export const isAsleep = isAsleepAt('variables.now[0]');

/**
 * Whether the write jumps ahead and lockwarden may not have been asked: a match condition, so that the rest of the policy costs a takeover
 * nothing while the switch sleeps: for its validations, for its messages and for its annotations the API server prepares both objects anew.
 */
export const mayJumpAhead = any(
  all(isTakeover, not(isAsleepBy(ownsHolder))),
  all(isShortening, not(isAsleepBy(ownsDuration))),
);

/** The same by any stamp of those who own a field, in one go through the list. */
function isAsleepBy(owns: Owns): string {
  return `${entriesOf('object')}.exists(m, ${all(owns('m'), isStamped('m'), isAsleepAt('timestamp(m.time)'))})`;
}

/** Timing that the holder's record had is gone. It leaves no stamp, so nothing can tell when: refused whenever it is. */
const stripsTiming = all(keepsHolder, not(all(hasRenewTime('object'), hasDuration('object'))));

/**
 * The list of stamps is emptied while there is anything left to stamp, or grows beyond what any honest list has. A release that takes away
 * all that its writer had written leaves no stamps.
 */
const spoilsList = any(
  all(
    `size(${entriesOf('object')}) == 0`,
    any(isHeld('object'), hasDuration('object'), hasRenewTime('object')),
  ),
  all(
    `size(${entriesOf('object')}) > ${String(entriesMax)}`,
    `size(${entriesOf('object')}) > size(${entriesOf('oldObject')})`,
  ),
);

/**
 * Managers under which the API server itself adds entries.
 * SOURCE: https://github.com/kubernetes/apimachinery/tree/master/pkg/util/managedfields/internal (capmanagers.go, skipnonapplied.go)
 */
const ownManagers = "['ancient-changes', 'before-first-apply']";

/** Entries that this write has brought or touched. The API server touches one, the requester's. */
const touched = `${entriesOf('object')}.filter(m, ${all(
  not(`m.?manager.orValue('') in ${ownManagers}`),
  not(`${entriesOf('oldObject')}.exists(o, ${all(sameManager, 'o.?time == m.?time')})`),
)})`;

/** The renew time stays, and entries are planted or forged beside the one that the API server wrote. */
const plants = all(
  renewTimeStays,
  not(
    any(
      all(isTakeover, `variables.touched.all(m, ${ownsHolder('m')})`),
      all(not(isTakeover), 'size(variables.touched) <= 1'),
    ),
  ),
);

/**
 * The renew time stays, and its stamp goes, moves back or passes to an entry that did not own it.
 *
 * What an API server writes whose clock lags moves a stamp back by a little, honestly. So that many such steps do not add up, none may
 * lead to before the recorded time, less the same little: for a holder with a right clock that is when it renewed.
 */
function falsifies(toleranceMs: string): string {
  const tolerated = `duration(string(${toleranceMs}) + 'ms') + ${stampResolution}`;
  const owner = `${entriesOf('object')}.exists(m, ${all(
    ownsRenewTime('m'),
    any(
      `m.?manager.orValue('') in ${ownManagers}`,
      `${entriesOf('oldObject')}.exists(o, ${all(sameManager, ownsRenewTime('o'))})`,
    ),
  )})`;
  return all(
    'variables.isSmall',
    'size(variables.before) > 0',
    hasRenewTime('object'),
    any(
      'size(variables.after) == 0',
      all(
        renewTimeStays,
        any(
          `${earliest('variables.after')} < ${earliest('variables.before')} - (${tolerated})`,
          all(
            `${earliest('variables.after')} < ${earliest('variables.before')}`,
            `${earliest('variables.after')} < timestamp(${renewTimeIn('object')}) - (${tolerated})`,
          ),
          not(owner),
        ),
      ),
    ),
  );
}

/**
 * What validations on the evidence ask, by name: with the tolerance as `isEarly` has it.
 *
 * NB: validations use variables alone, since Kubernetes checks the types of validations by the schema. It takes a MicroTime there for a
 * timestamp, and fields that entries own for an object without fields; what expressions are given is text, and a map.
 */
export function stampVariables(toleranceMs: string): readonly Variable[] {
  return [
    { name: 'isSmall', expression: `size(${entriesOf('object')}) <= ${String(entriesMax)}` },
    { name: 'touched', expression: `variables.isSmall ? ${touched} : []` },
    { name: 'before', expression: stampsOf('oldObject', ownsRenewTime) },
    { name: 'after', expression: `variables.isSmall ? ${stampsOf('object', ownsRenewTime)} : []` },
    { name: 'strips', expression: stripsTiming },
    { name: 'spoilsList', expression: spoilsList },
    { name: 'plants', expression: plants },
    { name: 'falsifies', expression: falsifies(toleranceMs) },
  ];
}
