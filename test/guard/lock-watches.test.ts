/** What is asked of an API server to see all locks, and the Leases of nodes only where somebody wants them seen. */
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { LockMemories } from '../../src/admission/lock-memories.ts';
import { systemClock } from '../../src/clock.ts';
import { LockWatches } from '../../src/guard/lock-watches.ts';
import { isNodeLease } from '../../src/policy/built-in.ts';
import { createMetrics, type Metrics } from '../../src/server/metrics.ts';
import { startFakeApiServer, type Asked, type FakeApiServer } from '../kube/support/fake-api-server.ts';
import { RecordingLogger } from '../kube/support/recorder.ts';

const node = {
  metadata: { namespace: 'kube-node-lease', name: 'node-1', uid: 'n', resourceVersion: '7' },
  spec: { holderIdentity: 'node-1' },
};

let server: FakeApiServer;
let memories: LockMemories;
let metrics: Metrics;
let watches: LockWatches;
let synced: string[];

beforeEach(async () => {
  server = await startFakeApiServer();
  memories = new LockMemories({ isApart: isNodeLease });
  metrics = createMetrics(systemClock(), { processMetrics: false });
  synced = [];
  watches = new LockWatches({
    ...{ client: server.client, memories, metrics: metrics.watch, clock: systemClock() },
    logger: new RecordingLogger(),
    onSynced: (kind) => void synced.push(kind),
  });
});

afterEach(async () => {
  await watches.stop();
  await server.close();
});

const selected = ({ url }: Asked): string =>
  `${url.pathname} ${url.searchParams.get('fieldSelector') ?? 'all'}`;

/** Answers lists with `items`, and leaves watches without an event; resolves with what was asked, once `count` watches run. */
async function untilWatched(count: number, items: readonly unknown[] = []): Promise<readonly string[]> {
  const asked: string[] = [];
  for (let running = 0; running < count;) {
    const each = await server.next();
    const isWatch = each.url.searchParams.has('watch');
    asked.push(`${isWatch ? 'watch' : 'list'} ${selected(each)}`);
    if (isWatch) {
      each.stream();
      running += 1;
    } else each.reply(200, { metadata: { resourceVersion: '7' }, items });
  }
  return asked.sort();
}

describe('the watches on locks', () => {
  it('leave out the Leases of nodes, which are not judged', async () => {
    watches.start();
    const leases = '/apis/coordination.k8s.io/v1/leases metadata.namespace!=kube-node-lease';
    expect(await untilWatched(3)).toEqual([
      'list /api/v1/configmaps all',
      'list /api/v1/endpoints all',
      `list ${leases}`,
      'watch /api/v1/configmaps all',
      'watch /api/v1/endpoints all',
      `watch ${leases}`,
    ]);
    expect(synced.sort()).toEqual(['ConfigMap', 'Endpoints', 'Lease']);
  });

  it('take them in once they are asked for, as Leases like any other', async () => {
    const gone = { kind: 'Lease', namespace: 'kube-node-lease', name: 'node-2' } as const;
    watches.start();
    await untilWatched(3);
    expect(memories.isGone({ ...gone, namespace: 'other' })).toBe(true);
    expect(memories.isGone(gone)).toBe(false);
    expect([watches.includeNodes(), watches.includeNodes()]).toEqual([true, false]);
    const leases = '/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases all';
    expect(await untilWatched(1, [node])).toEqual([`list ${leases}`, `watch ${leases}`]);
    expect([...memories.locks()]).toEqual([{ kind: 'Lease', namespace: 'kube-node-lease', name: 'node-1' }]);
    expect([watches.tracked('Lease'), watches.tracked('ConfigMap')]).toEqual([1, 0]);
    expect(memories.isGone(gone)).toBe(true);
    await vi.waitFor(async () => {
      const text = await metrics.registry.metrics();
      for (const kind of ['Lease', 'NodeLease'])
        expect(text).toContain(`lockwarden_watch_connected{kind="${kind}"} 1`);
    });
    expect(server.waiting).toBe(0);
  });

  it('know of no kind that all of it was listed because the nodes’ were', async () => {
    watches.includeNodes();
    await untilWatched(1, [node]);
    expect(memories.states('Lease')).toBeNull();
    expect(synced).toEqual(['NodeLease']);
  });

  it('ask for nothing once they have ended', async () => {
    watches.start();
    await untilWatched(3);
    await watches.stop();
    expect(watches.includeNodes()).toBe(false);
    await sleep(50);
    expect(server.waiting).toBe(0);
    expect(await metrics.registry.metrics()).not.toContain('NodeLease');
  });
});
