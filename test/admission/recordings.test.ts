/**
 * Every write of every recorded client, through the handler, on the recording's own clock: none may be denied. Three
 * replicas judge them: one that watches, one whose watch never delivers, and one that has just started for each write.
 */
import { describe, expect, it } from 'vitest';
import { createHandler } from '../../src/admission/handler.ts';
import { Judge } from '../../src/admission/judge.ts';
import { LockMemories } from '../../src/admission/lock-memories.ts';
import { monotonicMs, serverMs } from '../../src/core/time.ts';
import { toLockWrite } from '../../src/locks/write.ts';
import { rejectionRecord } from '../../src/review/record.ts';
import type { RejectionRecord } from '../../src/review/record-schema.ts';
import { builtInSettings } from '../../src/policy/built-in.ts';
import { recordings, writesOf, type RecordedWrite } from '../support/recordings.ts';

const replicas = {
  'that watches': { watches: true, forgets: false },
  'whose watch never delivers': { watches: false, forgets: false },
  'that has just started': { watches: false, forgets: true },
} as const;

async function judge(
  writes: readonly RecordedWrite[],
  { watches, forgets }: (typeof replicas)[keyof typeof replicas],
) {
  let nowMs = 0;
  let memories = new LockMemories();
  const told: RejectionRecord[] = [];
  const transitions: string[] = [];
  for (const { atMs, stored, request } of writes) {
    nowMs = atMs;
    if (forgets) memories = new LockMemories();
    const at = monotonicMs(nowMs);
    memories.dated(at, at, serverMs(Math.floor(atMs / 1000) * 1000));
    const handle = createHandler({
      judge: new Judge({
        memories,
        monotonicNow: () => monotonicMs(nowMs),
        settingsFor: (lock) => builtInSettings(lock, 'lockwarden-system'),
        podState: () => Promise.resolve('exists'),
      }),
      countDecision: (_kind, outcome, reason) => void transitions.push(`${outcome} ${reason}`),
      tell: (write, decision, reviewUid) => {
        const record = rejectionRecord(write, decision, { reviewUid, instance: 'replica-0', atMs: nowMs });
        if (record !== null) told.push(record);
      },
    });
    const answer = await handle(request);
    expect(answer.response, `${request.uid}: ${JSON.stringify(answer.response)}`).toMatchObject({
      uid: request.uid,
      allowed: true,
    });
    const write = toLockWrite(request);
    if (watches && stored && 'after' in write && write.after !== null)
      memories.stored(write.lock, write.after, at, true);
  }
  return { told, transitions };
}

describe('every write that was recorded of a real client is allowed', () => {
  it('there are sixteen recordings', () => {
    expect(recordings()).toHaveLength(16);
  });

  for (const [replica, behaviour] of Object.entries(replicas)) {
    it.each(recordings())(`by a replica ${replica}: %s`, async (name) => {
      const writes = writesOf(name);
      expect(writes.length).toBeGreaterThan(20);
      const { told } = await judge(writes, behaviour);
      expect(told.filter(({ enforcement }) => enforcement === 'Deny')).toEqual([]);
      // A client in step with its own clock is not even warned, but for what it really does oddly.
      const surprising = told.filter(
        ({ reason, transition }) =>
          !['TransitionsOdd', 'UncertainExpiry'].includes(reason) &&
          !['renew', 'unchanged'].includes(transition),
      );
      expect(surprising).toEqual([]);
    });
  }

  it('and a theft between two renewals of any of them is refused', async () => {
    for (const name of recordings()) {
      const writes = writesOf(name);
      const at = writes.findIndex(
        (each, index) => index > 0 && each.request.operation === 'UPDATE' && sameHolder(each),
      );
      const renewal = writes[at];
      expect(renewal, name).toBeDefined();
      if (renewal === undefined) continue;
      const theft = {
        ...renewal,
        request: {
          ...renewal.request,
          object: JSON.parse(
            JSON.stringify(renewal.request.object).replaceAll(holderOf(renewal), 'thief-0'),
          ) as unknown,
        },
      };
      await expect(judge([...writes.slice(0, at), theft], replicas['that watches']), name).rejects.toThrow(
        /PrematureTakeover/,
      );
    }
  });
});

function holderOf({ request }: RecordedWrite): string {
  const write = toLockWrite(request);
  return 'after' in write && write.after?.reading.kind === 'record'
    ? (write.after.reading.record.holder ?? '')
    : '';
}

function sameHolder({ request }: RecordedWrite): boolean {
  const write = toLockWrite(request);
  if (
    'notALock' in write ||
    write.before?.reading.kind !== 'record' ||
    write.after?.reading.kind !== 'record'
  )
    return false;
  const [before, after] = [write.before.reading.record, write.after.reading.record];
  return (
    before.holder !== null &&
    before.holder === after.holder &&
    before.leaseDurationMs === after.leaseDurationMs
  );
}
