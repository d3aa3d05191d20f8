/**
 * What holds for a lock, where each value comes from, and what a takeover would meet now: everything that `lockwarden explain`
 * says, as data. Pure.
 */
import { decide } from '../core/decide.ts';
import { nothingKnown } from '../core/facts.ts';
import type { LockRecord, LockRef, LockState, LockWrite } from '../core/lock.ts';
import { describeLock } from '../core/lock.ts';
import type { Enforcement, Reason } from '../core/reasons.ts';
import type { Settings } from '../core/settings.ts';
import { recordOf } from '../core/stamps.ts';
import { serverMs, type Interval } from '../core/time.ts';
import { describePolicy } from '../policy/policy-ref.ts';
import type { Effective, Field } from '../policy/effective.ts';
import type { Protection } from '../switch/protection.ts';

/** One value, and what set it. */
export interface ExplainedValue {
  readonly name: string;
  readonly value: string;
  readonly from: string;
}

/** One rule, what its violation causes, and what says so. */
export interface ExplainedRule {
  readonly reason: Reason;
  readonly enforcement: Enforcement;
  readonly from: string;
}

/** What a takeover by somebody else would meet. `outcome` is `Free` where there is nothing to take over. */
export interface ExplainedTakeover {
  readonly outcome: 'Allow' | 'Warn' | 'Deny' | 'Free';
  readonly messages: readonly string[];
}

/** The whole explanation. `guarded` is false for a lock that is not judged at all; then there is nothing else. */
export interface Explanation {
  readonly lock: string;
  readonly exists: boolean;
  readonly holder: string | null;
  readonly guarded: boolean;
  readonly policies: readonly string[];
  readonly values: readonly ExplainedValue[];
  readonly rules: readonly ExplainedRule[];
  readonly conflicts: readonly string[];
  readonly takeover: ExplainedTakeover | null;
  /** What guards it while lockwarden is down; `Unknown` where that could not be looked up. */
  readonly whileDown: Protection | 'Unknown';
}

/** What an explanation is made from. */
export interface Subject {
  readonly lock: LockRef;
  /** The object as it is; null: there is none. */
  readonly state: LockState | null;
  /** What holds for it; null: nothing, it is not judged. */
  readonly effective: Effective | null;
  /** Bounds on the API server's time, in Unix milliseconds. */
  readonly now: Interval;
  readonly whileDown: Protection | 'Unknown';
}

const builtIn = 'built-in defaults';

/** Explains. Total. */
export function explain({ lock, state, effective, now, whileDown }: Subject): Explanation {
  const holder = state === null ? null : (recordOf(state)?.holder ?? null);
  const about = { lock: describeLock(lock), exists: state !== null, holder, whileDown };
  if (effective === null) {
    const nothing = { policies: [], values: [], rules: [], conflicts: [], takeover: null };
    return { ...about, guarded: false, ...nothing };
  }
  return {
    ...about,
    guarded: true,
    policies: effective.policies.map(describePolicy),
    values: valuesOf(effective),
    rules: rulesOf(effective),
    conflicts: effective.conflicts.map(
      ({ field, between, winner }) =>
        `${field}: ${between.map(describePolicy).join(' and ')} disagree; what ${describePolicy(winner)} says holds`,
    ),
    takeover: takeoverOf(lock, state, effective.settings, now),
  };
}

function valuesOf({ settings, renewals, failurePolicy, sources }: Effective): readonly ExplainedValue[] {
  const { leaseDurationMs, candidates, exempt, conditions, note } = settings;
  const from = (field: Field): string => sources.get(field) ?? builtIn;
  return [
    { name: 'tolerance', value: seconds(settings.toleranceMs), from: from('tolerance') },
    { name: 'leaseDuration', value: boundsOf(leaseDurationMs), from: from('leaseDuration') },
    { name: 'candidates', value: candidatesOf(candidates), from: from('candidates') },
    { name: 'deletion', value: settings.deletion, from: from('deletion') },
    { name: 'exempt', value: listOf([...exempt.usernames, ...exempt.groups]), from: from('exempt') },
    { name: 'conditions', value: listOf(conditions.map(({ name }) => name)), from: from('conditions') },
    { name: 'renewals', value: renewals, from: from('inspectRenewals') },
    { name: 'failurePolicy', value: failurePolicy, from: from('failurePolicy') },
    { name: 'message', value: note === '' ? 'none' : note, from: from('message') },
  ];
}

function rulesOf({ settings, sources }: Effective): readonly ExplainedRule[] {
  const general = sources.get('enforcement') ?? sources.get('profile') ?? builtIn;
  return (Object.keys(settings.enforcement) as Reason[]).map((reason) => ({
    reason,
    enforcement: settings.enforcement[reason],
    from: sources.get(`rules[${reason}]`) ?? general,
  }));
}

/** As a replica would judge it that has seen nothing but the object: by the API server's stamps. */
function takeoverOf(
  lock: LockRef,
  before: LockState | null,
  settings: Settings,
  now: Interval,
): ExplainedTakeover {
  const record = before === null ? null : recordOf(before);
  if (before === null || record?.holder == null) return { outcome: 'Free', messages: [] };
  const decision = decide(
    takeoverWrite(lock, before, record, now),
    { ...nothingKnown, serverNow: now },
    settings,
  );
  const [first] = decision.violations;
  const warns = decision.outcome === 'Allow' && first?.enforcement === 'Warn';
  return {
    outcome: warns ? 'Warn' : decision.outcome,
    messages: decision.violations
      .filter(({ enforcement }) => enforcement !== 'Audit')
      .map(({ message }) => message),
  };
}

function takeoverWrite(lock: LockRef, before: LockState, record: LockRecord, now: Interval): LockWrite {
  const at = serverMs(now.max);
  const time = { raw: new Date(at).toISOString(), at };
  const next: LockRecord = {
    ...record,
    holder: `another than ${record.holder ?? ''}`,
    acquireTime: time,
    renewTime: time,
    transitions: record.transitions === null ? null : record.transitions + 1,
  };
  const own = {
    key: 'another',
    manager: 'another',
    at: serverMs(Math.floor(at / 1_000) * 1_000),
    ownsRenewTime: true,
    ownsHolder: true,
  };
  const others = before.stamps.entries.map((entry) => ({
    ...entry,
    ownsRenewTime: false,
    ownsHolder: false,
  }));
  const stamps =
    before.stamps.count === 0 ? before.stamps : { entries: [...others, own], count: before.stamps.count + 1 };
  const after: LockState = { ...before, reading: { kind: 'record', record: next }, stamps };
  const requester = { username: 'another', groups: [], pod: null };
  return { operation: 'UPDATE', lock, before, after, requester, dryRun: true };
}

function candidatesOf({ usernames, holder, holderCondition }: Settings['candidates']): string {
  const who =
    usernames === null
      ? 'anybody'
      : listOf(usernames.map((name) => name.replace('system:serviceaccount:', '')));
  const rules = [holder === 'Any' ? null : `holder ${holder}`, holderCondition?.message ?? null];
  return [who, ...rules.filter((rule) => rule !== null)].join('; ');
}

function boundsOf({ min, max }: Settings['leaseDurationMs']): string {
  if (min === null && max === null) return 'any';
  if (max === null) return `at least ${seconds(min ?? 0)}`;
  return min === null ? `at most ${seconds(max)}` : `${seconds(min)} to ${seconds(max)}`;
}

function listOf(items: readonly string[]): string {
  return items.length === 0 ? 'none' : items.join(', ');
}

function seconds(ms: number): string {
  return `${String(ms / 1_000)}s`;
}
