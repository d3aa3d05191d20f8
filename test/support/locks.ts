/**
 * Lock states and writes for tests of the core, with a small model of what the API server does to the stamps: the
 * writer's entry takes over every field it changed and is stamped in whole seconds, untouched entries stay as they are.
 */
import type { Facts, Observation } from '../../src/core/facts.ts';
import { nothingKnown } from '../../src/core/facts.ts';
import type {
  LockRecord,
  LockRef,
  LockState,
  LockWrite,
  Requester,
  StampEntry,
} from '../../src/core/lock.ts';
import { recordOf } from '../../src/core/stamps.ts';
import { serverMs } from '../../src/core/time.ts';

/** The moment at which most tests begin: an arbitrary whole second. */
export const t0 = Date.parse('2026-03-01T12:00:00.000Z');

export const lock: LockRef = { kind: 'Lease', namespace: 'team', name: 'election' };

export interface RecordOptions {
  holder?: string | null;
  durationS?: number | null;
  /** Unix milliseconds, or null for none. */
  renewed?: number | null;
  acquired?: number | null;
  transitions?: number | null;
}

/** A record: 15 s, renewed and acquired at `t0`, unless said otherwise. */
export function record(options: RecordOptions = {}): LockRecord {
  const { holder = 'a', durationS = 15, renewed = t0, acquired = renewed, transitions = 0 } = options;
  return {
    holder,
    leaseDurationMs: durationS === null ? null : durationS * 1000,
    renewTime: renewed === null ? null : recorded(renewed),
    acquireTime: acquired === null ? null : recorded(acquired),
    transitions,
  };
}

function recorded(ms: number): { raw: string; at: ReturnType<typeof serverMs> } {
  return { raw: new Date(ms).toISOString(), at: serverMs(ms) };
}

/** An entry of managedFields. */
export function entry(
  manager: string,
  at: number | null,
  owns: { renewTime?: boolean; holder?: boolean } = {},
): StampEntry {
  return {
    key: `${manager}|Update`,
    manager,
    at: at === null ? null : serverMs(Math.floor(at / 1000) * 1000),
    ownsRenewTime: owns.renewTime ?? false,
    ownsHolder: owns.holder ?? false,
  };
}

export function withEntries(state: LockState, entries: readonly StampEntry[]): LockState {
  return { ...state, stamps: { entries, count: entries.length } };
}

/** The state after `manager` stored `next` over `before` at `at`. `manager` null: an untracked lock. */
export function stored(
  next: LockRecord,
  at: number,
  manager: string | null = 'client',
  before: LockState | null = null,
): LockState {
  const then = before === null ? null : recordOf(before);
  const changedRenew = next.renewTime?.raw !== then?.renewTime?.raw;
  const changedHolder = next.holder !== then?.holder;
  const others = (before?.stamps.entries ?? []).map((each) => ({
    ...each,
    ownsRenewTime: each.ownsRenewTime && !changedRenew,
    ownsHolder: each.ownsHolder && !changedHolder,
  }));
  const mine = others.find((each) => each.manager === manager);
  const entries = others.filter((each) => each !== mine);
  if (manager !== null) {
    const owns = {
      renewTime: (changedRenew && next.renewTime !== null) || (mine?.ownsRenewTime ?? false),
      holder: (changedHolder && next.holder !== null) || (mine?.ownsHolder ?? false),
    };
    const writes =
      (changedRenew && next.renewTime !== null) || (changedHolder && next.holder !== null) || next !== then;
    entries.push(writes || mine === undefined ? entry(manager, at, owns) : mine);
  }
  return {
    uid: before?.uid ?? 'uid-1',
    version: null,
    reading: { kind: 'record', record: next },
    stamps: { entries, count: entries.length },
    terminating: false,
  };
}

/** A pod of the candidates' ServiceAccount; `uid` defaults to the name. */
export function pod(name: string, uid = name): Requester {
  return {
    username: 'system:serviceaccount:team:candidate',
    groups: ['system:serviceaccounts'],
    pod: { name, uid },
  };
}

/** A user without a pod. */
export function user(username = 'jane', groups: string[] = []): Requester {
  return { username, groups, pod: null };
}

export function create(after: LockState, requester: Requester = pod('b')): LockWrite {
  return { operation: 'CREATE', lock, before: null, after: { ...after, uid: '' }, requester, dryRun: false };
}

export function update(before: LockState, after: LockState, requester: Requester = pod('b')): LockWrite {
  return { operation: 'UPDATE', lock, before, after, requester, dryRun: false };
}

export function remove(before: LockState, requester: Requester = pod('b')): LockWrite {
  return { operation: 'DELETE', lock, before, after: null, requester, dryRun: false };
}

/** Facts with some of them known. */
export function facts(
  known: Partial<Omit<Facts, 'bindings'>> & { bindings?: Partial<Facts['bindings']> } = {},
): Facts {
  return { ...nothingKnown, ...known, bindings: { ...nothingKnown.bindings, ...known.bindings } };
}

/** The API server's time, known to a millisecond. */
export function at(ms: number): Facts['serverNow'] {
  return { min: ms, max: ms };
}

/** This replica saw the pair stored exactly `ageMs` ago. */
export function observedFor(ageMs: number): Observation {
  return { ageMs: { min: ageMs, max: ageMs }, stampedAt: null };
}
