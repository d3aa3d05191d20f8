/** The play in a made-up cluster: what the audience is told, and what ends the scene when it does not go as told. */
import { describe, expect, it } from 'vitest';
import type { KubeClient, KubeRequest } from '../../src/kube/client.ts';
import { KubeError } from '../../src/kube/errors.ts';
import { play, type Candidate } from '../../src/scene/play.ts';

const leaseDurationMs = 1_500;

/** A cluster in which the holder renews at every look. Each property is one thing that can go another way. */
class Cluster {
  takeover: 'refused' | 'taken' | 'refused by another' = 'refused';
  recreation: 'refused' | 'taken' = 'refused';
  /** Who holds the lock once the leader is killed, and how long after its last renewal. */
  successor = 'b';
  successionMs = 1_600;
  renews = true;
  /** What candidate `b` complains of. */
  complaint: string | null = null;
  readonly told: string[] = [];
  #holder = 'a';
  #renewed = 0;
  #acquired = 0;
  #theftsUnseen = 1;
  #killed = false;

  play(signal = new AbortController().signal): Promise<void> {
    return play({
      lock: 'orders',
      leaseDurationMs,
      raiseCandidates: () => ['a', 'b', 'c'].map((identity) => this.#candidate(identity)),
      admin: this.#client(false),
      rogue: { name: 'rogue', client: this.#client(true) },
      clock: { wallMs: () => 0 },
      signal,
      tell: (line) => this.told.push(line),
    });
  }

  #candidate(identity: string): Candidate {
    return {
      identity,
      events: identity === 'b' && this.complaint !== null ? [{ error: this.complaint }] : [],
      untilFollowing: () => Promise.resolve(),
      kill: () => {
        this.#killed = true;
        return Promise.resolve();
      },
    };
  }

  #client(isRogue: boolean): KubeClient {
    return {
      server: 'https://made.up',
      request: async (request) => {
        await Promise.resolve();
        const about = JSON.stringify(request.body ?? {}) + request.path;
        if (about.includes('probe')) return answer(this.#probe(request));
        return answer(isRogue ? this.#rogue(request) : this.#read());
      },
      stream: () => Promise.reject(new Error('nothing streams here')),
      close: () => undefined,
    };
  }

  #probe({ method }: KubeRequest): unknown {
    if (method === 'PATCH' && this.#theftsUnseen-- <= 0) throw refusal('PrematureTakeover');
    return {};
  }

  #rogue({ method }: KubeRequest): unknown {
    if (method === 'PATCH' && this.takeover === 'refused') throw refusal('PrematureTakeover');
    if (method === 'PATCH' && this.takeover !== 'taken') throw new KubeError('forbidden', 'by RBAC');
    if (method === 'POST' && this.recreation === 'refused') throw refusal('PrematureRecreation');
    return {};
  }

  #read(): unknown {
    const spec = {
      holderIdentity: this.#holder,
      acquireTime: new Date(this.#acquired).toISOString(),
      renewTime: new Date(this.#renewed).toISOString(),
    };
    if (this.renews) this.#renewed += 10;
    if (this.#killed && this.#holder === 'a') {
      this.#acquired = Date.parse(spec.renewTime) + this.successionMs;
      this.#holder = this.successor;
    }
    return { spec };
  }
}

function answer(body: unknown): { status: number; body: unknown; dateMs: null; warnings: [] } {
  return { status: 200, body, dateMs: null, warnings: [] };
}

function refusal(reason: string): KubeError {
  return new KubeError('forbidden', `denied the request: a sentence; [lockwarden U0 ${reason}, defaults]`);
}

describe('the play', () => {
  it('tells each act after it was seen', async () => {
    const cluster = new Cluster();
    await cluster.play();
    expect(cluster.told.filter((line) => /^\d/.test(line)).map((line) => line[0])).toEqual([
      '0',
      '1',
      '2',
      '3',
      '4',
      '5',
    ]);
    expect(cluster.told.join('\n')).toContain('4. b leads, 1.6 s after the last renewal');
    expect(cluster.told.filter((line) => line.includes('denied the request'))).toHaveLength(2);
  });

  it.each<[string, (cluster: Cluster) => void, RegExp, string]>([
    [
      'nobody is elected',
      (cluster) => (cluster.renews = false),
      /within 7.5 s: a candidate is elected/,
      '1.',
    ],
    [
      'the takeover is taken',
      (cluster) => (cluster.takeover = 'taken'),
      /took a write .*PrematureTakeover/,
      '2.',
    ],
    [
      'the takeover is refused by something else',
      (cluster) => (cluster.takeover = 'refused by another'),
      /failed otherwise: by RBAC/,
      '2.',
    ],
    ['a candidate takes over early', (cluster) => (cluster.successionMs = 400), /`b` took over 0.4 s/, '4.'],
    ['a stranger takes over', (cluster) => (cluster.successor = 'd'), /`d` has taken the lock/, '4.'],
    [
      'a candidate is refused something',
      (cluster) => (cluster.complaint = 'webhook denied the request'),
      /`b` was refused: webhook denied/,
      '4.',
    ],
    [
      'the re-creation is taken',
      (cluster) => (cluster.recreation = 'taken'),
      /took a write .*PrematureRecreation/,
      '5.',
    ],
  ])('stops when %s, and does not tell that act', async (_, change, sentence, act) => {
    const cluster = new Cluster();
    change(cluster);
    await expect(cluster.play()).rejects.toMatchObject({
      code: 'ScenarioFailed',
      message: expect.stringMatching(sentence) as unknown,
    });
    expect(cluster.told.filter((line) => line.startsWith(act))).toEqual([]);
  });

  it('is called off at once', async () => {
    const calledOff = new AbortController();
    const cluster = new Cluster();
    cluster.renews = false;
    const playing = cluster.play(calledOff.signal);
    calledOff.abort();
    await expect(playing).rejects.toThrow(/abort/);
    expect(cluster.told.filter((line) => line.startsWith('1.'))).toEqual([]);
  });
});
