import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, inject, test } from 'vitest';
import { parse, parseAllDocuments } from 'yaml';

import { createKubeClient, type KubeClient } from '../../src/kube/client.ts';
import { arrayAt, isObject, objectAt, stringAt, type JsonObject } from '../../src/kube/json.ts';
import { loadKubeconfig } from '../../src/kube/kubeconfig.ts';
import { startControlPlane, type ControlPlane } from '../../src/sandbox/control-plane.ts';
import { failureOf, Namespace } from '../kube/support/cluster.ts';
import { refusals } from '../policy/refusals.ts';
import { files, read } from '../style/tree.ts';

// A control plane of its own: a policy for all namespaces would guide whatever guards the shared one.
let plane: ControlPlane;
let client: KubeClient;
const definitions = '/apis/apiextensions.k8s.io/v1/customresourcedefinitions';
const group = '/apis/lockwarden.dev/v1alpha1';
const name = 'team';
const crds = files('manifests/crds/lockwarden.dev_*.yaml').map((path) => parse(read(path)) as JsonObject);
const run = promisify(execFile);

/** kubectl itself where there is one; the API that it uses is asked in any case. */
const hasKubectl = await run('kubectl', ['version', '--client']).then(
  () => true,
  () => false,
);

async function kubectl(...args: readonly string[]): Promise<string> {
  return (await run('kubectl', ['--kubeconfig', plane.kubeconfig, ...args])).stdout;
}

/** Asks until `answer` gives something: the API server takes up a new kind within seconds. */
async function until<T>(what: string, answer: () => Promise<T | null>): Promise<T> {
  const deadline = Date.now() + 30_000;
  for (;;) {
    const found = await answer();
    if (found !== null) return found;
    if (Date.now() > deadline) throw new Error(`still not there: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

function conditionsOf(object: unknown): ReadonlyMap<string, JsonObject> {
  const conditions = arrayAt(objectAt(object, 'status'), 'conditions').filter(isObject);
  return new Map(conditions.map((condition) => [stringAt(condition, 'type'), condition]));
}

async function get(path: string, accept?: string): Promise<JsonObject> {
  const { body } = await client.request({ method: 'GET', path, ...(accept === undefined ? {} : { accept }) });
  if (!isObject(body)) throw new Error('the answer is no object');
  return body;
}

function collectionOf(kind: string, namespace: string): string {
  return kind === 'LockPolicy'
    ? `${group}/namespaces/${namespace}/lockpolicies`
    : `${group}/clusterlockpolicies`;
}

/** Offers a policy, and keeps nothing of it: the answer is the object as it would be stored. */
async function offer(kind: string, spec: object, rest: JsonObject = {}): Promise<JsonObject> {
  const body = { apiVersion: 'lockwarden.dev/v1alpha1', kind, metadata: { name: 'offered' }, spec, ...rest };
  return offerObject(body, name);
}

async function offerObject(body: JsonObject, namespace: string): Promise<JsonObject> {
  const path = collectionOf(stringAt(body, 'kind'), namespace);
  const query = { fieldValidation: 'Strict', dryRun: 'All' };
  const answer = await client.request({ method: 'POST', path, query, body });
  return isObject(answer.body) ? answer.body : {};
}

async function refusalOf(kind: string, spec: object, rest: JsonObject = {}): Promise<string> {
  return (await failureOf(offer(kind, spec, rest)))?.message ?? 'it was accepted';
}

beforeAll(async () => {
  plane = await startControlPlane({ binaries: inject('binaries') });
  client = createKubeClient(loadKubeconfig({ file: plane.kubeconfig }));
  await Namespace.create(client, name);
  for (const crd of crds) await client.request({ method: 'POST', path: definitions, body: crd });
  for (const crd of crds) {
    const path = `${definitions}/${stringAt(objectAt(crd, 'metadata'), 'name')}`;
    await until(`the condition Established of ${path}`, async () =>
      stringAt(conditionsOf(await get(path)).get('Established'), 'status') === 'True' ? true : null,
    );
  }
});

afterAll(async () => {
  client.close();
  await plane.stop();
});

/** Every field that a policy can have. */
const settings = {
  enforcement: 'Deny',
  profile: 'Strict',
  rules: [
    { reason: 'StaleRenewTime', enforcement: 'Warn' },
    { reason: 'UntimedRecord', enforcement: 'Deny' },
  ],
  tolerance: '1.5s',
  leaseDuration: { min: '10s', max: '1m' },
  candidates: {
    serviceAccounts: ['team/orders'],
    holder: 'PodNamePrefix',
    holderExpression: 'after.holder.startsWith(requester.pod)',
  },
  deletion: 'Deny',
  exempt: { users: ['alice'], groups: ['oncall'] },
  conditions: [{ name: 'office-hours', expression: 'transition != "delete"', message: 'ask us first' }],
  inspectRenewals: true,
  failurePolicy: 'Fail',
  message: 'ask the platform team',
};
const match = { kinds: ['Lease', 'ConfigMap'], names: ['orders-*'], excludeNames: ['orders-test'] };
const clusterSpec = {
  ...settings,
  match: {
    ...match,
    namespaces: ['team-*'],
    excludeNamespaces: ['team-x'],
    namespaceSelector: {
      matchLabels: { 'example.com/tier': 'gold' },
      matchExpressions: [
        { key: 'team', operator: 'In', values: ['a', 'b'] },
        { key: 'legacy', operator: 'DoesNotExist' },
      ],
    },
  },
  floor: {
    enforcement: 'Warn',
    rules: [{ reason: 'PrematureTakeover', enforcement: 'Deny' }],
    toleranceMax: '2s',
    exemptions: 'Allowed',
  },
};

describe('the CRDs', () => {
  test.each(crds.map((crd) => [stringAt(objectAt(crd, 'metadata'), 'name')]))(
    '%s is established, structural, and gets its names',
    async (crd) => {
      const conditions = conditionsOf(await get(`${definitions}/${crd}`));
      expect(stringAt(conditions.get('NamesAccepted'), 'status')).toBe('True');
      expect(stringAt(conditions.get('Established'), 'status')).toBe('True');
      expect(conditions.get('NonStructuralSchema')).toBeUndefined();
    },
  );

  test('the API server offers them under their names, with a status of their own', async () => {
    const resources = await until('the kinds', async () => {
      const found = arrayAt(await get(group), 'resources').filter(isObject);
      return found.length === 4 ? found : null;
    });
    const byName = new Map(resources.map((resource) => [stringAt(resource, 'name'), resource]));
    expect([...byName.keys()].sort()).toEqual([
      'clusterlockpolicies',
      'clusterlockpolicies/status',
      'lockpolicies',
      'lockpolicies/status',
    ]);
    expect(byName.get('lockpolicies')).toMatchObject({
      namespaced: true,
      shortNames: ['lockpol'],
      categories: ['lockwarden'],
    });
    expect(byName.get('clusterlockpolicies')).toMatchObject({ namespaced: false, shortNames: ['clockpol'] });
  });
});

describe('a policy', () => {
  test('with every field is accepted, and stored as it is', async () => {
    expect(objectAt(await offer('LockPolicy', { ...settings, match }), 'spec')).toEqual({
      ...settings,
      match,
    });
    expect(objectAt(await offer('ClusterLockPolicy', clusterSpec), 'spec')).toEqual(clusterSpec);
  });

  test('without any field is accepted, and stays empty', async () => {
    expect(objectAt(await offer('LockPolicy', {}), 'spec')).toEqual({});
    expect(objectAt(await offer('ClusterLockPolicy', {}), 'spec')).toEqual({});
  });

  test('gets the defaults that come with a parent', async () => {
    const spec = objectAt(await offer('ClusterLockPolicy', { candidates: {}, floor: {} }), 'spec');
    expect(spec).toEqual({
      candidates: { holder: 'Any' },
      floor: { enforcement: 'Audit', exemptions: 'Forbidden' },
    });
  });

  test.each(refusals)('$kind: $name is refused', async ({ kind, spec, field, message }) => {
    const refusal = await refusalOf(kind, spec);
    expect(refusal).toContain(message);
    expect(refusal).toContain(` ${field}: `);
  });

  test.each<[string, JsonObject, string | RegExp]>([
    ['an unknown field', { enforcment: 'Deny' }, 'unknown field "spec.enforcment"'],
    ['a field of the other kind', { floor: {} }, 'unknown field "spec.floor"'],
    [
      'a selector of locks by labels',
      { match: { matchLabels: { a: 'b' } } },
      'unknown field "spec.match.matchLabels"',
    ],
    ['an unknown value', { enforcement: 'Block' }, 'spec.enforcement: Unsupported value: "Block"'],
    ['no duration', { tolerance: '1 s' }, 'spec.tolerance: Invalid value'],
    ['a pattern that is none', { match: { names: ['Orders'] } }, 'spec.match.names[0]: Invalid value'],
    ['a list that is too long', { match: { names: Array(65).fill('a') } }, 'spec.match.names: Too many'],
    [
      'a reason that stands twice',
      {
        rules: [
          { reason: 'TransitionsOdd', enforcement: 'Deny' },
          { reason: 'TransitionsOdd', enforcement: 'Warn' },
        ],
      },
      /spec\.rules\[1\]: Duplicate value: .*\{"reason":"TransitionsOdd"\}/,
    ],
    [
      'a condition whose name stands twice',
      {
        conditions: [
          { name: 'a', expression: 'true' },
          { name: 'a', expression: 'false' },
        ],
      },
      /spec\.conditions\[1\]: Duplicate value: .*\{"name":"a"\}/,
    ],
    [
      'a kind that stands twice',
      { match: { kinds: ['Lease', 'Lease'] } },
      'spec.match.kinds[1]: Duplicate value: "Lease"',
    ],
  ])('with %s is refused', async (_, spec, message) => {
    const refusal = await refusalOf('LockPolicy', spec);
    if (typeof message === 'string') expect(refusal).toContain(message);
    else expect(refusal).toMatch(message);
  });

  test('without a spec is refused', async () => {
    expect(await refusalOf('LockPolicy', {}, { spec: undefined })).toContain('spec: Required value');
  });
});

describe('every policy of policies/', () => {
  const shipped = files('policies/*/policy.yaml').flatMap((path) =>
    parseAllDocuments(read(path)).map(
      (document, index) => [`${path} (${String(index + 1)})`, document.toJS() as JsonObject] as const,
    ),
  );

  test.each(shipped)('%s is accepted', async (_, policy) => {
    // The namespace that it names is not there, so it is offered to this test's own.
    const metadata = { name: stringAt(objectAt(policy, 'metadata'), 'name') };
    const stored = await offerObject({ ...policy, metadata }, name);
    expect(objectAt(stored, 'spec')).toMatchObject(objectAt(policy, 'spec'));
  });
});

describe('people see', () => {
  const status = {
    observedGeneration: 1,
    locksMatched: 7,
    rejections: 3,
    conditions: [
      {
        type: 'Ready',
        status: 'True',
        observedGeneration: 1,
        lastTransitionTime: '2026-01-02T03:04:05Z',
        reason: 'InForce',
        message: 'the policy is in force',
      },
    ],
  };

  beforeAll(async () => {
    for (const kind of ['LockPolicy', 'ClusterLockPolicy']) {
      const path = collectionOf(kind, name);
      const body = {
        apiVersion: 'lockwarden.dev/v1alpha1',
        kind,
        metadata: { name: 'seen' },
        spec: { enforcement: 'Warn' },
      };
      await client.request({ method: 'POST', path, body });
      const query = { fieldValidation: 'Strict' };
      await client.request({
        method: 'PATCH',
        path: `${path}/seen/status`,
        query,
        body: { status },
        contentType: 'application/merge-patch+json',
      });
    }
  });

  test.each(['LockPolicy', 'ClusterLockPolicy'])('the columns of a %s', async (kind) => {
    const table = await get(collectionOf(kind, name), 'application/json;as=Table;v=v1;g=meta.k8s.io');
    const columns = arrayAt(table, 'columnDefinitions').map((column) => stringAt(column, 'name'));
    expect(columns).toEqual(['Name', 'Enforcement', 'Locks', 'Rejections', 'Ready', 'Age']);
    const [row] = arrayAt(table, 'rows');
    expect(arrayAt(row, 'cells').slice(0, 5)).toEqual(['seen', 'Warn', 7, 3, 'True']);
  });

  test('a text for every field', async () => {
    const schemas = await until('the OpenAPI document', async () => {
      const document = await get('/openapi/v3/apis/lockwarden.dev/v1alpha1').catch(() => ({}));
      const found = objectAt(objectAt(document, 'components'), 'schemas');
      return 'dev.lockwarden.v1alpha1.ClusterLockPolicy' in found ? found : null;
    });
    const spec = objectAt(
      objectAt(objectAt(schemas, 'dev.lockwarden.v1alpha1.LockPolicy'), 'properties'),
      'spec',
    );
    const candidates = objectAt(objectAt(spec, 'properties'), 'candidates');
    expect(stringAt(candidates, 'description')).toMatch(/^Who may take the lock\./u);
  });

  test.skipIf(!hasKubectl)('with kubectl explain, what a field means', async () => {
    const text = await kubectl('explain', 'lockpolicy.spec.candidates');
    expect(text).toContain('Who may take the lock.');
    expect(text).toMatch(/serviceAccounts\s+<\[\]string>\s+ServiceAccounts that may take the lock/u);
  });

  test.skipIf(!hasKubectl)('with kubectl get, how the policies do', async () => {
    const lines = (await kubectl('get', 'lockpolicies', '-n', name)).trim().split('\n');
    expect(lines[0]?.split(/\s+/u)).toEqual(['NAME', 'ENFORCEMENT', 'LOCKS', 'REJECTIONS', 'READY', 'AGE']);
    expect(lines[1]?.split(/\s+/u).slice(0, 5)).toEqual(['seen', 'Warn', '7', '3', 'True']);
    expect(await kubectl('get', 'clockpol')).toContain('seen');
    expect(await kubectl('get', 'lockwarden', '-n', name)).toMatch(
      /^clusterlockpolicy\S+\/seen .*^lockpolicy/msu,
    );
  });
});
