/** client-go's electors under lockwarden: what is lawful must go on as if it were not there, on the way to it and while it is down. */
import { readFile } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';

import { afterAll, afterEach, beforeAll, describe, expect, inject, test, vi } from 'vitest';

import { createKubeClient } from '../../src/kube/client.ts';
import type { KubeError } from '../../src/kube/errors.ts';
import { loadKubeconfig } from '../../src/kube/kubeconfig.ts';
import { changeMessage } from '../../src/review/record.ts';
import { startControlPlane, type ControlPlane } from '../../src/sandbox/control-plane.ts';
import type { Elector, ElectorOptions } from '../../src/scene/elector.ts';
import { failureOf } from '../kube/support/cluster.ts';
import { createTestNamespace, type TestNamespace } from '../support/identities.ts';
import { createCandidate, type Candidate } from './support/candidate.ts';
import { startElector } from './support/pod-elector.ts';
import { startServe, untilCalled, type ServeProcess } from './support/serve-process.ts';

/** The electors' default, as `Elector` has it. */
const leaseDurationMs = 3_000;

let controlPlane: ControlPlane;
let namespace: TestNamespace;
let lockwarden: ServeProcess;
let rogue: Candidate;
let electors: Elector[] = [];

beforeAll(async () => {
  controlPlane = await startControlPlane({ binaries: inject('binaries'), audit: true });
  lockwarden = startServe({ kubeconfig: controlPlane.kubeconfig });
  namespace = await createTestNamespace(controlPlane.kubeconfig, 'electors');
  await namespace.serviceAccount('candidate');
  rogue = await createCandidate(namespace, 'candidate', 'rogue');
  await untilGuarded();
});

afterEach(async () => {
  await Promise.all(electors.map((each) => each.kill()));
  electors = [];
});

afterAll(async () => {
  await lockwarden.kill();
  rogue.close();
  await controlPlane.stop();
});

/** Resolves once lockwarden is ready and called. */
async function untilGuarded(): Promise<void> {
  await lockwarden.untilReady();
  const client = createKubeClient(loadKubeconfig({ file: controlPlane.kubeconfig }));
  await untilCalled(client);
  client.close();
}

/** Starts a candidate that speaks for a pod of its name; a pod of that name is replaced. */
async function start(
  name: string,
  identity: string,
  options: Partial<ElectorOptions> = {},
): Promise<Elector> {
  const elector = await startElector(namespace, name, identity, options);
  electors.push(elector);
  return elector;
}

interface Election {
  readonly leader: Elector;
  readonly others: readonly Elector[];
}

/** An election with a leader that everybody knows. Candidates are called after the lock: `crash-0`, `crash-1`... */
async function elect(name: string, count: number, options: Partial<ElectorOptions> = {}): Promise<Election> {
  const candidates = await Promise.all(
    Array.from({ length: count }, (_, index) => start(name, `${name}-${String(index)}`, options)),
  );
  const { identity } = await Promise.race(candidates.map((each) => each.until('started-leading')));
  await Promise.all(candidates.map((each) => each.until('new-leader', ({ leader }) => leader === identity)));
  const [leader] = candidates.filter((each) => each.identity === identity);
  return { leader: leader!, others: candidates.filter((each) => each !== leader) };
}

/** Who leads next. */
async function next(others: readonly Elector[]): Promise<Elector> {
  const { identity } = await Promise.race(others.map((each) => each.until('started-leading')));
  return others.find((each) => each.identity === identity)!;
}

/** A write to a lock as it reached the API server, by its own clock. */
interface Write {
  readonly atMs: number;
  readonly pod: string;
  readonly code: number;
  /** The holder that was asked for; null where nobody was named. */
  readonly holder: string | null;
}

interface AuditEvent {
  readonly requestReceivedTimestamp: string;
  readonly user: { readonly extra?: Readonly<Record<string, readonly string[]>> };
  readonly objectRef: { readonly resource: string; readonly namespace: string; readonly name?: string };
  readonly responseStatus: { readonly code: number };
  readonly requestObject?: {
    readonly metadata?: { readonly name?: string };
    readonly spec?: { readonly holderIdentity?: string };
  };
}

/**
 * SOURCE: client-go compares records of whole seconds (metav1.Time in LeaderElectionRecord), so a candidate does not see a renewal
 * within the second of the one before, and counts from up to a second earlier.
 */
const earliestTakeoverMs = leaseDurationMs - 1_000;

/** All writes to a lock so far, in the order of their answers. */
async function writesTo(lock: string): Promise<readonly Write[]> {
  const text = await readFile(controlPlane.auditLog ?? '', 'utf8');
  // NB: the last line may be on its way.
  const lines = text.slice(0, text.lastIndexOf('\n')).split('\n');
  return lines
    .map((line) => JSON.parse(line) as AuditEvent)
    .filter(({ objectRef, requestObject }) => {
      const name = objectRef.name ?? requestObject?.metadata?.name;
      return objectRef.resource === 'leases' && objectRef.namespace === namespace.name && name === lock;
    })
    .map(({ requestReceivedTimestamp, user, responseStatus, requestObject }) => ({
      // NB: candidates may see what was stored before its writer has been answered.
      atMs: Date.parse(requestReceivedTimestamp),
      pod: user.extra?.['authentication.kubernetes.io/pod-name']?.[0] ?? '',
      code: responseStatus.code,
      holder: requestObject?.spec?.holderIdentity ?? null,
    }));
}

const stored = ({ code }: Write): boolean => code < 300;

/** Resolves once the lock has been written `count` times more. */
async function untilWritten(lock: string, count: number): Promise<void> {
  const before = (await writesTo(lock)).filter(stored).length;
  await expect
    .poll(async () => (await writesTo(lock)).filter(stored).length, { timeout: 20_000 })
    .toBeGreaterThanOrEqual(before + count);
}

/** How long the lock had gone without a write when another holder took it, for each change from holder to holder. */
async function takeoversOf(lock: string): Promise<readonly number[]> {
  const writes = (await writesTo(lock)).filter(stored);
  return writes.flatMap((write, index) => {
    const before = writes[index - 1];
    const taken = before?.holder != null && before.holder !== '' && before.holder !== write.holder;
    return taken && write.holder !== '' ? [write.atMs - before.atMs] : [];
  });
}

/**
 * What no elector may ever see: a write that was refused. Conflicts are their own races, and 504 is what the API server
 * notes for a write whose sender was killed before it was answered. Nor is anything said of them but who leads.
 */
async function expectNoneRefused(lock: string): Promise<void> {
  const refused = (await writesTo(lock)).filter(({ code }) => code !== 409 && code !== 504 && code >= 300);
  expect(refused).toEqual([]);
  const said = lockwarden.lines.filter(({ name, msg }) => name === lock && msg !== changeMessage);
  expect(said).toEqual([]);
  const denials = electors.flatMap(({ events }) => events.filter(({ error }) => error?.includes('denied')));
  expect(denials).toEqual([]);
}

/** Nothing has troubled it since it began to lead. Candidates that start together may trip over each other before. */
function expectUntroubled({ identity, events }: Elector): void {
  const leading = events.slice(events.findIndex(({ event }) => event === 'started-leading'));
  expect(leading.filter(({ event }) => event === 'stopped-leading' || event === 'error')).toEqual([]);
  expect(events.filter(({ event }) => event === 'new-leader').at(-1)).toMatchObject({ leader: identity });
}

function steal(lock: string): Promise<KubeError | null> {
  return failureOf(rogue.locks.patch('leases', lock, 'merge', { spec: { holderIdentity: 'rogue' } }));
}

describe('under lockwarden', () => {
  test('three candidates elect one, and it never notices a rogue', async () => {
    const { leader, others } = await elect('rogue', 3);
    expect(others.flatMap(({ events }) => events).map(({ event }) => event)).not.toContain('started-leading');
    const refusal = await steal('rogue');
    expect(refusal).toMatchObject({ kind: 'forbidden', status: 403 });
    expect(refusal?.message).toContain('U15 PrematureTakeover');
    await untilWritten('rogue', 5);
    const writes = (await writesTo('rogue')).filter(stored);
    expect(new Set(writes.map(({ holder }) => holder))).toEqual(new Set([leader.identity]));
    expectUntroubled(leader);
    const told = { name: 'rogue', holder: leader.identity, wouldBeHolder: 'rogue', pod: 'rogue' };
    await expect.poll(() => lockwarden.rejections().at(-1), { timeout: 10_000 }).toMatchObject(told);
    expect(lockwarden.rejections().every(({ pod }) => pod === 'rogue')).toBe(true);
  });

  test('after a crash another leads, when the lease has run out and not before', async () => {
    const { leader, others } = await elect('crash', 3);
    await leader.kill();
    const successor = await next(others);
    await untilWritten('crash', 3);
    const takeovers = await takeoversOf('crash');
    expect(takeovers).toHaveLength(1);
    expect(takeovers[0]).toBeGreaterThan(earliestTakeoverMs);
    expectUntroubled(successor);
    await expectNoneRefused('crash');
  });

  test('after a release another leads without waiting for the lease', async () => {
    const { leader, others } = await elect('release', 3, { releaseOnCancel: true });
    await expect(leader.stop()).resolves.toBe(0);
    await next(others);
    const writes = (await writesTo('release')).filter(stored);
    const released = writes.findIndex(({ holder }) => holder === '');
    expect(writes[released]?.pod).toBe(leader.identity);
    expect(writes[released + 1]!.atMs - writes[released]!.atMs).toBeLessThan((leaseDurationMs * 2) / 3);
    await expectNoneRefused('release');
  });

  test('a leader that is restarted under its identity, in another pod, renews at once', async () => {
    const { leader } = await elect('restart', 2);
    await leader.kill();
    const again = await start('restart', leader.identity);
    const [began, leads] = await Promise.all([again.until('started'), again.until('started-leading')]);
    expect(Date.parse(leads.at) - Date.parse(began.at)).toBeLessThan((leaseDurationMs * 2) / 3);
    await untilWritten('restart', 3);
    const writes = (await writesTo('restart')).filter(stored);
    expect(new Set(writes.map(({ holder }) => holder))).toEqual(new Set([leader.identity]));
    await expectNoneRefused('restart');
  });
});

test('a leader that hung past its lease loses in order, and cannot release what is another’s', async () => {
  const releaseOnCancel = true;
  const elections = await Promise.all([
    elect('hang', 2, { releaseOnCancel }),
    elect('hang-and-stop', 2, { releaseOnCancel }),
  ]);
  for (const { leader } of elections) leader.pause();
  const successors = await Promise.all(elections.map(({ others }) => next(others)));
  const [woken, stopped] = elections.map(({ leader }) => leader);
  const wokenAtMs = Date.now();
  woken!.resume();
  // A process that is told to stop while it hangs hears it when it goes on, as the leader that it thinks it is.
  await Promise.all([stopped!.stop(), woken!.until('stopped-leading')]);
  // NB: a signal now could still come before it asks whether it was told to stop.
  await expect(woken!.untilEnd()).resolves.toBe(1);
  for (const [index, lock] of ['hang', 'hang-and-stop'].entries()) {
    await untilWritten(lock, 5);
    const writes = await writesTo(lock);
    const after = writes.filter(({ atMs }) => atMs >= wokenAtMs);
    const successor = successors[index]!;
    expect(after.filter(stored).map(({ holder }) => holder)).not.toContain('');
    expect(new Set(after.filter(stored).map(({ pod }) => pod))).toEqual(new Set([successor.identity]));
    expectUntroubled(successor);
    // NB: of all writes: one that woke up writes within the millisecond. And an audit log is written after the answer.
    const told = (): readonly unknown[] =>
      lockwarden.rejections().flatMap(({ name, reason }) => (name === lock ? [reason] : []));
    const refused = async (): Promise<readonly unknown[]> =>
      (await writesTo(lock)).filter(({ code }) => code === 403).map(() => 'ForeignRelease');
    await vi.waitFor(
      async () => {
        expect(told()).toEqual(await refused());
      },
      { timeout: 10_000, interval: 250 },
    );
  }
});

test('renewals log nothing, and do not even reach lockwarden', async () => {
  const { leader } = await elect('renewals', 2, { retryPeriodMs: 100 });
  await untilWritten('renewals', 1);
  const callsBefore = await lockwarden.metric('lockwarden_admission_duration_seconds_count');
  const linesBefore = lockwarden.lines.length;
  await untilWritten('renewals', 20);
  expect(callsBefore).toBeGreaterThan(0);
  expect(await lockwarden.metric('lockwarden_admission_duration_seconds_count')).toBe(callsBefore);
  expect(lockwarden.lines.slice(linesBefore)).toEqual([]);
  expectUntroubled(leader);
});

describe('with lockwarden killed', () => {
  test('leaders go on renewing, and elections go on, as if it had never been there', async () => {
    const [steady, crashing] = await Promise.all([elect('steady', 3), elect('crashing', 2)]);
    await lockwarden.kill();
    const killedAtMs = Date.now();
    await crashing.leader.kill();
    await Promise.all([next(crashing.others), sleep(3 * leaseDurationMs)]);

    const since = (await writesTo('steady')).filter(({ atMs }) => atMs > killedAtMs);
    expect(since.filter((write) => !stored(write))).toEqual([]);
    expect(new Set(since.map(({ pod }) => pod))).toEqual(new Set([steady.leader.identity]));
    // LIMIT: a renewal each 250 ms makes 36 in three leases.
    expect(since.length).toBeGreaterThan(20);
    expectUntroubled(steady.leader);

    const takeovers = await takeoversOf('crashing');
    expect(takeovers).toHaveLength(1);
    expect(takeovers[0]).toBeGreaterThan(earliestTakeoverMs);
    await expectNoneRefused('steady');
    await expectNoneRefused('crashing');
  });

  test('a new one takes over the registration that the dead one left, and guards', async () => {
    const { leader } = await elect('again', 1);
    lockwarden = startServe({ kubeconfig: controlPlane.kubeconfig });
    await untilGuarded();
    const { written } = await lockwarden.untilLine('webhook registered');
    expect(written).toEqual(
      expect.arrayContaining(['webhooks[0].clientConfig.url', 'webhooks[0].clientConfig.caBundle']),
    );
    expect(await steal('again')).toMatchObject({ status: 403 });
    await untilWritten('again', 3);
    expectUntroubled(leader);
  });
});
