import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { afterAll, beforeAll, describe, expect, test } from 'vitest';

import { LockwardenError } from '../../src/errors.ts';
import { loadKubeconfig, type KubeconfigSource } from '../../src/kube/kubeconfig.ts';

let folder: string;

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'kubeconfig-'));
});

afterAll(() => {
  rmSync(folder, { recursive: true });
});

const nowhere = { environment: {}, home: '/nonexistent' };

interface Content {
  readonly name?: string;
  readonly server?: string;
  readonly user?: object;
  readonly more?: object;
}

let files = 0;

function kubeconfig({
  name = 'one',
  server = 'https://host:6443',
  user = { token: 't' },
  more,
}: Content = {}): string {
  files += 1;
  const path = join(folder, `config-${String(files)}`);
  const config = {
    'current-context': name,
    clusters: [{ name, cluster: { server } }],
    users: [{ name, user }],
    contexts: [{ name, context: { cluster: name, user: name } }],
    ...more,
  };
  writeFileSync(path, JSON.stringify(config));
  return path;
}

function refusal(source: KubeconfigSource): string {
  try {
    loadKubeconfig({ ...nowhere, ...source });
  } catch (error) {
    if (!(error instanceof LockwardenError)) throw error;
    expect(error.message).not.toMatch(/\n|\.$|^[A-Z]/u);
    return `${error.code}: ${error.message}`;
  }
  throw new Error('it was not refused');
}

describe('which cluster', () => {
  test('an explicit file goes before the environment, and that before the home directory', () => {
    const given = kubeconfig({ name: 'given' });
    const environment = { KUBECONFIG: kubeconfig({ name: 'environment' }) };
    expect(loadKubeconfig({ file: given, environment }).getCurrentContext()).toBe('given');
    expect(loadKubeconfig({ environment, home: '/nonexistent' }).getCurrentContext()).toBe('environment');
  });

  test('of several files in KUBECONFIG the first to define something wins, and missing ones do not matter', () => {
    const one = kubeconfig({ name: 'one', server: 'https://first:1' });
    const same = kubeconfig({ name: 'one', server: 'https://second:1' });
    const two = kubeconfig({ name: 'two', server: 'https://third:1' });
    const environment = { KUBECONFIG: ['/nonexistent/a', one, same, two].join(':') };
    expect(loadKubeconfig({ ...nowhere, environment }).getCurrentCluster()?.server).toBe('https://first:1');
    const other = loadKubeconfig({ ...nowhere, environment, context: 'two' });
    expect(other.getCurrentCluster()?.server).toBe('https://third:1');
  });

  test('nothing is guessed where nothing is given', () => {
    expect(refusal({})).toMatch(/^KubeconfigMissing: no cluster is given: .*give --kubeconfig$/u);
  });

  test('a file that is missing, unreadable, or no kubeconfig is named', () => {
    expect(refusal({ file: '/nonexistent/f' })).toBe(
      'KubeconfigMissing: the kubeconfig `/nonexistent/f` does not exist; check --kubeconfig',
    );
    expect(refusal({ environment: { KUBECONFIG: '/nonexistent/f' } })).toContain(
      'KUBECONFIG=`/nonexistent/f`',
    );
    expect(refusal({ file: folder })).toContain(`the kubeconfig \`${folder}\` cannot be read`);
    const odd = join(folder, 'odd');
    writeFileSync(odd, '{"contexts": [');
    expect(refusal({ file: odd })).toContain('cannot be read');
    writeFileSync(odd, '');
    expect(refusal({ file: odd })).toContain(`the kubeconfig \`${odd}\``);
  });

  test('an unknown context is named together with the known ones', () => {
    expect(refusal({ file: kubeconfig(), context: 'three' })).toBe(
      'KubeconfigMissing: the kubeconfig has no context `three`; it has `one`',
    );
    expect(refusal({ file: kubeconfig({ more: { 'current-context': '' } }) })).toContain(
      'no current context',
    );
  });

  test('a context whose cluster or user is missing is named', () => {
    expect(refusal({ file: kubeconfig({ more: { clusters: [] } }) })).toContain('the cluster `one`');
    expect(refusal({ file: kubeconfig({ more: { users: [] } }) })).toContain('the user `one`');
  });
});

describe('as whom', () => {
  test.for(['gcp', 'azure', 'openstack'])(
    'the auth provider %s is refused, not silently left out',
    (name) => {
      const file = kubeconfig({ user: { 'auth-provider': { name, config: {} } } });
      expect(refusal({ file })).toBe(
        `KubeconfigUnsupported: the user \`one\` authenticates through \`${name}\`, which is not supported; use an exec plugin, a token or a client certificate`,
      );
    },
  );

  test.for([
    { exec: { apiVersion: 'client.authentication.k8s.io/v1', command: 'true' } },
    { 'auth-provider': { name: 'oidc', config: {} } },
    { token: 't' },
    { username: 'u', password: 'p' },
    {},
  ])('the user %j is taken', (user) => {
    expect(loadKubeconfig({ file: kubeconfig({ user }) }).getCurrentUser()?.name).toBe('one');
  });

  test('credentials are not sent in the clear unless that is asked for', () => {
    expect(refusal({ file: kubeconfig({ server: 'http://host:8080' }) })).toContain('not served over https');
  });
});
