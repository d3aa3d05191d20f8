/** Events as people find them: `kubectl get events` and `kubectl describe` read them through the core API. */
import { afterAll, beforeAll, expect, inject, test, vi } from 'vitest';

import { systemClock } from '../../src/clock.ts';
import { createKubeClient } from '../../src/kube/client.ts';
import { EventRecorder } from '../../src/kube/event-recorder.ts';
import type { Happening } from '../../src/kube/event.ts';
import { arrayAt, stringAt, type JsonObject } from '../../src/kube/json.ts';
import { loadKubeconfig } from '../../src/kube/kubeconfig.ts';
import { Namespace } from '../kube/support/cluster.ts';
import { RecordingLogger } from '../kube/support/recorder.ts';

const client = createKubeClient(loadKubeconfig({ file: inject('kubeconfig') }));
const name = `events-${String(process.pid)}`;
const logger = new RecordingLogger();
const dropped: string[] = [];

beforeAll(async () => {
  await Namespace.create(client, name);
});

afterAll(() => {
  client.close();
});

function createRecorder(): EventRecorder {
  return new EventRecorder(client, {
    instance: 'lockwarden-0',
    clock: systemClock(),
    nowMs: () => Date.now(),
    logger,
    onDrop: (why) => void dropped.push(why),
  });
}

async function eventsAbout(namespace: string, object: string): Promise<readonly JsonObject[]> {
  const { body } = await client.request({
    method: 'GET',
    path: `/api/v1/namespaces/${namespace}/events`,
    query: { fieldSelector: `involvedObject.name=${object}` },
  });
  return arrayAt(body, 'items') as readonly JsonObject[];
}

const lease = { apiVersion: 'coordination.k8s.io/v1', kind: 'Lease', namespace: name, name: 'lockwarden' };
const elected: Happening = {
  regarding: lease,
  type: 'Normal',
  reason: 'LeaderElected',
  action: 'Elect',
  note: 'lockwarden-0 leads',
};

test('an Event is found with its object, and what happens again is counted in it', async () => {
  const recorder = createRecorder();
  recorder.record(elected);
  await vi.waitFor(async () => {
    expect(await eventsAbout(name, 'lockwarden')).toHaveLength(1);
  });
  recorder.record(elected);
  recorder.record(elected);
  await recorder.stop();
  expect(await eventsAbout(name, 'lockwarden')).toMatchObject([
    {
      type: 'Normal',
      reason: 'LeaderElected',
      action: 'Elect',
      message: 'lockwarden-0 leads',
      involvedObject: { kind: 'Lease', name: 'lockwarden' },
      reportingComponent: 'lockwarden.dev/lockwarden',
      reportingInstance: 'lockwarden-0',
      series: { count: 3 },
    },
  ]);
  expect([dropped, logger.lines]).toEqual([[], []]);
});

test('what is too long, or about the whole cluster, is taken all the same', async () => {
  const recorder = createRecorder();
  const note = '🔒'.repeat(1_000);
  const regarding = {
    apiVersion: 'admissionregistration.k8s.io/v1',
    kind: 'ValidatingWebhookConfiguration',
    namespace: '',
    name: `lockwarden-${String(process.pid)}`,
  };
  const word = 'R'.repeat(300);
  recorder.record({ ...elected, regarding, note, reason: word, action: word });
  for (const odd of ['system:Odd..name-', 'x'.repeat(253)]) {
    recorder.record({ ...elected, type: 'Warning', regarding: { ...lease, name: odd } });
  }
  await vi.waitFor(async () => {
    expect(await eventsAbout(name, 'x'.repeat(253))).toHaveLength(1);
  });
  await recorder.stop();
  expect([dropped, logger.lines]).toEqual([[], []]);
  const [event] = await eventsAbout('default', regarding.name);
  expect(Buffer.byteLength(stringAt(event, 'message'))).toBeLessThanOrEqual(1_024);
  expect(await eventsAbout(name, 'system:Odd..name-')).toHaveLength(1);
});
