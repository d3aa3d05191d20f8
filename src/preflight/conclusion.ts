/** What to start with: the one sentence that a preflight is run for. */
import type { LockReport, ReportSource } from './lock-report.ts';

/** The component that installs lockwarden so that it refuses nothing, and records. */
export const auditOnlyComponent = 'manifests/components/audit-only';

/** The advice. `denied` counts writes, `deniedLocks` the locks that they were to. */
export interface Conclusion {
  /** `audit-only`: with the component that refuses nothing. `defaults`: as it comes. */
  readonly startWith: 'audit-only' | 'defaults';
  readonly sentence: string;
  readonly denied: number;
  readonly deniedLocks: number;
  readonly warned: number;
  /** Changes of holder of guarded locks: what puts a guard to the test. */
  readonly holderChanges: number;
}

/** Concludes. */
export function conclusionOf(locks: readonly LockReport[], source: ReportSource): Conclusion {
  const guarded = locks.filter((lock) => lock.guarded);
  const sum = (of: (lock: LockReport) => number): number => guarded.reduce((all, lock) => all + of(lock), 0);
  const denied = sum((lock) => lock.denied);
  const deniedLocks = guarded.filter((lock) => lock.denied > 0).length;
  const holderChanges = sum((lock) => lock.holderChanges);
  const counts = {
    denied,
    deniedLocks,
    warned: sum((lock) => sumOf(lock.offences.filter(({ enforcement }) => enforcement === 'Warn'))),
    holderChanges,
  };
  if (denied > 0) return { startWith: 'audit-only', sentence: withDenials(guarded, counts), ...counts };
  if (locks.length === 0) return { startWith: 'audit-only', sentence: nothingSeen(source), ...counts };
  if (guarded.length === 0) return { startWith: 'audit-only', sentence: nothingGuarded(source), ...counts };
  if (holderChanges === 0) return { startWith: 'audit-only', sentence: notPutToTheTest(source), ...counts };
  const changes = counted(holderChanges, 'change of holder', 'changes of holder');
  const sentence = `Start with the defaults: nothing that was seen would be denied, ${changes} among it.`;
  return { startWith: 'defaults', sentence, ...counts };
}

function sumOf(offences: LockReport['offences']): number {
  return offences.reduce((all, { count }) => all + count, 0);
}

function withDenials(
  guarded: readonly LockReport[],
  { denied, deniedLocks }: Pick<Conclusion, 'denied' | 'deniedLocks'>,
): string {
  const reasons = new Set(
    guarded.flatMap(({ offences }) =>
      offences.filter(({ enforcement }) => enforcement === 'Deny').map(({ reason }) => reason),
    ),
  );
  const takeovers = [...reasons].every((reason) => reason === 'PrematureTakeover');
  const locks = counted(deniedLocks, 'lock', 'locks');
  const what = takeovers
    ? counted(denied, 'takeover', 'takeovers')
    : `${counted(denied, 'write', 'writes')} (${[...reasons].join(', ')})`;
  return `Start with the audit-only component (${auditOnlyComponent}): ${locks} would have had ${what} denied. Mend or except those clients, then enforce.`;
}

function nothingSeen(source: ReportSource): string {
  if (source.kind === 'watch' && source.kinds.length === 0)
    return 'Nothing was seen: it was over before the API server had listed any locks. Look for longer.';
  return source.kind === 'watch'
    ? `Nothing was seen: there are no locks ${placeOf(source)}, neither Leases nor ConfigMaps or Endpoints with a leader’s annotation. Look where elections run, or start with the audit-only component (${auditOnlyComponent}).`
    : `Nothing was seen: the audit log holds no write to a lock ${placeOf(source)}. Give a log of a time in which elections ran, or watch the cluster.`;
}

function nothingGuarded(source: ReportSource): string {
  return `Nothing that was seen ${placeOf(source)} would be judged: those namespaces are left alone unless a policy gives their names. Start with the audit-only component (${auditOnlyComponent}).`;
}

function notPutToTheTest(source: ReportSource): string {
  const longer =
    source.kind === 'watch' ? 'look for longer (--for 1h)' : 'give a log of a time in which leaders changed';
  return `Start with the audit-only component (${auditOnlyComponent}): nothing that was seen would be denied, but no lock changed hands, so takeovers were not put to the test. Or ${longer}.`;
}

function placeOf({ namespace }: ReportSource): string {
  return namespace === null ? 'in the cluster' : `in the namespace ${namespace}`;
}

/** `1 lock`, `2 locks`. */
export function counted(count: number, one: string, many: string): string {
  return `${String(count)} ${count === 1 ? one : many}`;
}
