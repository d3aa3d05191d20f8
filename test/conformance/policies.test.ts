/** Policies on a real API server: what they do to writes, how soon, and what becomes of them when they are wrong or gone. */
import { readFile } from 'node:fs/promises';

import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { parse } from 'yaml';

import { explain } from '../../src/cli/explain.ts';
import { arrayAt, isObject, objectAt, stringAt, type JsonObject } from '../../src/kube/json.ts';
import { files, read } from '../style/tree.ts';
import { startGround, type Ground } from './cases/support/ground.ts';
import { clientGo } from './cases/support/leases.ts';
import type { Trial } from './cases/support/trial.ts';
import { messageOf, type Answer } from './cases/support/writer.ts';

const group = '/apis/lockwarden.dev/v1alpha1';
const definitions = '/apis/apiextensions.k8s.io/v1/customresourcedefinitions';
const webhooks = '/apis/admissionregistration.k8s.io/v1/validatingwebhookconfigurations/lockwarden';
const crds = files('manifests/crds/lockwarden.dev_*.yaml').map((path) => parse(read(path)) as JsonObject);
/** What an edit may take to be in force on every replica. */
const inForce = { timeout: 2_000, interval: 20 };
/** LIMIT: an API server takes up a new kind, and lockwarden its watch, within seconds; a busy machine takes longer. */
const eventually = { timeout: 30_000, interval: 100 };

let ground: Ground;
let locks = 0;

beforeAll(async () => {
  ground = await startGround('policies', [], { audit: true });
  await install();
});

afterAll(() => ground.stop());

async function install(): Promise<void> {
  for (const crd of crds) await accepted(ground.admin.send('POST', definitions, { body: crd }));
  await vi.waitFor(async () => {
    for (const crd of crds) {
      const name = stringAt(objectAt(crd, 'metadata'), 'name').split('.')[0] ?? '';
      expect((await ground.admin.send('GET', `${group}/${name}`)).status).toBe(200);
    }
  }, eventually);
  await put(local('ready'), {});
  await status(local('ready'), ({ conditions }) => {
    expect(conditions.get('Ready')).toBe('True InForce');
  });
  await remove(local('ready'));
}

async function accepted(answer: Promise<Answer>): Promise<Answer> {
  const given = await answer;
  expect([200, 201], messageOf(given)).toContain(given.status);
  return given;
}

/** Where a policy is. */
interface Place {
  readonly kind: 'LockPolicy' | 'ClusterLockPolicy';
  readonly collection: string;
  readonly name: string;
}

function local(name: string): Place {
  return { kind: 'LockPolicy', collection: `${group}/namespaces/${ground.namespace}/lockpolicies`, name };
}

function cluster(name: string): Place {
  return { kind: 'ClusterLockPolicy', collection: `${group}/clusterlockpolicies`, name };
}

/** Creates the policy, or replaces its spec. */
async function put({ kind, collection, name }: Place, spec: object): Promise<void> {
  const path = `${collection}/${name}`;
  const found = await ground.admin.send('GET', path);
  const metadata = found.status === 200 ? objectAt(found.body, 'metadata') : { name };
  const body = { apiVersion: 'lockwarden.dev/v1alpha1', kind, metadata, spec };
  await accepted(
    found.status === 200
      ? ground.admin.send('PUT', path, { body })
      : ground.admin.send('POST', collection, { body }),
  );
}

async function remove({ collection, name }: Place): Promise<void> {
  await accepted(ground.admin.send('DELETE', `${collection}/${name}`));
}

interface Status {
  readonly locksMatched: unknown;
  readonly rejections: unknown;
  readonly observedGeneration: unknown;
  readonly conditions: ReadonlyMap<string, string>;
  readonly messages: string;
}

/** Waits until the status of the policy is as `check` wants it. */
async function status({ collection, name }: Place, check: (status: Status) => void): Promise<void> {
  await vi.waitFor(async () => {
    const { body } = await ground.admin.send('GET', `${collection}/${name}`);
    const { locksMatched, rejections, observedGeneration, conditions } = objectAt(body, 'status');
    const all = arrayAt({ conditions }, 'conditions').filter(isObject);
    check({
      ...{ locksMatched, rejections, observedGeneration },
      conditions: new Map(
        all.map((each) => [
          stringAt(each, 'type'),
          `${stringAt(each, 'status')} ${stringAt(each, 'reason')}`,
        ]),
      ),
      messages: all.map((each) => stringAt(each, 'message')).join('\n'),
    });
  }, eventually);
}

/** A lock that `a` holds for a minute. */
async function held(name = `lock-${String((locks += 1))}`): Promise<Trial> {
  const lock = ground.trial(name);
  await accepted(clientGo(ground.a).create(lock, { holder: 'a', durationS: 60 }));
  return lock;
}

/** What `b` is told when it tries, without taking it, to take the lock. */
function tryTheft(lock: Trial): Promise<Answer> {
  const now = new Date().toISOString().replace('Z', '000Z');
  const spec = { holderIdentity: 'b', acquireTime: now, renewTime: now, leaseTransitions: 1 };
  return ground.b.patch(lock, 'merge', { spec }, { dryRun: true });
}

describe('enforcement', () => {
  it('Deny refuses, Warn warns, Audit records, and an edit counts within two seconds', async () => {
    const lock = await held();
    expect((await tryTheft(lock)).status).toBe(403);

    await put(local('team'), { enforcement: 'Warn' });
    await vi.waitFor(async () => {
      const { status: code, warnings } = await tryTheft(lock);
      expect(code).toBe(200);
      expect(warnings.join()).toMatch(new RegExp(`PrematureTakeover, lockpolicy/${ground.namespace}/team`));
    }, inForce);

    await put(local('team'), { enforcement: 'Audit' });
    await vi.waitFor(async () => {
      expect(await tryTheft(lock)).toMatchObject({ status: 200, warnings: [] });
    }, inForce);
    expect(
      ground.lines().filter(({ msg, name }) => msg === 'lock write audited' && name === lock.name),
    ).not.toEqual([]);
    await vi.waitFor(async () => {
      const events = (await readFile(ground.auditLog, 'utf8'))
        .split('\n')
        .filter((line) => line.includes(lock.name));
      expect(events.join('\n')).toContain('"leases.lockwarden.dev/reason":"PrematureTakeover"');
    }, eventually);

    await put(local('team'), { enforcement: 'Deny', message: 'ask the platform team' });
    await vi.waitFor(async () => {
      const answer = await tryTheft(lock);
      expect(answer.status).toBe(403);
      expect(messageOf(answer)).toMatch(
        /; ask the platform team; \[lockwarden U15 PrematureTakeover, lockpolicy\//,
      );
    }, inForce);
    await remove(local('team'));
  });

  it('deleting the policy brings the built-in defaults back', async () => {
    const lock = await held();
    await put(local('team'), { enforcement: 'Audit' });
    await vi.waitFor(async () => {
      expect((await tryTheft(lock)).status).toBe(200);
    }, inForce);
    await remove(local('team'));
    await vi.waitFor(async () => {
      expect(messageOf(await tryTheft(lock))).toContain('built-in defaults]');
    }, inForce);
  });

  it('what only a policy asks for is refused in its name', async () => {
    const p = `lockpolicy/${ground.namespace}/strict`;
    await put(local('strict'), {
      match: { names: ['only-*'] },
      leaseDuration: { max: '30s' },
      candidates: { holder: 'PodName' },
      conditions: [{ name: 'not-c', expression: 'after.holder != "c"', message: 'c is retired' }],
    });
    const attempt = async (holder: string, durationS: number): Promise<string> =>
      messageOf(
        await clientGo(holder === 'c' ? ground.c : ground.a).create(ground.trial('only-1'), {
          holder,
          durationS,
        }),
      );
    await vi.waitFor(async () => {
      expect(await attempt('a', 60)).toContain(`[lockwarden P1 LeaseDurationOutOfBounds, ${p}]`);
    }, inForce);
    expect(await attempt('somebody', 15)).toContain('P3 HolderMismatch');
    expect(await attempt('c', 15)).toContain('(c is retired)');
    expect(await attempt('a', 15)).toBe('');
    await remove(local('strict'));
  });
});

describe('explain', () => {
  const explained = async (lock: string): Promise<JsonObject> => {
    let text = '';
    const options = { lock, namespace: ground.namespace, kubeconfig: ground.kubeconfig };
    await explain({ ...options, lockwardenNamespace: 'lockwarden-system', output: 'json' }, (part) => {
      text += part;
    });
    return JSON.parse(text) as JsonObject;
  };

  it('says what the guard does', async () => {
    const lock = await held();
    await put(local('team'), { match: { names: [lock.name] }, tolerance: '2s' });
    expect(await explained(`lease/${lock.name}`)).toMatchObject({
      holder: 'a',
      guarded: true,
      policies: [`lockpolicy/${ground.namespace}/team`],
      takeover: { outcome: 'Deny' },
    });
    await vi.waitFor(async () => {
      expect(messageOf(await tryTheft(lock))).toContain(`lockpolicy/${ground.namespace}/team]`);
    }, inForce);
    await remove(local('team'));
    expect(await explained(`leases/${lock.name}`)).toMatchObject({ policies: [] });
    expect(await explained('cm/nowhere')).toMatchObject({ exists: false, takeover: { outcome: 'Free' } });
  });

  it('says in a sentence what names no lock', async () => {
    await expect(explained('pod/x')).rejects.toMatchObject({
      code: 'UsageInvalid',
      message: '`pod/x` names no lock: give lease/NAME, configmap/NAME or endpoints/NAME',
    });
  });
});

describe('a policy that turns invalid', () => {
  it('leaves its last good state in force, and says so, with the field', async () => {
    const lock = await held();
    await put(local('team'), { enforcement: 'Warn' });
    await vi.waitFor(async () => {
      expect((await tryTheft(lock)).status).toBe(200);
    }, inForce);
    await put(local('team'), {
      enforcement: 'Audit',
      conditions: [{ name: 'wrong', expression: 'requester.role == "x"' }],
    });
    await status(local('team'), ({ conditions, messages, observedGeneration }) => {
      expect(Object.fromEntries(conditions)).toMatchObject({
        Ready: 'False LastGoodInForce',
        Invalid: 'True FieldInvalid',
      });
      expect(messages).toContain('spec.conditions[0].expression: No such key: role');
      expect(observedGeneration).toBe(2);
    });
    expect((await tryTheft(lock)).warnings.join()).toContain('PrematureTakeover');
    await put(local('team'), { enforcement: 'Deny' });
    await status(local('team'), ({ conditions }) => {
      expect(Object.fromEntries(conditions)).toMatchObject({ Ready: 'True InForce', Invalid: 'False Valid' });
    });
    expect((await tryTheft(lock)).status).toBe(403);
    await remove(local('team'));
  });
});

describe('the status', () => {
  it('counts locks and refusals, and tells two that disagree', async () => {
    const lock = await held('counted-1');
    await held('counted-2');
    const match = { names: ['counted-*'] };
    await put(local('one'), { match, tolerance: '1s' });
    await put(local('two'), { match, tolerance: '2s' });
    await status(local('one'), ({ locksMatched, conditions }) => {
      expect(locksMatched).toBe(2);
      expect(conditions.get('Conflicted')).toBe('True EquallySpecific');
    });
    await tryTheft(lock);
    await status(local('two'), ({ rejections, messages }) => {
      expect(rejections).toBe(1);
      expect(messages).toContain('is as specific and disagrees');
    });
    await remove(local('one'));
    await status(local('two'), ({ conditions }) => {
      expect(conditions.get('Conflicted')).toBe('False Undisputed');
    });
    await remove(local('two'));
  });
});

describe('the webhook configuration', () => {
  const entries = async (): Promise<Readonly<Record<string, string>>> => {
    const { body } = await ground.admin.send('GET', webhooks);
    const all = arrayAt(body, 'webhooks').filter(isObject);
    return Object.fromEntries(
      all.map((each) => [
        stringAt(each, 'name'),
        `${stringAt(each, 'failurePolicy')} ${JSON.stringify(each['namespaceSelector'])}`,
      ]),
    );
  };

  it('gets an entry for a namespace that asks for more, and loses it with the policy', async () => {
    const before = await entries();
    expect(Object.keys(before)).toEqual([
      'leases.lockwarden.dev',
      'records.lockwarden.dev',
      'canary.lockwarden.dev',
    ]);
    await put(local('closed'), { match: { kinds: ['Lease'] }, failurePolicy: 'Fail', inspectRenewals: true });
    await vi.waitFor(async () => {
      const now = await entries();
      expect(now['fail-inspect.leases.lockwarden.dev']).toBe(
        `Fail {"matchExpressions":[{"key":"kubernetes.io/metadata.name","operator":"In","values":["${ground.namespace}"]}]}`,
      );
      expect(now['fail-renewals.leases.lockwarden.dev']).toMatch(/^Ignore/);
      expect(now['leases.lockwarden.dev']).toContain(`"${ground.namespace}"`);
      for (const same of ['records.lockwarden.dev', 'canary.lockwarden.dev'])
        expect(now[same]).toBe(before[same]);
    }, eventually);
    await remove(local('closed'));
    await vi.waitFor(async () => {
      expect(await entries()).toEqual(before);
    }, eventually);
  });

  it('covers kube-system only once a ClusterLockPolicy names it', async () => {
    const inSystem = { plural: 'leases', namespace: 'kube-system' } as const;
    const lock = ground.trial('system-lock', inSystem);
    await accepted(clientGo(ground.admin).create(lock, { holder: 'a', durationS: 60 }));
    const theft = (): Promise<Answer> =>
      ground.admin.patch(lock, 'merge', { spec: { holderIdentity: 'b' } }, { dryRun: true });
    await put(cluster('all'), { enforcement: 'Deny' });
    expect((await theft()).status).toBe(200);
    await put(cluster('system'), { match: { namespaces: ['kube-system'] }, enforcement: 'Deny' });
    await vi.waitFor(async () => {
      expect(messageOf(await theft())).toContain('clusterlockpolicy/system]');
    }, eventually);
    await remove(cluster('system'));
    await remove(cluster('all'));
    await vi.waitFor(async () => {
      expect((await theft()).status).toBe(200);
    }, eventually);
  });
});

describe('the Leases of nodes', () => {
  it('are judged, and counted, once a ClusterLockPolicy names their namespace', async () => {
    const lock = ground.trial('node-1', { plural: 'leases', namespace: 'kube-node-lease' });
    await accepted(clientGo(ground.admin).create(lock, { holder: 'node-1', durationS: 60 }));
    await put(cluster('nodes'), { match: { namespaces: ['kube-node-lease'] }, enforcement: 'Deny' });
    await status(cluster('nodes'), ({ locksMatched }) => {
      expect(locksMatched).toBe(1);
    });
    const theft = (): Promise<Answer> =>
      ground.admin.patch(lock, 'merge', { spec: { holderIdentity: 'b' } }, { dryRun: true });
    await vi.waitFor(async () => {
      expect(messageOf(await theft())).toContain('clusterlockpolicy/nodes]');
    }, eventually);
    await remove(cluster('nodes'));
    await vi.waitFor(async () => {
      expect((await theft()).status).toBe(200);
    }, eventually);
  });
});

describe('a floor', () => {
  it('holds against the policy of a namespace', async () => {
    const lock = await held();
    await put(cluster('floor'), { floor: { enforcement: 'Warn' } });
    await put(local('team'), { enforcement: 'Audit' });
    await vi.waitFor(async () => {
      const { status: code, warnings } = await tryTheft(lock);
      expect(code).toBe(200);
      expect(warnings.join()).toContain('PrematureTakeover');
    }, inForce);
    await remove(local('team'));
    await remove(cluster('floor'));
  });
});

describe('a CRD that is removed', () => {
  it('takes its policies with it, decisions go on, and it may come back', async () => {
    const lock = await held();
    await put(local('team'), { enforcement: 'Audit' });
    await vi.waitFor(async () => {
      expect((await tryTheft(lock)).status).toBe(200);
    }, inForce);
    for (const crd of crds) {
      await accepted(
        ground.admin.send('DELETE', `${definitions}/${stringAt(objectAt(crd, 'metadata'), 'name')}`),
      );
    }
    await vi.waitFor(async () => {
      expect(messageOf(await tryTheft(lock))).toContain('built-in defaults]');
    }, eventually);
    await vi.waitFor(async () => {
      for (const crd of crds) {
        const { status: code } = await ground.admin.send(
          'GET',
          `${definitions}/${stringAt(objectAt(crd, 'metadata'), 'name')}`,
        );
        expect(code).toBe(404);
      }
    }, eventually);
    await install();
    await put(local('team'), { enforcement: 'Audit' });
    await vi.waitFor(async () => {
      expect((await tryTheft(lock)).status).toBe(200);
    }, eventually);
  });
});
