import { afterAll, beforeAll, expect, inject, test } from 'vitest';

import { systemClock } from '../../src/clock.ts';
import { createKubeClient, type KubeClient } from '../../src/kube/client.ts';
import { isObject, objectAt, type JsonObject } from '../../src/kube/json.ts';
import { loadKubeconfig } from '../../src/kube/kubeconfig.ts';
import {
  desiredConfiguration,
  type CallClasses,
  type ConfigurationOptions,
} from '../../src/kube/webhook-configuration.ts';
import { drift } from '../../src/kube/webhook-drift.ts';
import { WebhookRegistration } from '../../src/kube/webhook-registration.ts';
import { startControlPlane, type ControlPlane } from '../../src/sandbox/control-plane.ts';
import { failureOf } from '../kube/support/cluster.ts';
import { startCountingWebhook, type CountingWebhook } from '../kube/support/counting-webhook.ts';
import { RecordingLogger } from '../kube/support/recorder.ts';

const path = '/apis/admissionregistration.k8s.io/v1/validatingwebhookconfigurations/lockwarden';
const putBack = 'warn webhook configuration put back';

let controlPlane: ControlPlane;
let client: KubeClient;
let webhook: CountingWebhook;

beforeAll(async () => {
  // Of its own: the configuration has one name, and other tests have lockwardens of theirs.
  controlPlane = await startControlPlane({ binaries: inject('binaries') });
  client = createKubeClient(loadKubeconfig({ file: controlPlane.kubeconfig }));
  webhook = await startCountingWebhook();
});

afterAll(async () => {
  await webhook.close();
  client.close();
  await controlPlane.stop();
});

async function stored(): Promise<JsonObject> {
  const { body } = await client.request({ method: 'GET', path });
  return isObject(body) ? body : {};
}

function options(): ConfigurationOptions {
  return {
    address: { kind: 'url', url: `${webhook.url}/admit` },
    caBundle: webhook.caBundle,
    ownNamespace: 'lockwarden-system',
    notLocks: [{ namespace: 'kyverno', name: 'kyverno-health' }],
    leases: { unguarded: ['kube-system', 'lockwarden-system'], renewals: 'skip', special: [] },
    records: { unguarded: ['kube-system', 'lockwarden-system'], renewals: 'skip', special: [] },
  };
}

const inspecting: CallClasses = { unguarded: [], renewals: 'inspect', special: [] };
/** Every class that there is. */
const classes: CallClasses = {
  unguarded: ['kube-system'],
  renewals: 'skip',
  special: [
    { renewals: 'skip', failurePolicy: 'Fail', namespaces: ['a', 'b'] },
    { renewals: 'inspect', failurePolicy: 'Fail', namespaces: ['c'] },
    { renewals: 'inspect', failurePolicy: 'Ignore', namespaces: ['d'] },
  ],
};

test.for([
  ['by URL', options],
  [
    'by URL, renewals inspected, nothing left out',
    () => ({ ...options(), leases: inspecting, records: inspecting, notLocks: [] }),
  ],
  ['by URL, every class of namespaces', () => ({ ...options(), leases: classes, records: classes })],
  [
    'by Service',
    (): ConfigurationOptions => ({
      ...options(),
      address: { kind: 'service', namespace: 'a', name: 'b', port: 443, path: '/admit' },
    }),
  ],
] as const)('what the API server stores of a configuration %s does not differ from it', async ([, given]) => {
  const desired = desiredConfiguration(given());
  const collection = path.replace(/\/lockwarden$/u, '');
  await client.request({ method: 'POST', path: collection, body: desired });
  expect(drift(await stored(), desired)).toEqual([]);
  await client.request({ method: 'DELETE', path });
});

test('a registration is put back when it is edited or deleted, and gone when it is removed', async () => {
  const logger = new RecordingLogger();
  const backoff = { baseMs: 20, capMs: 20 };
  const desired = desiredConfiguration(options());
  const registration = new WebhookRegistration(client, desired, { clock: systemClock(), logger, backoff });
  await registration.register();
  const contentType = 'application/json-patch+json';
  const off = [{ op: 'replace', path: '/webhooks/0/objectSelector', value: { matchLabels: { a: 'b' } } }];
  await client.request({ method: 'PATCH', path, contentType, body: off });
  await logger.until(putBack);
  expect(logger.fields.at(-1)).toMatchObject({ changed: ['webhooks[0].objectSelector.matchLabels'] });
  expect(drift(await stored(), desired)).toEqual([]);

  logger.take();
  await client.request({ method: 'DELETE', path });
  await logger.until(putBack);
  expect(drift(await stored(), desired)).toEqual([]);

  logger.take();
  const labels = [{ op: 'add', path: '/metadata/annotations', value: { theirs: 'x' } }];
  await client.request({ method: 'PATCH', path, contentType, body: labels });
  await registration.remove();
  expect(logger.lines).toEqual(['info webhook removed']);
  expect(await failureOf(stored())).toMatchObject({ kind: 'not-found' });
});

test('two lockwardens that want different things do not write without a pause', async () => {
  const loggers = [new RecordingLogger(), new RecordingLogger()];
  const [one, two] = loggers.map((logger, index) => {
    const desired = desiredConfiguration({ ...options(), ...(index === 1 && { leases: inspecting }) });
    return new WebhookRegistration(client, desired, { clock: systemClock(), logger });
  });
  await one?.register();
  await two?.register();
  await loggers[0]?.until(putBack);
  await loggers[1]?.until(putBack);
  const generation = objectAt(await stored(), 'metadata')['generation'];
  // Created, changed by the other, and two repairs: the next ones wait for longer and longer.
  expect(generation).toBeLessThanOrEqual(5);
  await one?.stop();
  await two?.remove();
});
