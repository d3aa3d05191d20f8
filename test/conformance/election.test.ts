/** Lockwarden's elector on a real API server, alone and together with client-go's, while processes die and hang and networks break. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, beforeAll, describe, expect, inject, test } from 'vitest';
import { endWithParent } from '../../src/sandbox/parent-watch.ts';
import { createTestNamespace, type TestNamespace } from '../support/identities.ts';
import { Contest, timing, type Contestant, type Kind } from './support/contest.ts';

/** What is done to whoever leads. It is over when it resolves; another leads meanwhile, or soon. */
type Trouble = (leader: Contestant, next: () => Promise<Contestant>) => Promise<unknown>;

const troubles: Readonly<Record<string, Trouble>> = {
  'is killed': (leader) => leader.kill(),
  'hangs for longer than its lease': async (leader, next) => {
    leader.freeze();
    await next();
    // It wakes up beside a successor that acts.
    leader.thaw();
    await sleep(1_000);
  },
  'is cut off': async (leader, next) => {
    leader.network.drop();
    await next();
    leader.network.pass();
  },
  'is heard, and hears nothing': async (leader, next) => {
    leader.network.halfOpen();
    await next();
    leader.network.pass();
  },
  'stops in order': (leader) => leader.stop(),
};

let namespace: TestNamespace;
let contests: Contest[] = [];

beforeAll(async () => {
  namespace = await createTestNamespace(inject('kubeconfig'), 'election');
});

afterEach(async () => {
  await Promise.all(contests.map((each) => each.close()));
  contests = [];
});

async function contest(name: string, kinds: readonly Kind[] = []): Promise<Contest> {
  const options = { kubeconfig: inject('kubeconfig'), namespace: namespace.name, name };
  const made = await Contest.create({ ...options, clientGo: inject('elector') });
  contests.push(made);
  for (const kind of kinds) await made.enter(kind);
  return made;
}

/** Troubles each leader in turn; whoever has ended is followed by another of its kind. */
async function trouble(made: Contest, names: readonly string[]): Promise<void> {
  let leader = await made.next();
  for (const name of names) {
    const before = leader;
    await sleep(timing.retryPeriodMs * 2);
    await troubles[name]!(before, () => made.next(before));
    leader = await made.next(before);
    if (!before.leads) await made.enter(before.kind);
  }
  await sleep(timing.retryPeriodMs * 2);
}

function expectOneAtATime(made: Contest): void {
  expect(made.overlaps()).toEqual([]);
  const fences = made.fences();
  expect(fences).toEqual(fences.toSorted((a, b) => a - b));
  expect(new Set(fences).size).toBe(fences.length);
}

describe('never do two act at once', () => {
  const names = Object.keys(troubles);

  test(
    'among ours, whatever happens to the leader, nor among ours and client-go’s',
    { timeout: 120_000 },
    async () => {
      const [ours, mixed] = await Promise.all([
        contest('ours', ['ours', 'ours', 'ours']),
        contest('mixed', ['ours', 'client-go', 'ours', 'client-go']),
      ]);
      await Promise.all([trouble(ours, names), trouble(mixed, [...names, ...names.slice(0, 2)])]);
      expectOneAtATime(ours);
      expectOneAtATime(mixed);
      expect(ours.fences().length).toBeGreaterThan(names.length);
      expect(mixed.all.filter((each) => each.acts().length > 0).length).toBeGreaterThan(names.length);
    },
  );

  test('each takes over from the other, crashed or released', async () => {
    for (const [first, second] of [
      ['ours', 'client-go'],
      ['client-go', 'ours'],
    ] as const) {
      const made = await contest(`after-${first}`);
      const leader = await made.enter(first, true);
      await leader.process.until('started-leading');
      const successor = await made.enter(second);
      await successor.process.untilFollowing(leader.identity);
      const stoppedAtMs = Date.now();
      await leader.stop();
      expect(await made.next(leader)).toBe(successor);
      expect(Date.now() - stoppedAtMs).toBeLessThan(timing.leaseDurationMs);
      const third = await made.enter(first);
      await third.process.untilFollowing(successor.identity);
      const killedAtMs = Date.now();
      await successor.kill();
      expect(await made.next(successor)).toBe(third);
      expect(Date.now() - killedAtMs).toBeGreaterThan(timing.leaseDurationMs - 2 * timing.retryPeriodMs);
      expectOneAtATime(made);
    }
  });
});

test('slow answers cost no leadership while they come in time', async () => {
  const made = await contest('slow', ['ours', 'ours']);
  const leader = await made.next();
  for (const each of made.all) each.network.delay(300);
  await sleep(2 * timing.leaseDurationMs);
  expect(leader.leads).toBe(true);
  expect(made.all.filter((each) => each.acts().length > 0)).toEqual([leader]);
  expect(leader.process.events.filter(({ event }) => event === 'error')).toEqual([]);
});

test('docs/examples/elect.ts leads, writes, and stops in order', async () => {
  const example = fileURLToPath(new URL('../../docs/examples/elect.ts', import.meta.url));
  const child = spawn(process.execPath, ['--conditions=lockwarden-source', example], {
    env: { ...process.env, KUBECONFIG: inject('kubeconfig'), NAMESPACE: namespace.name },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const callOff = endWithParent(child.pid!);
  let said = '';
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding('utf8').on('data', (text: string) => {
      said += text;
    });
  }
  const where = { namespace: namespace.name, name: 'elect-example' };
  const data = async (): Promise<unknown> =>
    (await namespace.admin.core.readNamespacedConfigMap(where).catch(() => null))?.data;
  await expect.poll(data, { timeout: 20_000 }).toEqual({ count: '2', fence: '0' });
  child.kill('SIGTERM');
  const [code] = (await once(child, 'close')) as [number | null];
  callOff();
  expect({ code, said }).toMatchObject({ code: 0 });
  expect(said).toContain('leading, fence 0');
  expect(said).toContain('not leading any more');
  const { spec } = await namespace.admin.coordination.readNamespacedLease(where);
  expect(spec).toMatchObject({ holderIdentity: '', leaseDurationSeconds: 1 });
});
