/** Who was asked about updates: what the API server and lockwarden have counted, set against what ought to have been. */
import type { ServeProcess } from '../../test/conformance/support/serve-process.ts';
import { conditionalEntryName, leasesEntryName as leases, peerEntryName } from './registration.ts';
import type { Plane } from './planes.ts';

/** How often. */
export interface Asked {
  /** Calls of the webhook of controller-runtime. */
  readonly peer: number;
  /** … of the one behind lockwarden's match conditions. */
  readonly conditional: number;
  /** Calls of lockwarden about Leases, and about ConfigMaps and Endpoints. */
  readonly leases: number;
  readonly records: number;
  /** Writes that lockwarden's match conditions let pass without a call. */
  readonly leasesPassed: number;
  readonly recordsPassed: number;
  /** Calls that came to nothing, and passed for that. */
  readonly failedOpen: number;
  /** What lockwarden warned about, or refused. */
  readonly notPlain: number;
  /** Writes by which lockwarden told other replicas of what it had judged. */
  readonly told: number;
}

const records = 'records.lockwarden.dev';

/** Since each process began. */
export async function askedSoFar(plane: Plane, lockwarden: ServeProcess): Promise<Asked> {
  const counts = await plane.counts();
  const calls = (name: string): number =>
    counts('apiserver_admission_webhook_request_total', { name, operation: 'UPDATE' });
  const passed = (name: string): number =>
    counts('apiserver_admission_match_condition_exclusions_total', { name, operation: 'UPDATE' });
  const failedOpen = (name: string): number =>
    counts('apiserver_admission_webhook_fail_open_count', { name });
  const counted = async (metric: string, labels: Readonly<Record<string, string>> = {}): Promise<number> =>
    (await lockwarden.metric(`lockwarden_${metric}`, labels)) ?? 0;
  const decided = (outcome: string): Promise<number> => counted('admission_decisions_total', { outcome });
  return {
    ...{ peer: calls(peerEntryName), conditional: calls(conditionalEntryName) },
    ...{ leases: calls(leases), records: calls(records) },
    ...{ leasesPassed: passed(leases), recordsPassed: passed(records) },
    failedOpen: failedOpen(leases) + failedOpen(records),
    notPlain: (await decided('Warn')) + (await decided('Deny')),
    told: await counted('shared_facts_writes_total'),
  };
}

/** How often between two moments. */
export function askedBetween(before: Asked, after: Asked): Asked {
  const of = (key: keyof Asked): number => after[key] - before[key];
  return {
    ...{ peer: of('peer'), conditional: of('conditional'), leases: of('leases'), records: of('records') },
    ...{ leasesPassed: of('leasesPassed'), recordsPassed: of('recordsPassed') },
    ...{ failedOpen: of('failedOpen'), notPlain: of('notPlain') },
    told: of('told'),
  };
}
