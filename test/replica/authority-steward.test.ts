import { beforeEach, describe, expect, it } from 'vitest';
import { bundleFor, splitBundle } from '../../src/certs/bundle.ts';
import type { ReplicaFacts } from '../../src/certs/facts.ts';
import { readAuthority } from '../../src/certs/read-authority.ts';
import { KubeError } from '../../src/kube/errors.ts';
import { objectAt } from '../../src/kube/json.ts';
import { AuthoritySteward } from '../../src/replica/authority-steward.ts';
import type { Term } from '../../src/replica/duties.ts';
import type { ObservedBundles } from '../../src/replica/observed-bundle.ts';
import {
  fenceAnnotation,
  fenceIn,
  rotateAnnotation,
  type AuthorityStore,
  type StoredSecret,
  type WriteLeave,
} from '../../src/replica/secret-store.ts';
import { hosts, hour, lifetimes, t0 } from '../certs/support/rotation.ts';
import { RecordingLogger } from '../kube/support/recorder.ts';

/** For how long leadership is certain. */
const leftMs = 7_000;

/** A Secret in memory that is written by compare-and-swap, as an API server has it. */
class CountedStore implements AuthorityStore {
  secret: StoredSecret = null;
  reads = 0;
  /** Called before a read is answered, and before a write is. */
  onRead: () => void | Promise<void> = () => undefined;
  onWrite: () => void = () => undefined;
  #version = 0;

  async read(): Promise<StoredSecret> {
    this.reads += 1;
    const { secret } = this;
    await this.onRead();
    return secret;
  }

  write(
    data: Readonly<Record<string, string>>,
    before: StoredSecret,
    { fence, timeoutMs }: WriteLeave,
  ): Promise<StoredSecret> {
    if (timeoutMs !== leftMs) throw new Error(`a write may take ${String(leftMs)} ms, and no more or less`);
    if (before !== this.secret) return Promise.reject(new KubeError('conflict', 'somebody was faster'));
    const { annotations } = objectAt(before, 'metadata') as { annotations?: object };
    const written = this.put(data, { ...annotations, [fenceAnnotation]: String(fence) });
    this.onWrite();
    return Promise.resolve(written);
  }

  /** Somebody writes, whoever it is. */
  put(data: unknown, annotations: object): StoredSecret {
    this.#version += 1;
    this.secret = { metadata: { resourceVersion: String(this.#version), annotations }, data };
    return this.secret;
  }

  annotate(annotations: Readonly<Record<string, string>>): void {
    const before = objectAt(objectAt(this.secret, 'metadata'), 'annotations');
    this.put(objectAt(this.secret, 'data'), { ...before, ...annotations });
  }

  get state() {
    const reading = readAuthority(objectAt(this.secret, 'data'), t0 + hour);
    if (reading.kind !== 'state') throw new Error(JSON.stringify(reading));
    return reading.state;
  }
}

let store: CountedStore;
let observed: ObservedBundles | null;
let replicas: readonly ReplicaFacts[];
let nowMs: number | null;
let leads: boolean;
let cluster: string | null;
let steps: string[];
let published: string[];
let logger: RecordingLogger;
let publishing: () => Promise<void>;

beforeEach(() => {
  store = new CountedStore();
  observed = { bundles: null, ageMs: hour };
  replicas = [];
  nowMs = t0;
  leads = true;
  cluster = 'here';
  steps = [];
  published = [];
  logger = new RecordingLogger();
  publishing = () => Promise.resolve();
});

function create(): AuthoritySteward {
  return new AuthoritySteward({
    store,
    lifetimes,
    hosts,
    cluster: () => cluster,
    nowMs: () => nowMs,
    bundles: () => observed,
    replicas: () => replicas,
    leads: () => Promise.resolve(leads),
    onPlan: () => undefined,
    onStep: (step) => steps.push(step),
    logger,
  });
}

const term = (fence = 1, guard: () => void = () => undefined): Term => ({
  signal: new AbortController().signal,
  fence,
  guard,
  remainingMs: () => leftMs,
});

const publish = async (caBundle: string): Promise<void> => {
  published.push(caBundle);
  await publishing();
};

/** An authority that is confirmed, published, and served by everybody. */
async function settle(steward: AuthoritySteward, fence = 1): Promise<void> {
  await steward.step(term(fence), publish);
  const { leaf } = store.state;
  observed = { bundles: [bundleFor(store.state, t0)], ageMs: hour };
  replicas = [{ name: 'one', servesLeaf: leaf?.certificate.fingerprint ?? null }];
  while (await steward.step(term(fence), publish));
  steps = [];
  published = [];
}

describe('the steward of an authority', () => {
  it('does nothing while it knows neither the time nor what is trusted', async () => {
    const steward = create();
    nowMs = null;
    expect(await steward.step(term(), publish)).toBe(false);
    nowMs = t0;
    observed = null;
    expect(await steward.step(term(), publish)).toBe(false);
    expect(store.reads).toBe(0);
  });

  it('makes an authority where there is none, for this cluster, and signs it with its fence', async () => {
    expect(await create().step(term(7), publish)).toBe(true);
    expect(steps).toEqual(['create']);
    expect(store.state.cluster).toBe('here');
    expect(fenceIn(store.secret)).toBe(7);
    expect(logger.lines).toEqual(['info authority step']);
    expect(logger.fields[0]).toMatchObject({ step: 'create', fence: 7 });
  });

  it('keeps what is needed trusted, and whatever is trusted besides', async () => {
    const steward = create();
    await settle(steward);
    expect(await steward.step(term(), publish)).toBe(false);
    expect(published).toEqual(observed?.bundles);
    expect(steps).toEqual([]);
  });

  it('reads once, and again only when something has changed outside', async () => {
    const steward = create();
    await settle(steward);
    const { reads } = store;
    await steward.step(term(), publish);
    await steward.step(term(), publish);
    expect(store.reads).toBe(reads);
    steward.notice();
    await steward.step(term(), publish);
    expect(store.reads).toBe(reads + 1);
  });

  it.each(['read', 'write'] as const)('does not miss what changes during a %s', async (when) => {
    const steward = create();
    await settle(steward);
    const request = { [rotateAnnotation]: 'leaf:again' };
    if (when === 'write') store.annotate({ [rotateAnnotation]: 'leaf:first' });
    const change = (): void => {
      store.onRead = () => undefined;
      store.onWrite = () => undefined;
      store.annotate(request);
      steward.notice();
    };
    if (when === 'read') store.onRead = change;
    else store.onWrite = change;
    steward.notice();
    await steward.step(term(), publish);
    await steward.step(term(), publish);
    expect(store.state.rotatedFor).toBe('again');
  });

  it('writes nothing in the place of a later leader', async () => {
    const steward = create();
    await settle(steward, 9);
    store.annotate({ [rotateAnnotation]: 'leaf:1' });
    steward.notice();
    leads = false;
    const before = store.secret;
    await expect(steward.step(term(8), publish)).rejects.toThrow('a later leader has written');
    expect(store.secret).toBe(before);
    expect(steps).toEqual([]);
  });

  it('writes all the same when the Lease says that it leads: fences count from zero in a new one', async () => {
    const steward = create();
    await settle(steward, 9);
    store.annotate({ [rotateAnnotation]: 'leaf:1' });
    steward.notice();
    await steward.step(term(0), publish);
    expect(steps).toEqual(['renewLeaf']);
    expect(fenceIn(store.secret)).toBe(0);
  });

  it('writes nothing when its term has run out by the time that the keys are made', async () => {
    const over = new Error('not leading');
    const guard = (): void => {
      throw over;
    };
    await expect(create().step(term(1, guard), publish)).rejects.toBe(over);
    expect(store.secret).toBeNull();
  });

  it('reads again after a conflict, and plans from what it finds', async () => {
    const steward = create();
    await settle(steward);
    store.annotate({ [rotateAnnotation]: 'leaf:1' });
    steward.notice();
    store.onRead = () => {
      store.onRead = () => undefined;
      store.annotate({ [rotateAnnotation]: 'leaf:2' });
    };
    await expect(steward.step(term(), publish)).rejects.toMatchObject({ kind: 'conflict' });
    await steward.step(term(), publish);
    expect(store.state.rotatedFor).toBe('2');
  });

  it('carries the Secret on when the configuration cannot be written, and says so', async () => {
    const steward = create();
    await settle(steward);
    store.annotate({ [rotateAnnotation]: 'leaf:1' });
    steward.notice();
    const refused = new KubeError('forbidden', 'it may not');
    publishing = () => Promise.reject(refused);
    await expect(steward.step(term(), publish)).rejects.toBe(refused);
    expect(store.state.rotatedFor).toBe('1');
  });

  describe('that cannot read the Secret', () => {
    const refused = new KubeError('forbidden', 'it may not');
    const failing = (): Promise<void> => Promise.reject(refused);

    it('has what is trusted published all the same, so that policies take effect, and says why it fails', async () => {
      const steward = create();
      await settle(steward);
      const known = bundleFor(store.state, t0);
      store.onRead = failing;
      steward.notice();
      await expect(steward.step(term(), publish)).rejects.toBe(refused);
      expect(published).toEqual([known]);
    });

    it('goes by what stands there at the beginning of its term, unless entries differ', async () => {
      store.onRead = failing;
      observed = { bundles: ['standing', 'standing'], ageMs: hour };
      await expect(create().step(term(), publish)).rejects.toBe(refused);
      expect(published).toEqual(['standing']);
      for (const bundles of [['standing', 'edited'], [], null]) {
        observed = { bundles, ageMs: hour };
        await expect(create().step(term(), publish)).rejects.toBe(refused);
      }
      expect(published).toEqual(['standing']);
    });
  });

  it.each([
    ['garbage', () => ({ 'state.json': btoa('{') })],
    ['the authority of another cluster', () => objectAt(store.secret, 'data')],
  ])('puts a new authority in the place of %s, and cuts nobody off', async (what, data) => {
    const steward = create();
    cluster = what === 'garbage' ? 'here' : 'there';
    await settle(steward);
    cluster = 'here';
    const { current, leaf } = store.state;
    store.put(data(), {});
    steward.notice();
    expect(await steward.step(term(), publish)).toBe(true);
    expect(steps).toEqual(['replaceBroken']);
    // One replica serves a leaf of what was lost, so the new one waits until it is trusted.
    expect(store.state).toMatchObject({ current: null, leaf: null, cluster: 'here' });
    await steward.step(term(), publish);
    const trusted = splitBundle(published.at(-1) ?? '').map(({ fingerprint }) => fingerprint);
    expect(trusted).toEqual([store.state.next?.certificate.fingerprint, current?.certificate.fingerprint]);
    expect(replicas[0]?.servesLeaf).toBe(leaf?.certificate.fingerprint);
  });

  it('takes over an authority that names no cluster, and names it with the next write', async () => {
    const steward = create();
    cluster = null;
    await settle(steward);
    cluster = 'here';
    store.annotate({ [rotateAnnotation]: 'leaf:1' });
    steward.notice();
    await steward.step(term(), publish);
    expect(steps).toEqual(['renewLeaf']);
    expect(store.state.cluster).toBe('here');
  });
});
