/** Replays of tests, fed from events as an API server logs them. */
import type { JsonObject } from '../../../src/locks/json.ts';
import { AuditReader, nothingRead } from '../../../src/replay/audit-reader.ts';
import { Replay, type ReplayOptions } from '../../../src/replay/replay.ts';
import { replayReport, type ReplayReport } from '../../../src/replay/report.ts';
import type { AuditEvent } from '../../preflight/support/audit-events.ts';
import { storeOf } from '../../preflight/support/looked.ts';

/** What a replay of these events says. */
export async function replayed(
  events: readonly (AuditEvent | string)[],
  options: Partial<ReplayOptions> = {},
): Promise<ReplayReport> {
  const store = options.store ?? storeOf();
  const replay = new Replay({ ownNamespace: 'lockwarden-system', namespace: null, ...options, store });
  const read = nothingRead();
  const reader = new AuditReader(read);
  for (const event of events) {
    const text = typeof event === 'string' ? event : JSON.stringify(event);
    for (const told of reader.take({ bytes: Buffer.from(text), complete: true })) await replay.take(told);
  }
  return replayReport(replay, { files: ['test'], read, store });
}

/** What would be refused, warned about or recorded, as `Deny U15 PrematureTakeover by eve x1`. */
export function found({ records }: ReplayReport): readonly string[] {
  return records.map(
    ({ record: { enforcement, rule, reason, pod, requester, count } }) =>
      `${enforcement} ${rule} ${reason} by ${pod ?? requester} x${String(count)}`,
  );
}

/** The event as an audit policy with the level Request records it; a patch is what it sends. */
export function atRequest(event: AuditEvent, patch?: JsonObject): AuditEvent {
  const sent = { ...event, level: 'Request', responseObject: undefined };
  return patch === undefined ? sent : { ...sent, verb: 'patch', requestObject: patch };
}

/** The event as an audit policy with `omitManagedFields` records it. */
export function withoutManagedFields(event: AuditEvent): AuditEvent {
  return {
    ...event,
    requestObject: bare(event['requestObject'] as JsonObject),
    responseObject: bare(event['responseObject'] as JsonObject),
  };
}

function bare(object: JsonObject): JsonObject {
  const metadata = { ...(object['metadata'] as JsonObject | undefined), managedFields: undefined };
  return { ...object, metadata };
}
