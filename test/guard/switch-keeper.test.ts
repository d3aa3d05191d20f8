/** The keeper of the switch where it is refused: what is told, and how often it asks. Real API servers are for test/conformance/switch-policies.test.ts. */
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { SwitchKeeper } from '../../src/guard/switch-keeper.ts';
import { PolicyStore } from '../../src/policy/store.ts';
import { switchObjects } from '../../src/switch/policies.ts';
import { switchScope } from '../../src/switch/terms.ts';
import { failure, startFakeApiServer, type FakeApiServer } from '../kube/support/fake-api-server.ts';
import { ManualTime } from '../kube/support/manual-time.ts';
import { RecordingLogger } from '../kube/support/recorder.ts';

const ownNamespace = 'lockwarden-system';
let server: FakeApiServer;
let time: ManualTime;
let logger: RecordingLogger;
let ending: AbortController;
let running: Promise<void>;
let keeper: SwitchKeeper;

beforeEach(async () => {
  server = await startFakeApiServer();
  time = new ManualTime();
  logger = new RecordingLogger();
  ending = new AbortController();
  const scope = switchScope(new PolicyStore(ownNamespace), ownNamespace);
  keeper = new SwitchKeeper({
    client: server.client,
    clock: time,
    logger,
    sleep: time.sleep,
    isAlone: true,
    desired: () => (username) => switchObjects({ scope, ownNamespace, username }),
  });
  const { signal } = ending;
  running = keeper.run({ signal, fence: 0, guard: () => undefined, remainingMs: () => 1_000 });
  const asked = await server.next();
  expect(asked.url.pathname).toBe('/apis/authentication.k8s.io/v1/selfsubjectreviews');
  asked.reply(201, { status: { userInfo: { username: 'lockwarden' } } });
});

afterEach(async () => {
  ending.abort();
  await running;
  await server.close();
});

/** Refuses what is asked next, lets a minute pass, and does so once more; then what was told. */
async function refusedTwice(status: number, body: unknown): Promise<readonly string[]> {
  for (let attempt = 0; attempt < 2; attempt += 1) {
    const asked = await server.next();
    expect(asked.method).toBe('GET');
    asked.reply(status, body);
    await time.asleep(60_000, 60_000);
    // A change of policies is no reason to ask again.
    keeper.wake();
    expect(server.waiting).toBe(0);
    if (attempt === 0) time.advance(60_000);
  }
  return logger.lines;
}

describe('the keeper of the switch', () => {
  it('tells once of an API server without ValidatingAdmissionPolicies, and asks again each minute', async () => {
    const told = await refusedTwice(404, '404 page not found');
    expect(told.filter((line) => line.includes('switch not available'))).toHaveLength(1);
    ending.abort();
    // There is nothing to take away either.
    await keeper.remove(new AbortController().signal);
    expect(server.waiting).toBe(0);
  });

  it('tells once of a right that is missing, and asks again each minute', async () => {
    const message =
      'validatingadmissionpolicies.admissionregistration.k8s.io "lockwarden-switch" is forbidden: User "lockwarden" cannot get resource "validatingadmissionpolicies" in API group "admissionregistration.k8s.io" at the cluster scope';
    const told = await refusedTwice(403, failure(403, 'Forbidden', message));
    expect(told.filter((line) => line.includes('switch not written'))).toHaveLength(1);
  });
});
