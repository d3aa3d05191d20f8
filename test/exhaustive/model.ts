/**
 * The truth table once more, as naively as it can be written: words in, the expected clauses out. It imports nothing
 * from the program, knows no times and no objects, and is meant to be read beside docs/semantics.md.
 */

/** What the lock carries. `held` has both times; the others lack one; `held5` and `held30` differ in duration only. */
export type Carried =
  'absent' | 'free' | 'held' | 'held5' | 'held30' | 'noRenewTime' | 'noDuration' | 'unreadable' | 'noRecord';

export interface Case {
  readonly operation: 'CREATE' | 'UPDATE' | 'DELETE';
  readonly before: Carried;
  readonly after: Carried;
  /** Whether the identity in `after` is the one in `before`; a tombstone's identity counts as the one before. */
  readonly sameHolder: boolean;
  readonly renewed: boolean;
  readonly age: 'live' | 'doubt' | 'expired';
  /** What is known of the requester against the holder of `before` (or of the tombstone). */
  readonly requester:
    'own' | 'otherIdentity' | 'boundPodRuns' | 'boundPodGone' | 'boundPodUnknown' | 'noBinding' | 'apiServer';
  readonly stamps: 'intact' | 'reset' | 'planted';
  readonly tombstone: 'none' | 'byOther' | 'byUnknown';
}

const held = (carried: Carried): boolean =>
  ['held', 'held5', 'held30', 'noRenewTime', 'noDuration'].includes(carried);
const timed = (carried: Carried): boolean => ['held', 'held5', 'held30'].includes(carried);
const carriesRenewTime = (carried: Carried): boolean =>
  timed(carried) || carried === 'noDuration' || carried === 'free';
const seconds: Partial<Record<Carried, number>> = { held: 15, held5: 5, held30: 30, noRenewTime: 15 };

/** The clauses that object to a case, each with what it causes. Order does not matter. */
export function expected(c: Case): string[] {
  const found = violations(c);
  return c.requester === 'apiServer'
    ? found.map((each) => each.replace('U15', 'U14').replace(/ Deny$/, ' Warn'))
    : found;
}

function violations(c: Case): string[] {
  const found: string[] = [];
  const live = timed(c.before) && c.age === 'live';
  const doubt = timed(c.before) && c.age === 'doubt';
  const foreign = c.requester === 'otherIdentity' || c.requester === 'boundPodRuns';

  if (c.operation === 'DELETE') {
    if (live && c.requester !== 'own' && c.requester !== 'apiServer') found.push('D4 Audit');
    return found;
  }
  if (c.stamps === 'planted') found.push('U19 Deny');
  if (c.stamps !== 'intact' && (live || doubt) && carriesRenewTime(c.after)) {
    found.push('U18 Deny');
  }
  if (c.operation === 'CREATE') {
    if (c.after === 'unreadable') found.push('U17 Warn');
    if (held(c.after)) found.push(...afterDeletion(c, 'C3', foreign));
    return found;
  }

  if (c.after === 'unreadable' || (c.after === 'noRecord' && c.before !== 'noRecord')) {
    if (live) found.push('U16 Deny');
    if (doubt) found.push('U16 Warn');
    if (c.after === 'unreadable') found.push('U17 Warn');
    return found;
  }
  if (!held(c.before)) {
    if (held(c.after)) found.push(...afterDeletion(c, 'U3', foreign));
    return found;
  }
  if (!held(c.after)) {
    if (live && foreign) found.push('U11 Deny');
    if (live && c.requester === 'boundPodUnknown') found.push('U11 Warn');
    return found;
  }
  if (!c.sameHolder) {
    if (!timed(c.before)) found.push('U12 Warn');
    if (live) found.push('U15 Deny');
    if (doubt) found.push('U13 Warn');
    return found;
  }
  const strips =
    (c.before !== 'noRenewTime' && c.after === 'noRenewTime') ||
    (c.before !== 'noDuration' && c.after === 'noDuration');
  if (strips) {
    if (live) found.push('U7 Deny');
    if (doubt) found.push('U7 Warn');
    return found;
  }
  const [then, now] = [seconds[c.before], seconds[c.after]];
  if (then !== undefined && now !== undefined && now < then) {
    if (live && foreign) found.push('U6 Deny');
    if (live && c.requester === 'boundPodUnknown') found.push('U6 Warn');
    return found;
  }
  const longer = then !== undefined && now !== undefined && now > then;
  if (!longer && !c.renewed && c.before === c.after) return found;
  if (live && (c.requester === 'otherIdentity' || (longer && foreign))) found.push('U8 Deny');
  return found;
}

function afterDeletion(c: Case, clause: string, foreign: boolean): string[] {
  if (c.tombstone === 'none' || c.age === 'expired') return [];
  if (c.sameHolder) return c.age === 'live' && foreign ? [`${clause} Deny`] : [];
  if (c.age === 'doubt') return [`${clause} Warn`];
  return [`${clause} ${c.tombstone === 'byOther' ? 'Deny' : 'Warn'}`];
}
