/**
 * The record of a judged violation as a schema: what the log, Events, the read API and `lockwarden replay` all carry. Keys are
 * stable across versions; docs/review-record.md is for people, docs/review-record.schema.json is made from this.
 */
import { lockKinds } from '../core/lock.ts';
import { z } from 'zod';
import { reasons, severity, type Enforcement, type Reason } from '../core/reasons.ts';

/** Version of the record's schema; grows when a key goes or changes its meaning, not when one is added. */
export const recordVersion = 1;

/** LIMIT: names of objects have at most 253 characters; identities are made of them. */
export const textMaxLength = 256;
/** LIMIT: as long as the sentence that the client sees. */
export const detailMaxLength = 1024;

const text = z.string().max(textMaxLength);
const textOrNull = text.nullable();
const ms = z.int().min(0);
const msOrNull = ms.nullable();
const instant = z.iso.datetime({ precision: 3 });

/** A record. Flat, since log stores index fields; texts of others are printable; durations are whole milliseconds. */
export const rejectionRecordSchema = z.strictObject({
  recordVersion: z.literal(recordVersion).describe('Version of this schema.'),
  lockKind: z.enum(lockKinds).describe('Kind of the lock object.'),
  namespace: text.describe('Namespace of the lock object.'),
  name: text.describe('Name of the lock object.'),
  lockUid: text.describe('UID of the lock object; empty where it was to be created.'),
  operation: z.enum(['CREATE', 'UPDATE', 'DELETE']).describe('What was asked of the API server.'),
  transition: text.describe('What the write would have done to the record: a row of the truth table.'),
  enforcement: z
    .enum(Object.keys(severity) as [Enforcement, ...Enforcement[]])
    .describe('What became of it: Deny (refused), Warn (passed, the client was warned), Audit (passed).'),
  rule: text.describe('Clause of docs/semantics.md of the first violation, the severest.'),
  reason: z.enum(Object.keys(reasons) as [Reason, ...Reason[]]).describe('Reason of the first violation.'),
  alsoViolated: z
    .array(z.enum(Object.keys(reasons) as [Reason, ...Reason[]]))
    .max(Object.keys(reasons).length)
    .describe('Reasons of the other violations of the same write.'),
  policy: text.describe('What set the rules: `built-in defaults` or a policy.'),
  detail: z.string().max(detailMaxLength).describe('The sentence that the client was told.'),
  holder: textOrNull.describe('Who held the lock, or was buried with it; null: nobody.'),
  wouldBeHolder: textOrNull.describe('Who would have held it after the write; null: nobody.'),
  requester: text.describe('User name of who wrote.'),
  pod: textOrNull.describe('Pod that the writer’s token is bound to; null: none.'),
  podUid: textOrNull.describe('UID of that pod.'),
  evidence: z
    .enum(['observed', 'stamped', 'recorded', 'none'])
    .describe('What bounded the age of the holder’s promise; none: there was no promise.'),
  elapsedMinMs: msOrNull.describe('Time since the last renewal, at least.'),
  elapsedMaxMs: msOrNull.describe('Time since the last renewal, at most; null: unbounded.'),
  leaseDurationMs: msOrNull.describe('What the holder had promised to renew within.'),
  remainingMinMs: msOrNull.describe('What was left of the lease, at least.'),
  remainingMaxMs: msOrNull.describe('What was left of the lease, at most.'),
  reviewUid: text.describe('UID of the admission review; of the first, where several writes were folded.'),
  dryRun: z.boolean().describe('Whether the write was a dry run.'),
  instance: text.describe('The replica that judged.'),
  count: z.int().min(1).describe('How many writes the record stands for.'),
  firstSeen: instant.describe(
    'When the first of them was judged, by the API server’s clock where it was known.',
  ),
  lastSeen: instant.describe('When the last of them was.'),
});

/** A judged violation, as all channels carry it. */
export type RejectionRecord = z.infer<typeof rejectionRecordSchema>;
