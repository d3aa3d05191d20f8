/** A replay of what a real API server has logged: client-go's electors go on, a rogue steals once, and the log tells it. */
import { readFile, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { afterAll, beforeAll, describe, expect, inject, test } from 'vitest';

import { replay, type ReplayOptions } from '../../src/cli/replay.ts';
import type { RejectionRecord } from '../../src/review/record-schema.ts';
import { rejectionRecordSchema } from '../../src/review/record-schema.ts';
import { startControlPlane, type ControlPlane } from '../../src/sandbox/control-plane.ts';
import type { Elector } from '../../src/scene/elector.ts';
import { createTestNamespace, type TestNamespace } from '../support/identities.ts';
import { createCandidate, holderOf, type Candidate } from './support/candidate.ts';
import { startElector } from './support/pod-elector.ts';

let controlPlane: ControlPlane;
let namespace: TestNamespace;
let rogue: Candidate;
let electors: Elector[] = [];

beforeAll(async () => {
  controlPlane = await startControlPlane({ binaries: inject('binaries'), audit: true });
  namespace = await createTestNamespace(controlPlane.kubeconfig, 'replay');
  await namespace.serviceAccount('candidate');
  rogue = await createCandidate(namespace, 'candidate', 'rogue');
});

afterAll(async () => {
  await Promise.all(electors.map((each) => each.kill()));
  rogue.close();
  await controlPlane.stop();
});

async function start(lock: string, identity: string): Promise<Elector> {
  const elector = await startElector(namespace, lock, identity);
  electors = [...electors, elector];
  return elector;
}

interface Told {
  readonly judged: number;
  readonly wouldBe: { readonly refused: number };
  readonly notJudged: Readonly<Record<string, number>>;
  readonly limits: readonly string[];
  readonly records: readonly (RejectionRecord & { readonly manager: string })[];
}

async function told(options: Partial<ReplayOptions>): Promise<Told> {
  let text = '';
  const io = {
    stdout: { write: (part: string) => (text += part) },
    stderr: { write: () => true },
    stdin: () => {
      throw new Error('nobody reads standard input');
    },
    env: {},
  };
  const usual = { files: [controlPlane.auditLog ?? ''], policies: [], output: 'json', records: false };
  await replay({ ...usual, lockwardenNamespace: 'lockwarden-system', ...options }, io);
  return JSON.parse(text) as Told;
}

describe('the audit log of a real API server', () => {
  test('tells of an election, a crash and a lawful takeover, in which nothing would have been refused', async () => {
    const first = await start('lawful', 'lawful-0');
    await first.until('started-leading');
    const second = await start('lawful', 'lawful-1');
    await second.untilFollowing('lawful-0');
    await first.kill();
    await second.until('started-leading');
    await expect
      .poll(async () => (await told({ namespace: namespace.name })).judged, { timeout: 20_000 })
      .toBeGreaterThan(10);
    const { wouldBe, limits, notJudged } = await told({ namespace: namespace.name });
    expect({ refused: wouldBe.refused, limits }).toEqual({ refused: 0, limits: [] });
    expect(notJudged).toMatchObject({ firstSeen: 0, gap: 0, late: 0, withoutObjects: 0 });
  });

  test('tells of a theft by a patch, and who did it, with answers in it or without', async () => {
    const leader = await start('stolen', 'stolen-0');
    await leader.until('started-leading');
    await rogue.locks.patch(
      'leases',
      'stolen',
      'merge',
      { spec: { holderIdentity: 'rogue' } },
      'kubectl-patch',
    );
    await expect.poll(() => holderOf(rogue.locks, 'stolen')).toBe('rogue');
    const only = { namespace: namespace.name };
    await expect.poll(async () => (await told(only)).wouldBe.refused, { timeout: 20_000 }).toBe(1);
    const { records } = await told(only);
    const [{ manager, ...record }] = records as [Told['records'][number] & { readonly agent: string }];
    const theft = { rule: 'U15', reason: 'PrematureTakeover', requester: rogue.user, pod: 'rogue', count: 1 };
    expect(record).toMatchObject({ ...theft, name: 'stolen', wouldBeHolder: 'rogue' });
    expect(manager).toBe('kubectl-patch');
    const { agent, ...plain } = record;
    expect(agent).not.toBe('');
    expect(rejectionRecordSchema.parse(plain)).toEqual(plain);

    const log = await readFile(controlPlane.auditLog ?? '', 'utf8');
    const events = log
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line) as Record<string, unknown>);
    const lower = events.map((event) => ({ ...event, level: 'Request', responseObject: undefined }));
    const file = join(dirname(controlPlane.auditLog ?? ''), 'at-request.log');
    await writeFile(file, lower.map((event) => `${JSON.stringify(event)}\n`).join(''));
    const sent = await told({ ...only, files: [file] });
    expect(sent.records.filter(({ enforcement }) => enforcement === 'Deny')).toMatchObject([theft]);
  });
});
