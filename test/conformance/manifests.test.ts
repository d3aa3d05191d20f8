/** The manifests: that they are what they say, and that an API server takes every field of them. */
import { afterAll, beforeAll, describe, expect, inject, test } from 'vitest';
import { parse } from 'yaml';

import { createKubeClient, type KubeClient } from '../../src/kube/client.ts';
import { arrayAt, objectAt, stringAt, type JsonObject } from '../../src/kube/json.ts';
import { loadKubeconfig } from '../../src/kube/kubeconfig.ts';
import { startControlPlane, type ControlPlane } from '../../src/sandbox/control-plane.ts';
import { renderedInstall } from '../../tools/render.ts';
import { files, read } from '../style/tree.ts';
import { installCrds } from './support/crds.ts';
import { foreignCrds } from './support/foreign-crds.ts';
import { Applier, describeObject, objectsIn, objectsOf, objectsWith } from './support/manifests.ts';

/** LIMIT: kustomize is built once, which takes two minutes on a busy machine. */
const buildTimeoutMs = 600_000;

const components = files('manifests/components/*/kustomization.yaml').map((path) => path.split('/')[2] ?? '');
const overlays = files('manifests/overlays/*/kustomization.yaml').map((path) => path.split('/')[2] ?? '');

/** What components bring besides policies. */
const brought: Readonly<Record<string, readonly string[]>> = {
  'cert-manager': [
    'Certificate/lockwarden-ca',
    'Certificate/lockwarden-tls',
    'Issuer/lockwarden',
    'Issuer/lockwarden-selfsigned',
  ],
  'read-api': [
    'ClusterRole/lockwarden-read-api',
    'ClusterRole/lockwarden-review-reader',
    'ClusterRoleBinding/lockwarden-read-api',
    'Service/lockwarden-review',
  ],
  'service-monitor': ['ServiceMonitor/lockwarden'],
};

let controlPlane: ControlPlane;
let client: KubeClient;
let applier: Applier;
let base: readonly JsonObject[];

beforeAll(async () => {
  base = await objectsOf('base');
  controlPlane = await startControlPlane({ binaries: inject('binaries') });
  client = createKubeClient(loadKubeconfig({ file: controlPlane.kubeconfig }));
  applier = new Applier(client);
  await installCrds(client, await foreignCrds());
  // A dry run creates no namespace for what would be in it.
  await client.request({
    method: 'POST',
    path: '/api/v1/namespaces',
    body: { metadata: { name: 'lockwarden-system' } },
  });
}, buildTimeoutMs);

afterAll(async () => {
  client.close();
  await controlPlane.stop();
});

function find(objects: readonly JsonObject[], name: string): JsonObject {
  const found = objects.find((each) => describeObject(each) === name);
  if (found === undefined) throw new Error(`there is no ${name}`);
  return found;
}

/** Has the API server check each object, in a dry run that forgives nothing, and returns what it warned of. */
async function checked(objects: readonly JsonObject[]): Promise<string[]> {
  const warnings: string[] = [];
  for (const object of objects) {
    const name = describeObject(object);
    const answer = await applier.apply(object, { dryRun: 'All' });
    warnings.push(...answer.warnings.map((each) => `${name}: ${each}`));
  }
  return warnings;
}

describe('manifests/install.yaml', () => {
  test('is what kustomize makes of manifests/base', async () => {
    expect(read('manifests/install.yaml'), 'run `npm run render`').toBe(await renderedInstall());
  });

  test('passes the API server’s strict check, without a warning', async () => {
    const objects = objectsIn(read('manifests/install.yaml'));
    expect(objects.length).toBeGreaterThan(15);
    expect(await checked(objects)).toEqual([]);
  });

  test('begins with the namespace, and ends with the registration', () => {
    const names = base.map(describeObject);
    expect(names.at(0)).toBe('Namespace/lockwarden-system');
    expect(names.at(-1)).toBe('ValidatingWebhookConfiguration/lockwarden');
  });

  test('a field that does not exist would have been found', async () => {
    const object = find(base, 'ServiceAccount/lockwarden');
    await expect(checked([{ ...object, imagePullSecret: [] }])).rejects.toThrow('imagePullSecret');
    const monitor = find(await objectsWith(['service-monitor']), 'ServiceMonitor/lockwarden');
    const spec = { ...objectAt(monitor, 'spec'), endpoint: [] };
    await expect(checked([{ ...monitor, spec }])).rejects.toThrow('endpoint');
  });
});

describe('components and overlays', () => {
  test('are there', () => {
    expect(components).toEqual([
      'audit-only',
      'cert-manager',
      'ha',
      'host-network',
      'kube-system',
      'read-api',
      'service-monitor',
    ]);
    expect(overlays).toEqual(['audit-only', 'production']);
  });

  test.each(components)('%s renders, and passes the API server’s strict check', async (component) => {
    const objects = await objectsWith([component]);
    expect(objects).not.toEqual(base);
    const known = new Set(base.map(describeObject));
    const added = objects
      .map(describeObject)
      .filter((each) => !known.has(each) && !each.startsWith('ClusterLockPolicy/'));
    expect(added.toSorted()).toEqual(brought[component] ?? []);
    expect(await checked(objects)).toEqual([]);
  });

  test.each(overlays)('%s renders, and passes the API server’s strict check', async (overlay) => {
    expect(await checked(await objectsOf(`overlays/${overlay}`))).toEqual([]);
  });

  test('can all be had together', async () => {
    expect(await checked(await objectsWith(components))).toEqual([]);
  });
});

test('docs/install.md says of each component and overlay what it is for', () => {
  const text = read('docs/install.md');
  for (const each of components) expect(text).toContain(`components/${each}`);
  for (const each of overlays) expect(text).toContain(`overlays/${each}`);
});

describe('the installation', () => {
  const container = (objects: readonly JsonObject[]): JsonObject => {
    const pod = objectAt(podOf(objects), 'spec');
    const [first] = arrayAt(pod, 'containers');
    return objectAt({ first }, 'first');
  };
  const podOf = (objects: readonly JsonObject[]): JsonObject =>
    objectAt(objectAt(find(objects, 'Deployment/lockwarden'), 'spec'), 'template');

  test('registers nothing by itself: not even an empty list, which a second apply would put back', () => {
    expect(find(base, 'ValidatingWebhookConfiguration/lockwarden')).not.toHaveProperty('webhooks');
  });

  test('runs in a namespace that admits nothing but the restricted, which its pods are', async () => {
    const namespace = find(base, 'Namespace/lockwarden-system');
    expect(objectAt(namespace, 'metadata')).toMatchObject({
      labels: { 'pod-security.kubernetes.io/enforce': 'restricted' },
    });
    await applier.apply(namespace);
    const { metadata, spec } = podOf(base);
    const pod = {
      apiVersion: 'v1',
      kind: 'Pod',
      metadata: { ...(metadata as JsonObject), name: 'lockwarden-0', namespace: 'lockwarden-system' },
      spec,
    };
    // Refused, and not only warned of, if it were not: the Deployment itself is only warned of.
    await applier.apply(find(base, 'ServiceAccount/lockwarden'));
    await applier.apply(pod, { dryRun: 'All' });
    const loose = { ...pod, spec: { ...(spec as JsonObject), hostNetwork: true } };
    await expect(applier.apply(loose, { dryRun: 'All' })).rejects.toThrow('violates PodSecurity');
  });

  test('gives each probe, port and Service something to meet', () => {
    const ports = arrayAt(container(base), 'ports').map((each) => stringAt(each, 'name'));
    expect(ports).toEqual(['webhook', 'health']);
    for (const name of ['Service/lockwarden', 'Service/lockwarden-metrics']) {
      const spec = objectAt(find(base, name), 'spec');
      expect(objectAt(objectAt(podOf(base), 'metadata'), 'labels')).toMatchObject(objectAt(spec, 'selector'));
      for (const port of arrayAt(spec, 'ports')) expect(ports).toContain(stringAt(port, 'targetPort'));
    }
  });

  test('grants no wildcard, no Secret but its own, and nothing that is not in one of two roles', () => {
    const roles = base.filter((each) => ['Role', 'ClusterRole'].includes(stringAt(each, 'kind')));
    const rules = roles.flatMap((role) => arrayAt(role, 'rules'));
    expect(JSON.stringify(rules)).not.toContain('*');
    const cluster = arrayAt(find(base, 'ClusterRole/lockwarden'), 'rules');
    expect(JSON.stringify(cluster)).not.toContain('secrets');
    const bindings = base.filter((each) => stringAt(each, 'kind').endsWith('RoleBinding'));
    expect(bindings.map((each) => stringAt(objectAt(each, 'roleRef'), 'name'))).toEqual([
      'lockwarden',
      'lockwarden',
    ]);
  });

  test('is of one version', () => {
    const { version } = JSON.parse(read('package.json')) as { readonly version: string };
    expect(stringAt(container(base), 'image')).toBe(`ghcr.io/lockwarden/lockwarden:${version}`);
    for (const object of base) {
      expect(objectAt(objectAt(object, 'metadata'), 'labels')).toMatchObject({
        'app.kubernetes.io/name': 'lockwarden',
        'app.kubernetes.io/version': version,
      });
    }
  });

  test('does what the certificates that cert-manager issues are for', async () => {
    const objects = await objectsWith(['cert-manager']);
    expect(arrayAt(container(objects), 'args')).toContain('--tls-secret=lockwarden-tls');
    expect(find(objects, 'Certificate/lockwarden-tls')).toMatchObject({
      spec: { secretName: 'lockwarden-tls' },
    });
    const rules = arrayAt(find(objects, 'Role/lockwarden'), 'rules').filter((rule) =>
      arrayAt(rule, 'resources').includes('secrets'),
    );
    expect(rules).toEqual([
      {
        apiGroups: [''],
        resources: ['secrets'],
        resourceNames: ['lockwarden-tls'],
        verbs: ['list', 'watch'],
      },
    ]);
  });

  test('has policies in its components that are those of policies/', async () => {
    const objects = await objectsWith(['audit-only', 'kube-system']);
    for (const name of ['audit-only', 'control-plane-guard']) {
      expect(find(objects, `ClusterLockPolicy/${name}`)).toEqual(parse(read(`policies/${name}/policy.yaml`)));
    }
  });
});
