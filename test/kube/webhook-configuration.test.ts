import { describe, expect, test } from 'vitest';

import { arrayAt, isObject, objectAt, stringAt, type JsonObject } from '../../src/kube/json.ts';
import { desiredConfiguration, type ConfigurationOptions } from '../../src/kube/webhook-configuration.ts';
import { drift } from '../../src/kube/webhook-drift.ts';

const options: ConfigurationOptions = {
  address: { kind: 'url', url: 'https://127.0.0.1:9443/admit' },
  caBundle: 'PEM\n',
  ownNamespace: 'lockwarden-system',
  notLocks: [{ namespace: 'kyverno', name: 'kyverno-health' }],
  leases: { unguarded: ['lockwarden-system', 'kube-system', 'kube-system'], renewals: 'skip', special: [] },
  records: { unguarded: ['lockwarden-system', 'kube-system'], renewals: 'skip', special: [] },
};

describe('the webhook configuration', () => {
  test('has an entry for Leases and one for records, which never stop the cluster', () => {
    const { webhooks, metadata } = desiredConfiguration(options);
    expect(metadata.name).toBe('lockwarden');
    expect(metadata.labels).toEqual({
      'app.kubernetes.io/name': 'lockwarden',
      'app.kubernetes.io/managed-by': 'lockwarden',
    });
    expect(webhooks.map((each) => each['name'])).toEqual([
      'leases.lockwarden.dev',
      'records.lockwarden.dev',
      'canary.lockwarden.dev',
    ]);
    for (const each of webhooks.slice(0, 2)) {
      expect(each).toMatchObject({
        failurePolicy: 'Ignore',
        timeoutSeconds: 2,
        sideEffects: 'NoneOnDryRun',
        matchPolicy: 'Equivalent',
        admissionReviewVersions: ['v1'],
        clientConfig: { url: 'https://127.0.0.1:9443/admit', caBundle: btoa('PEM\n') },
        namespaceSelector: {
          matchExpressions: [
            {
              key: 'kubernetes.io/metadata.name',
              operator: 'NotIn',
              values: ['kube-system', 'lockwarden-system'],
            },
          ],
        },
      });
    }
    expect(webhooks.map((each) => each['rules'])).toMatchObject([
      [
        {
          apiGroups: ['coordination.k8s.io'],
          resources: ['leases'],
          operations: ['CREATE', 'UPDATE', 'DELETE'],
        },
      ],
      [{ apiGroups: [''], resources: ['configmaps', 'endpoints'], scope: 'Namespaced' }],
      [{ apiGroups: ['coordination.k8s.io'], resources: ['leases'], operations: ['UPDATE'] }],
    ]);
  });

  test.for(['lockwarden-system', 'kube-system', 'default'])(
    'sends the canary in %s as it sends everything else, and fails closed for dry runs on it alone',
    (ownNamespace) => {
      const { webhooks } = desiredConfiguration({ ...options, ownNamespace });
      const canary = webhooks.at(-1) ?? {};
      const { name, rules, matchConditions, namespaceSelector, failurePolicy, ...shared } = canary;
      expect({ name, failurePolicy }).toEqual({ name: 'canary.lockwarden.dev', failurePolicy: 'Fail' });
      for (const each of webhooks.slice(0, -1)) expect(each).toMatchObject(shared);
      expect(rules).toMatchObject([{ operations: ['UPDATE'], resources: ['leases'] }]);
      expect(namespaceSelector).toEqual({
        matchExpressions: [{ key: 'kubernetes.io/metadata.name', operator: 'In', values: [ownNamespace] }],
      });
      expect(matchConditions).toEqual([
        { name: 'the-canary', expression: "request.?name.orValue('') == 'lockwarden-canary'" },
        { name: 'a-dry-run', expression: 'request.?dryRun.orValue(false) == true' },
      ]);
    },
  );

  test('has entries of their own for namespaces that policies call for otherwise', () => {
    const { webhooks } = desiredConfiguration({
      ...options,
      leases: {
        unguarded: ['lockwarden-system'],
        renewals: 'skip',
        special: [
          { renewals: 'skip', failurePolicy: 'Fail', namespaces: ['b', 'a'] },
          { renewals: 'inspect', failurePolicy: 'Fail', namespaces: ['c'] },
          { renewals: 'inspect', failurePolicy: 'Ignore', namespaces: ['d'] },
        ],
      },
    });
    const told = webhooks.map((each) => {
      const [selected] = arrayAt(objectAt(each, 'namespaceSelector'), 'matchExpressions');
      const conditions = arrayAt(each, 'matchConditions').map((condition) => stringAt(condition, 'name'));
      const values = arrayAt(selected, 'values').join(' ');
      return [each['name'], each['failurePolicy'], `${stringAt(selected, 'operator')} ${values}`, conditions];
    });
    const leases = 'leases.lockwarden.dev';
    expect(told).toEqual([
      [leases, 'Ignore', 'NotIn a b c d lockwarden-system', ['not-a-plain-renewal']],
      [`fail.${leases}`, 'Fail', 'In a b', ['tracked-and-not-a-plain-renewal']],
      [`fail-untracked.${leases}`, 'Ignore', 'In a b', ['untracked']],
      [`fail-inspect.${leases}`, 'Fail', 'In c', ['tracked-and-not-a-plain-renewal']],
      [`fail-renewals.${leases}`, 'Ignore', 'In c', ['untracked-or-a-plain-renewal']],
      [`inspect.${leases}`, 'Ignore', 'In d', ['a-lock']],
      ['records.lockwarden.dev', 'Ignore', 'NotIn kube-system lockwarden-system', ['not-a-plain-renewal']],
      ['canary.lockwarden.dev', 'Fail', 'In lockwarden-system', ['the-canary', 'a-dry-run']],
    ]);
  });

  test('addresses a Service inside the cluster', () => {
    const address = { kind: 'service', namespace: 'a', name: 'b', port: 443, path: '/admit' } as const;
    const [entry] = desiredConfiguration({ ...options, address, version: '1.2.3' }).webhooks;
    expect(entry?.['clientConfig']).toEqual({
      service: { namespace: 'a', name: 'b', port: 443, path: '/admit' },
      caBundle: btoa('PEM\n'),
    });
  });

  test('is the same for the same options', () => {
    expect(desiredConfiguration(options)).toEqual(desiredConfiguration({ ...options }));
  });
});

describe('drift', () => {
  const desired = desiredConfiguration(options);
  /** As the API server stores it. */
  const stored = (): { metadata: JsonObject; webhooks: JsonObject[] } => ({
    metadata: { ...desired.metadata, uid: 'u', resourceVersion: '1', generation: 1 },
    webhooks: JSON.parse(JSON.stringify(desired.webhooks)) as JsonObject[],
  });
  const changed = (index: number, change: JsonObject): object => {
    const object = stored();
    object.webhooks[index] = { ...object.webhooks[index], ...change };
    return object;
  };

  test('there is none in what the API server stores, nor in what others add to the metadata', () => {
    expect(drift(stored(), desired)).toEqual([]);
    const { metadata, webhooks } = stored();
    const labels = { ...(isObject(metadata['labels']) ? metadata['labels'] : {}), other: 'x' };
    expect(drift({ metadata: { ...metadata, labels, annotations: { a: 'b' } }, webhooks }, desired)).toEqual(
      [],
    );
  });

  test.for([
    ['a changed policy', 0, { failurePolicy: 'Fail' }, 'webhooks[0].failurePolicy'],
    [
      'a cleared bundle',
      1,
      { clientConfig: { url: 'https://127.0.0.1:9443/admit' } },
      'webhooks[1].clientConfig.caBundle',
    ],
    [
      'a selector that switches it off',
      0,
      { objectSelector: { matchLabels: { a: 'b' } } },
      'webhooks[0].objectSelector.matchLabels',
    ],
    [
      'one more condition',
      1,
      {
        matchConditions: [
          ...(desired.webhooks[1]?.['matchConditions'] as []),
          { name: 'off', expression: 'false' },
        ],
      },
      'webhooks[1].matchConditions[1]',
    ],
    ['a condition taken away', 0, { matchConditions: undefined }, 'webhooks[0].matchConditions'],
    ['a field of a later API', 0, { later: true }, 'webhooks[0].later'],
  ] as const)('%s is found', ([, index, change, path]) => {
    expect(drift(changed(index, change), desired)).toEqual([path]);
  });

  test('an entry more, an entry less, and a label are found', () => {
    const more = stored();
    more.webhooks.push({ name: 'other' });
    expect(drift(more, desired)).toEqual(['webhooks[3]']);
    const less = stored();
    less.webhooks.pop();
    expect(drift(less, desired)).toEqual(['webhooks[2]']);
    const unlabelled = { ...stored(), metadata: {} };
    expect(drift(unlabelled, desired)).toContain('metadata.labels[app.kubernetes.io/name]');
  });

  test('anything else is read as all different, in a bounded number of paths', () => {
    for (const odd of [null, undefined, 'x', [], {}]) expect(drift(odd, desired)).not.toEqual([]);
    const scrambled = {
      webhooks: desired.webhooks.map(() =>
        Object.fromEntries(Array.from({ length: 100 }, (_, i) => [`f${String(i)}`, 1])),
      ),
    };
    expect(drift(scrambled, desired)).toHaveLength(20);
  });
});
