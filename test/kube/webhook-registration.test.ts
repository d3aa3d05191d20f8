import { afterEach, beforeEach, describe, expect, test } from 'vitest';

import { arrayAt, isObject, objectAt, stringAt, type JsonObject } from '../../src/kube/json.ts';
import { desiredConfiguration, type WebhookConfiguration } from '../../src/kube/webhook-configuration.ts';
import { ConfigurationMissing, WebhookRegistration } from '../../src/kube/webhook-registration.ts';
import { failure, startFakeApiServer, type Asked, type FakeApiServer } from './support/fake-api-server.ts';
import { ManualTime } from './support/manual-time.ts';
import { Recorded, RecordingLogger } from './support/recorder.ts';

/** A collection of one object, with list, watch and compare-and-swap. */
class Store {
  object: JsonObject | null = null;
  /** `POST`, `PUT 5` (of version 5), `DELETE`, as they were carried out. */
  readonly writes = new Recorded();
  /** Answers the next write instead of carrying it out. */
  refusal: { readonly status: number; readonly body: object } | null = null;
  /** Leaves requests without an answer from now on; `hanging` resolves at the first. */
  hangs = false;
  /** Carries the next write out only when it is called. */
  held: (() => void) | null = null;
  holdsNextWrite = false;
  readonly hanging: Promise<void>;
  #hung: () => void = () => undefined;
  #version = 1;
  #stream: ReturnType<Asked['stream']> | null = null;

  constructor() {
    this.hanging = new Promise((resolve) => {
      this.#hung = resolve;
    });
  }

  async serve(server: FakeApiServer): Promise<never> {
    for (;;) this.#answer(await server.next());
  }

  /** Somebody else writes or deletes. */
  set(object: JsonObject | null): void {
    const before = this.object;
    this.#version += 1;
    const version = { resourceVersion: String(this.#version), uid: 'uid-1', name: 'lockwarden' };
    this.object =
      object === null ? null : { ...object, metadata: { ...objectAt(object, 'metadata'), ...version } };
    if (this.object !== null) this.#stream?.event(before === null ? 'ADDED' : 'MODIFIED', this.object);
    else
      this.#stream?.event('DELETED', {
        ...before,
        metadata: { ...objectAt(before, 'metadata'), ...version },
      });
  }

  #answer(asked: Asked): void {
    if (this.hangs) {
      this.#hung();
      return;
    }
    const isCollection = asked.url.pathname.endsWith('s');
    if (asked.method !== 'GET') this.#write(asked);
    else if (asked.url.searchParams.has('watch')) this.#stream = asked.stream();
    else if (isCollection) {
      const items = this.object === null ? [] : [this.object];
      asked.reply(200, { metadata: { resourceVersion: String(this.#version) }, items });
    } else if (this.object === null) asked.reply(404, failure(404, 'NotFound'));
    else asked.reply(200, this.object);
  }

  #write(asked: Asked): void {
    if (this.holdsNextWrite) {
      this.holdsNextWrite = false;
      this.held = () => {
        this.#write(asked);
      };
      this.#hung();
      return;
    }
    const { refusal } = this;
    this.refusal = null;
    if (refusal !== null) {
      asked.reply(refusal.status, refusal.body);
      return;
    }
    const precondition =
      asked.method === 'DELETE' ? objectAt(asked.body, 'preconditions') : objectAt(asked.body, 'metadata');
    const version = stringAt(precondition, 'resourceVersion');
    this.writes.add(`${asked.method} ${version}`.trim());
    if (
      asked.method !== 'POST' &&
      version !== stringAt(objectAt(this.object, 'metadata'), 'resourceVersion')
    ) {
      asked.reply(409, failure(409, 'Conflict'));
      return;
    }
    asked.reply(200, {});
    this.set(asked.method === 'DELETE' ? null : isObject(asked.body) ? asked.body : null);
  }
}

let server: FakeApiServer;
let store: Store;
let time: ManualTime;
let logger: RecordingLogger;
let registration: WebhookRegistration;
/** What `onChange` was told, without repetitions. */
let told: boolean[];

function wanted(url = 'https://127.0.0.1:9443/admit'): WebhookConfiguration {
  return desiredConfiguration({
    address: { kind: 'url', url },
    caBundle: 'PEM',
    ownNamespace: 'lockwarden-system',
    notLocks: [],
    leases: { unguarded: ['kube-system'], renewals: 'skip', special: [] },
    records: { unguarded: ['kube-system'], renewals: 'skip', special: [] },
  });
}

/** Registers, and waits until the watch has begun. */
async function kept(): Promise<void> {
  await registration.register();
  await time.asleep(150_000, 150_000);
  store.writes.take();
}

const asObject = (configuration: WebhookConfiguration): JsonObject => ({ ...configuration });

beforeEach(async () => {
  server = await startFakeApiServer();
  store = new Store();
  void store.serve(server);
  time = new ManualTime();
  logger = new RecordingLogger();
  const backoff = { random: () => 0 };
  told = [];
  registration = new WebhookRegistration(server.client, wanted(), {
    clock: time,
    logger,
    sleep: time.sleep,
    backoff,
    onChange: (registered) => {
      if (told.at(-1) !== registered) told.push(registered);
    },
  });
});

afterEach(async () => {
  await registration.stop();
  await server.close();
});

const putBack = 'warn webhook configuration put back';

describe('registering', () => {
  test('creates the configuration where there is none', async () => {
    await registration.register();
    expect(store.writes.lines).toEqual(['POST']);
    expect(store.object).toMatchObject({ webhooks: wanted().webhooks });
    expect(registration.registered).toBe(true);
    expect(logger.lines).toEqual(['info webhook registered']);
  });

  test('leaves one alone that is as it should be', async () => {
    store.set(asObject(wanted()));
    await registration.register();
    expect(store.writes.lines).toEqual([]);
    expect(registration.registered).toBe(true);
  });

  test('replaces another by compare-and-swap, and keeps what others have in its metadata', async () => {
    store.set({
      ...wanted('https://elsewhere'),
      metadata: { labels: { theirs: 'x' }, annotations: { a: 'b' } },
    });
    await registration.register();
    expect(store.writes.lines).toEqual(['PUT 2']);
    expect(store.object).toMatchObject({
      metadata: { labels: { theirs: 'x', 'app.kubernetes.io/name': 'lockwarden' }, annotations: { a: 'b' } },
      webhooks: wanted().webhooks,
    });
  });

  test('reads again when somebody else was faster', async () => {
    store.set(asObject(wanted('https://elsewhere')));
    store.refusal = { status: 409, body: failure(409, 'Conflict') };
    await registration.register();
    expect(store.writes.lines).toEqual(['PUT 2']);
  });

  test('fails with the permission that is missing, and may be tried again', async () => {
    const message =
      'validatingwebhookconfigurations.admissionregistration.k8s.io is forbidden: User "u" cannot create resource "validatingwebhookconfigurations" in API group "admissionregistration.k8s.io" at the cluster scope';
    store.refusal = { status: 403, body: failure(403, 'Forbidden', message) };
    await expect(registration.register()).rejects.toMatchObject({
      kind: 'forbidden',
      missing: { verb: 'create', resource: 'validatingwebhookconfigurations' },
    });
    expect(registration.registered).toBe(false);
    time.advance(10_000);
    await registration.register();
    expect(registration.registered).toBe(true);
  });

  test('writes another configuration when that is wanted', async () => {
    await registration.register();
    await registration.change(wanted('https://new'));
    expect(store.object).toMatchObject({ webhooks: wanted('https://new').webhooks });
  });
});

describe('a change that could not be written', () => {
  const refusal = { status: 500, body: failure(500, 'InternalError') };

  beforeEach(async () => {
    await kept();
    store.refusal = refusal;
    await expect(registration.change(wanted('https://new'))).rejects.toMatchObject({ kind: 'server-error' });
  });

  test('is written when it is wanted once more', async () => {
    await registration.change(wanted('https://new'));
    expect(store.object).toMatchObject({ webhooks: wanted('https://new').webhooks });
    expect(store.writes.lines).toEqual(['PUT 2']);
    await registration.change(wanted('https://new'));
    expect(store.writes.lines).toEqual(['PUT 2']);
  });

  test('leaves the one before it, which is still known as ours', async () => {
    await registration.remove();
    expect(store.object).toBeNull();
  });
});

describe('writing only with leave', () => {
  test('gives a write up when leave runs out, however patient the API server is', async () => {
    registration = new WebhookRegistration(server.client, wanted(), {
      clock: time,
      logger,
      beforeWrite: () => 50,
    });
    store.holdsNextWrite = true;
    await expect(registration.register()).rejects.toMatchObject({ kind: 'timeout' });
    expect(registration.registered).toBe(false);
  });

  test('reads, and writes nothing when leave is refused right before', async () => {
    const notLeading = new Error('not leading');
    let leading = false;
    registration = new WebhookRegistration(server.client, wanted(), {
      clock: time,
      logger,
      beforeWrite: () => {
        if (!leading) throw notLeading;
        return 1_000;
      },
    });
    await expect(registration.register()).rejects.toBe(notLeading);
    expect(store.writes.lines).toEqual([]);
    leading = true;
    await registration.register();
    expect(store.writes.lines).toEqual(['POST']);
  });
});

describe('keeping', () => {
  test('puts back what was edited, at once, and says what it was', async () => {
    await kept();
    const [first, ...rest] = arrayAt(store.object, 'webhooks');
    const webhooks = [{ ...(isObject(first) ? first : {}), failurePolicy: 'Fail' }, ...rest];
    store.set({ ...store.object, webhooks });
    await logger.until(putBack);
    expect(store.object).toMatchObject({ webhooks: wanted().webhooks });
    expect(logger.fields.at(-1)).toEqual({
      configuration: 'lockwarden',
      changed: ['webhooks[0].failurePolicy'],
    });
    expect(registration.registered).toBe(true);
  });

  test('puts back what the watch has not shown, when asked to look', async () => {
    registration.look();
    await kept();
    // Not through `set`: the watch does not show it.
    store.object = { ...store.object, webhooks: [] };
    registration.look();
    await logger.until(putBack);
    expect(store.object).toMatchObject({ webhooks: wanted().webhooks });
    await registration.stop();
    store.object = { ...store.object, webhooks: [] };
    registration.look();
    expect(store.writes.lines).toEqual(['PUT 2']);
  });

  test('creates again what was deleted', async () => {
    await kept();
    store.set(null);
    await logger.until(putBack);
    expect(store.writes.lines).toEqual(['POST']);
    expect(store.object).toMatchObject({ webhooks: wanted().webhooks });
  });

  test('tells whenever it is registered, and whenever it is not any more', async () => {
    await kept();
    expect(told).toEqual([true]);
    store.set(null);
    await logger.until(putBack);
    expect(told).toEqual([true, false, true]);
    await registration.remove();
    expect(told.at(-1)).toBe(false);
  });

  test('does not fight hot: each further repair waits longer, until there has been quiet', async () => {
    await kept();
    const delays: number[] = [];
    for (let round = 0; round < 5; round += 1) {
      logger.take();
      store.set({ ...store.object, webhooks: [] });
      if (round > 0) {
        await time.asleep(200, 20_000);
        delays.push(time.slept.at(-1) ?? 0);
        expect(registration.registered).toBe(false);
        time.advance(delays.at(-1) ?? 0);
      }
      await logger.until(putBack);
    }
    expect(delays).toEqual([250, 500, 1000, 2000]);
    time.advance(60_001);
    logger.take();
    store.set({ ...store.object, webhooks: [] });
    await logger.until(putBack);
    expect(time.slept.filter((ms) => ms < 100_000)).toEqual(delays);
  });

  test('says what is missing when it cannot be put back, and goes on trying', async () => {
    await kept();
    store.refusal = { status: 500, body: failure(500, 'InternalError', 'no space') };
    store.set(null);
    await logger.until('error webhook configuration not put back');
    expect(logger.fields.at(-1)).toEqual({ reason: 'the API server failed: no space', retryInMs: 250 });
    expect(registration.registered).toBe(false);
    await time.asleep(250, 250);
    time.advance(250);
    // The second attempt counts as a repair soon after the first, and waits once more.
    await time.asleep(500, 500);
    time.advance(500);
    await logger.until(putBack);
    expect(registration.registered).toBe(true);
  });
});

describe('a configuration that is missing, where lockwarden may not create one', () => {
  const said =
    'validatingwebhookconfigurations.admissionregistration.k8s.io is forbidden: User "u" cannot create resource "validatingwebhookconfigurations" in API group "admissionregistration.k8s.io" at the cluster scope';
  const refusal = { status: 403, body: failure(403, 'Forbidden', said) };
  const told403 = 'error webhook configuration missing';

  test('says once what is to be done, and asks again only after a while', async () => {
    store.refusal = refusal;
    await expect(registration.register()).rejects.toBeInstanceOf(ConfigurationMissing);
    expect(logger.take()).toEqual([told403]);
    expect(logger.fields.at(-1)).toEqual({
      reason: expect.stringMatching(/does not exist.*apply lockwarden’s manifests again/) as string,
    });
    await expect(registration.register()).rejects.toBeInstanceOf(ConfigurationMissing);
    // Nothing would refuse it now, so it was not asked.
    expect(store.writes.lines).toEqual([]);
    time.advance(9_999);
    await expect(registration.register()).rejects.toBeInstanceOf(ConfigurationMissing);
    expect(store.writes.lines).toEqual([]);
    time.advance(1);
    await registration.register();
    expect(store.writes.lines).toEqual(['POST']);
    expect(logger.take()).toEqual(['info webhook registered']);
  });

  test('is filled in as soon as somebody has applied it', async () => {
    store.refusal = refusal;
    await expect(registration.register()).rejects.toBeInstanceOf(ConfigurationMissing);
    store.set({ apiVersion: 'v1', metadata: { labels: { theirs: 'yes' } } });
    await registration.register();
    expect(store.writes.lines).toEqual(['PUT 2']);
    expect(store.object).toMatchObject({
      metadata: { labels: { theirs: 'yes' } },
      webhooks: wanted().webhooks,
    });
  });

  test('is left deleted by whom keeps it, without a second attempt, until somebody applies it', async () => {
    await kept();
    store.refusal = refusal;
    store.set(null);
    await logger.until(told403);
    registration.look();
    registration.look();
    expect(registration.registered).toBe(false);
    store.set({ metadata: {} });
    // LIMIT: the second repair within a minute waits for a moment, as any does.
    await time.asleep(200, 20_000);
    time.advance(time.slept.at(-1) ?? 0);
    await logger.until(putBack);
    expect(store.writes.lines).toEqual([expect.stringMatching(/^PUT/)]);
    expect(registration.registered).toBe(true);
  });

  test('is another’s refusal where RBAC had nothing against it, and tried again like any failure', async () => {
    store.refusal = {
      status: 403,
      body: failure(403, 'Forbidden', 'admission webhook "x" denied the request'),
    };
    await expect(registration.register()).rejects.not.toBeInstanceOf(ConfigurationMissing);
    await registration.register();
    expect(store.writes.lines).toEqual(['POST']);
  });
});

describe('removing', () => {
  test('deletes exactly what was registered', async () => {
    await registration.register();
    store.writes.take();
    await registration.remove();
    expect(store.writes.lines).toEqual(['DELETE 2']);
    expect(store.object).toBeNull();
    expect(registration.registered).toBe(false);
  });

  test('is given up when nobody wants to wait for it any more', async () => {
    await registration.register();
    store.hangs = true;
    const hurry = new AbortController();
    const removing = registration.remove(hurry.signal);
    await store.hanging;
    hurry.abort();
    await expect(removing).rejects.toMatchObject({ kind: 'aborted' });
    expect(registration.registered).toBe(true);
  });

  test('waits for a write that is under way: the API server may store it after all', async () => {
    store.holdsNextWrite = true;
    const registering = registration.register();
    await store.hanging;
    const removing = registration.remove();
    store.held?.();
    await Promise.allSettled([registering, removing]);
    expect(store.writes.lines.at(-1)).toMatch(/^DELETE/);
    expect(store.object).toBeNull();
  });

  test('is done when it is gone already', async () => {
    await registration.register();
    await registration.stop();
    store.set(null);
    store.writes.take();
    await registration.remove();
    expect(store.writes.lines).toEqual([]);
  });

  test('looks again when the object has just changed, and leaves alone what another lockwarden has put there', async () => {
    await registration.register();
    await registration.stop();
    store.writes.take();
    store.refusal = { status: 409, body: failure(409, 'Conflict') };
    store.set({ ...store.object, metadata: { labels: { edited: 'yes' } } });
    await registration.remove();
    expect(store.writes.lines).toEqual(['DELETE 3']);
    store.set(asObject(wanted('https://another')));
    await registration.remove();
    expect(store.object).not.toBeNull();
  });

  test('fails with the permission that is missing', async () => {
    await registration.register();
    const message =
      'x is forbidden: User "u" cannot delete resource "validatingwebhookconfigurations" in API group "admissionregistration.k8s.io" at the cluster scope';
    store.refusal = { status: 403, body: failure(403, 'Forbidden', message) };
    await expect(registration.remove()).rejects.toMatchObject({ missing: { verb: 'delete' } });
  });
});
