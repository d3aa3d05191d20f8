/**
 * Somebody who shakes hands with every replica all the time and writes down what it must never be shown: a leaf that has
 * expired, one that the webhook configuration did not vouch for when it was taken up, one that is nobody's business.
 */
import { connect, type DetailedPeerCertificate } from 'node:tls';
import { setTimeout as sleep } from 'node:timers/promises';

import { readChain } from '../../../src/certs/certificate.ts';
import { anchorsOf } from '../../../src/certs/verify.ts';
import type { KubeClient } from '../../../src/kube/client.ts';
import { KubeError } from '../../../src/kube/errors.ts';
import { isObject } from '../../../src/kube/json.ts';
import { bundlesIn } from '../../../src/replica/observed-bundle.ts';
import { configurationPath } from './authority.ts';

/** Somebody to shake hands with. */
export interface Server {
  readonly name: string;
  readonly port: number;
}

/** A chain that was seen for the first time at one server. */
interface Sight {
  readonly server: string;
  readonly fingerprint: string;
  readonly chainPem: string;
  readonly at: number;
}

/** LIMIT: what is served for less than this nobody could have been shown on purpose. */
const pauseMs = 50;
/** LIMIT: a process that is frozen accepts connections and says nothing; one that is merely busy says something within this. */
const handshakeMs = 5_000;
/** LIMIT: a replica on a busy machine goes by what it has last heard of the configuration; seconds old, never this much. */
const hearsayMs = 15_000;

export class Witness {
  /** Handshakes in which a certificate was shown, and connections that were closed without any. */
  readonly counts = { shown: 0, turnedAway: 0 };
  readonly #client: KubeClient;
  readonly #servers: () => readonly Server[];
  readonly #stopping = new AbortController();
  readonly #running: Promise<unknown>;
  readonly #wrongs: string[] = [];
  readonly #sights: Sight[] = [];
  readonly #asking = new Set<string>();
  readonly #latest = new Map<string, string>();
  readonly #forbidden = new Map<string, string>();
  /** Bundles over time; null: there was no entry. */
  readonly #bundles: { readonly at: number; readonly bundles: readonly string[] | null }[] = [];

  constructor(client: KubeClient, servers: () => readonly Server[]) {
    this.#client = client;
    this.#servers = servers;
    this.#running = Promise.all([
      this.#repeat(() => this.#shakeHands()),
      this.#repeat(() => this.#readBundles()),
    ]);
  }

  /** A leaf that must never be shown, by its fingerprint, and why. */
  forbid(fingerprint: string, why: string): void {
    this.#forbidden.set(fingerprint, why);
  }

  /** The fingerprint of what a server showed last; null: it turned the last one away, or was not asked yet. */
  shownBy(server: string): string | null {
    return this.#latest.get(server) ?? null;
  }

  /** What was wrong so far. */
  wrongs(): readonly string[] {
    const unvouched = this.#sights.filter((sight) => !this.#isVouchedFor(sight));
    return [
      ...this.#wrongs,
      ...unvouched.map(
        ({ server, fingerprint, at }) =>
          `${server} took up ${fingerprint} at ${iso(at)}, which no bundle of then verifies`,
      ),
    ];
  }

  async stop(): Promise<void> {
    this.#stopping.abort();
    await this.#running;
  }

  async #repeat(act: () => Promise<void>): Promise<void> {
    const { signal } = this.#stopping;
    while (!signal.aborted) {
      await act();
      await sleep(pauseMs, undefined, { signal }).catch(() => undefined);
    }
  }

  /** One handshake with each server that has answered the last one. */
  #shakeHands(): Promise<void> {
    for (const server of this.#servers().filter(({ name }) => !this.#asking.has(name))) {
      this.#asking.add(server.name);
      void this.#shakeHandsWith(server).finally(() => this.#asking.delete(server.name));
    }
    return Promise.resolve();
  }

  async #shakeHandsWith({ name, port }: Server): Promise<void> {
    const at = Date.now();
    const chainPem = await chainShownAt(port);
    if (chainPem === silence) return;
    const leaf = chainPem === null ? undefined : readChain(chainPem)?.[0];
    if (chainPem === null || leaf === undefined) {
      this.counts.turnedAway += 1;
      this.#latest.delete(name);
      return;
    }
    this.counts.shown += 1;
    const { fingerprint, notAfterMs } = leaf;
    if (notAfterMs <= at)
      this.#wrongs.push(`${name} showed ${fingerprint}, which expired at ${iso(notAfterMs)}, at ${iso(at)}`);
    if (this.#latest.get(name) === fingerprint) return;
    const forbidden = this.#forbidden.get(fingerprint);
    if (forbidden !== undefined) this.#wrongs.push(`${name} showed ${forbidden} at ${iso(at)}`);
    this.#latest.set(name, fingerprint);
    this.#sights.push({ server: name, fingerprint, chainPem, at });
  }

  async #readBundles(): Promise<void> {
    const { signal } = this.#stopping;
    try {
      const { body } = await this.#client.request({ method: 'GET', path: configurationPath, signal });
      this.#bundles.push({ at: Date.now(), bundles: bundlesIn(isObject(body) ? body : null) });
    } catch (error) {
      if (error instanceof KubeError && error.kind === 'not-found')
        this.#bundles.push({ at: Date.now(), bundles: null });
    }
  }

  /** Whether every entry of some configuration of about then leads to an authority of the chain. */
  #isVouchedFor({ chainPem, at }: Sight): boolean {
    const before = this.#bundles.filter((each) => each.at < at - hearsayMs).slice(-1);
    const around = this.#bundles.filter((each) => Math.abs(each.at - at) <= hearsayMs);
    return [...before, ...around].some(({ bundles }) =>
      (bundles ?? []).every((bundle) => anchorsOf(chainPem, bundle, at).length > 0),
    );
  }
}

function iso(ms: number): string {
  return new Date(ms).toISOString();
}

/** What stands for a server that has accepted a connection and says nothing. */
const silence = 'silence';

/** The chain in PEM text, `silence`, or null when the connection is closed without any. */
function chainShownAt(port: number): Promise<string | null> {
  return new Promise((resolve) => {
    const socket = connect({ host: '127.0.0.1', port, rejectUnauthorized: false, timeout: handshakeMs });
    const end = (chain: string | null): void => {
      socket.destroy();
      resolve(chain);
    };
    socket.once('secureConnect', () => {
      end(pemOf(socket.getPeerCertificate(true)));
    });
    socket.once('timeout', () => {
      end(silence);
    });
    for (const event of ['error', 'close']) {
      socket.once(event, () => {
        end(null);
      });
    }
  });
}

function pemOf(leaf: DetailedPeerCertificate): string {
  const blocks = new Map<string, string>();
  // NB: an issuer that was not sent is missing, against its type, and one that signed itself is its own issuer.
  let each: Partial<DetailedPeerCertificate> = leaf;
  while (each.raw !== undefined && !blocks.has(each.fingerprint256 ?? '')) {
    const lines = each.raw.toString('base64').match(/.{1,64}/g) ?? [];
    const block = ['-----BEGIN CERTIFICATE-----', ...lines, '-----END CERTIFICATE-----', ''].join('\n');
    blocks.set(each.fingerprint256 ?? '', block);
    each = each.issuerCertificate ?? {};
  }
  return [...blocks.values()].join('');
}
