import { beforeEach, describe, expect, it } from 'vitest';
import type { LockRef } from '../../src/core/lock.ts';
import { PolicyStatusKeeper } from '../../src/guard/policy-status.ts';
import type { KubeClient, KubeRequest } from '../../src/kube/client.ts';
import { KubeError } from '../../src/kube/errors.ts';
import { isObject, objectAt, type JsonObject } from '../../src/kube/json.ts';
import type { PolicyRef } from '../../src/policy/policy-ref.ts';
import { PolicyStore } from '../../src/policy/store.ts';

const ref: PolicyRef = { kind: 'LockPolicy', namespace: 'team', name: 'p' };
const nowMs = Date.parse('2026-03-01T12:00:00.700Z');

let store: PolicyStore;
let written: KubeRequest[];
let refusal: KubeError | null;
let warned: object[];
let locks: LockRef[];
let leads: boolean;
let isLeader: () => boolean;
let keeper: PolicyStatusKeeper;

const client: KubeClient = {
  server: 'https://made.up',
  request: async (request) => {
    await Promise.resolve();
    written.push(request);
    if (refusal !== null) throw refusal;
    return { status: 200, body: {}, dateMs: null, warnings: [] };
  },
  stream: () => Promise.reject(new Error('nothing streams here')),
  close: () => undefined,
};

/** The policy is stored with this status, as of this version. */
function observe(status: unknown, resourceVersion = '7'): void {
  const object = { metadata: { name: 'p', namespace: 'team' }, status };
  keeper.observe(ref, { namespace: 'team', name: 'p', uid: 'u', resourceVersion, object });
}

function statusWritten(): JsonObject {
  const body = written.at(-1)?.body;
  return isObject(body) ? objectAt(body, 'status') : {};
}

beforeEach(() => {
  store = new PolicyStore('lockwarden-system');
  store.put({ ref, generation: 1, spec: {} });
  written = [];
  refusal = null;
  warned = [];
  leads = true;
  isLeader = () => leads;
  locks = ['a', 'b'].map((name) => ({ kind: 'Lease', namespace: 'team', name }));
  keeper = new PolicyStatusKeeper({
    client,
    store,
    logger: { info: () => undefined, warn: (fields) => warned.push(fields), error: () => undefined },
    locks: () => [...locks, { kind: 'Lease', namespace: 'other', name: 'c' }],
    nowMs: () => nowMs,
    leads: () => isLeader(),
    protectionOf: ({ name }) => (name === 'a' ? 'Switch' : 'Nothing'),
  });
  observe({});
});

describe('PolicyStatusKeeper', () => {
  it('writes by compare-and-swap, to the status alone', async () => {
    await keeper.refresh();
    expect(written).toMatchObject([
      {
        method: 'PATCH',
        path: '/apis/lockwarden.dev/v1alpha1/namespaces/team/lockpolicies/p/status',
        body: { metadata: { resourceVersion: '7' } },
      },
    ]);
    expect(JSON.stringify(statusWritten())).toContain('Nothing for 1, Switch for 1');
    expect(statusWritten()).toMatchObject({ observedGeneration: 1, locksMatched: 2, rejections: 0 });
    expect(JSON.stringify(statusWritten())).toContain('2026-03-01T12:00:00Z');
  });

  it('writes nothing where nothing has changed, whatever the order of the keys', async () => {
    await keeper.refresh();
    const { conditions, ...rest } = statusWritten();
    observe({ conditions, ...rest }, '8');
    await keeper.refresh();
    expect(written).toHaveLength(1);
    locks.pop();
    await keeper.refresh();
    expect(statusWritten()).toMatchObject({ locksMatched: 1 });
  });

  it('counts refusals under the policy that was named, and forgets them with it', async () => {
    keeper.refused('lockpolicy/team/p');
    keeper.refused('lockpolicy/team/p');
    keeper.refused('built-in defaults');
    await keeper.refresh();
    expect(statusWritten()).toMatchObject({ rejections: 2 });
    keeper.refused('lockpolicy/team/p');
    keeper.observe(ref, null);
    observe({}, '9');
    await keeper.refresh();
    expect(statusWritten()).toMatchObject({ rejections: 0 });
  });

  it('adds its refusals to those that others have counted, once each', async () => {
    observe({ rejections: 40 });
    keeper.refused('lockpolicy/team/p');
    refusal = new KubeError('conflict', 'somebody else was faster');
    await keeper.refresh();
    refusal = null;
    observe({ rejections: 42 }, '8');
    keeper.refused('lockpolicy/team/p');
    await keeper.refresh();
    expect(statusWritten()).toMatchObject({ rejections: 44 });
    observe({ rejections: 44 }, '9');
    locks.pop();
    await keeper.refresh();
    expect(statusWritten()).toMatchObject({ rejections: 44, locksMatched: 1 });
  });

  it('of a replica that does not lead writes the refusals, where there are any, and nothing else', async () => {
    leads = false;
    await keeper.refresh();
    expect(written).toEqual([]);
    keeper.refused('lockpolicy/team/p');
    observe({ rejections: 40, locksMatched: 3 });
    await keeper.refresh();
    expect(statusWritten()).toEqual({ rejections: 41 });
    await keeper.refresh();
    expect(written).toHaveLength(1);
  });

  it('is left to the next leader from the moment that another leads', async () => {
    const asked = [true, false];
    isLeader = () => asked.shift() ?? false;
    await keeper.refresh();
    expect(written).toEqual([]);
  });

  it.each(['conflict', 'not-found'] as const)(
    'leaves it to the next run when somebody else was faster (%s)',
    async (kind) => {
      refusal = new KubeError(kind, 'no');
      await keeper.refresh();
      expect(warned).toEqual([]);
      refusal = null;
      await keeper.refresh();
      expect(written).toHaveLength(2);
    },
  );

  it('says what else went wrong, and goes on', async () => {
    refusal = new KubeError('forbidden', '`x` may not patch lockpolicies/status');
    await keeper.refresh();
    expect(warned).toEqual([
      { policy: 'lockpolicy/team/p', reason: '`x` may not patch lockpolicies/status' },
    ]);
    await keeper.refresh();
    expect(written).toHaveLength(2);
  });

  it('runs once at a time, and not any more once stopped', async () => {
    await Promise.all([keeper.refresh(), keeper.refresh()]);
    expect(written).toHaveLength(1);
    await keeper.stop();
    locks.pop();
    await keeper.refresh();
    expect(written).toHaveLength(1);
  });
});
