/** Preflights of tests: fed from events of an audit log, or from what a watch would have shown of the same writes. */
import { lockKindOf } from '../../../src/locks/registry.ts';
import { isObject, textAt, type JsonObject } from '../../../src/locks/json.ts';
import { monotonicMs, serverMs } from '../../../src/core/time.ts';
import { PolicyStore } from '../../../src/policy/store.ts';
import { AuditLog } from '../../../src/preflight/audit-log.ts';
import type { LockReport, ReportSource } from '../../../src/preflight/lock-report.ts';
import { Preflight } from '../../../src/preflight/preflight.ts';
import { reportOf, type PreflightReport } from '../../../src/preflight/report.ts';
import { watchedWrite } from '../../../src/audit-log/seen.ts';
import { readPolicyFile } from '../../../src/suite/manifests.ts';
import type { RecordedWrite } from '../../support/recordings.ts';
import type { AuditEvent } from './audit-events.ts';

const ownNamespace = 'lockwarden-system';

/** The store of a cluster with the policies of a YAML text. */
export function storeOf(yaml = ''): PolicyStore {
  const store = new PolicyStore(ownNamespace);
  if (yaml === '') return store;
  for (const { ref, spec } of readPolicyFile(yaml).policies) {
    if (!store.put({ ref, generation: 1, spec }).ok) throw new Error(`${ref.name} is refused`);
  }
  return store;
}

/** What an audit log with these events tells. */
export function auditReport(events: readonly AuditEvent[], store = storeOf()): PreflightReport {
  const seen = new Preflight({ store, ownNamespace, namespace: null });
  const log = new AuditLog(seen);
  for (const event of events) log.take({ text: JSON.stringify(event), complete: true });
  const { lines, firstAt: from, lastAt: to } = log.counts();
  const source: ReportSource = { kind: 'audit-log', name: 'test', namespace: null, lines, from, to };
  return reportOf(seen, { source, store, ownNamespace, limits: [] });
}

/** LIMIT: how late a watch tells on a machine with little to do. */
const watchLateMs = 3;

/** What a watch tells that has shown these writes; whatever was not stored it does not show. */
export function watchReport(writes: readonly RecordedWrite[], store = storeOf()): PreflightReport {
  const seen = new Preflight({ store, ownNamespace, namespace: null });
  for (const { atMs, stored, request } of writes) {
    const sampledAt = monotonicMs(atMs);
    seen.dated(sampledAt, sampledAt, serverMs(Math.floor(atMs / 1_000) * 1_000));
    const { object, oldObject, operation, kind, namespace, name } = request;
    const lockKind = lockKindOf(kind);
    if (!stored || lockKind === null || operation === 'CONNECT') continue;
    const at = monotonicMs(atMs + watchLateMs);
    const shown = operation === 'DELETE' ? oldObject : object;
    seen.wrote(
      watchedWrite({ kind: lockKind, namespace, name }, operation, isObject(shown) ? shown : null, at),
    );
  }
  const watchedMs = 60_000;
  const source = {
    kind: 'watch',
    server: 'https://test',
    namespace: null,
    watchedMs,
    kinds: ['Lease'],
  } as const;
  return reportOf(seen, { source, store, ownNamespace, limits: [] });
}

/** The one lock that a report is about. */
export function onlyLock({ locks }: PreflightReport): LockReport {
  const [lock, ...others] = locks;
  if (lock === undefined || others.length > 0) throw new Error(`there are ${String(locks.length)} locks`);
  return lock;
}

/** What is denied, as `RULE Reason`, lock by lock. */
export function denials({ locks }: PreflightReport): readonly string[] {
  return locks.flatMap(({ offences }) =>
    offences
      .filter(({ enforcement }) => enforcement === 'Deny')
      .map(({ rule, reason }) => `${rule} ${reason}`),
  );
}

/** The index of a renewal by the holder, with room after it for a thief. */
export function aRenewalOf(writes: readonly RecordedWrite[]): number {
  return writes.findIndex(({ request, stored }, index) => {
    const [before, after] = [request.oldObject, request.object];
    return index > 2 && stored && request.operation === 'UPDATE' && holder(before) === holder(after);
  });
}

function holder(object: unknown): string {
  const spec = textAt(object, 'spec', 'holderIdentity');
  if (spec !== '') return spec;
  const record = /"holderIdentity": ?"([^"]+)"/.exec(JSON.stringify(object).replaceAll('\\"', '"'));
  return record?.[1] ?? '';
}

/** A renewal as if somebody else had taken the lock with it: the same object under another holder, and another user. */
export function theftInsteadOf(renewal: RecordedWrite, thief = 'thief-0'): RecordedWrite {
  const { request } = renewal;
  const object = JSON.parse(
    JSON.stringify(request.object).replaceAll(holder(request.object), thief),
  ) as JsonObject;
  const userInfo = { username: 'eve', groups: ['system:authenticated'], extra: {} };
  return { ...renewal, request: { ...request, object, userInfo } };
}
