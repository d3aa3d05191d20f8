/**
 * One election that candidates of two kinds contest, each behind a network of its own: lockwarden's elector and
 * client-go's. What they did is read from what they said, by the clock of the one machine they all run on.
 */
import { chmod, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Elector, type ElectorEvent } from '../../../src/scene/elector.ts';
import { FaultyProxy } from '../../support/faulty-proxy.ts';

export type Kind = 'ours' | 'client-go';

/** Somebody acted, from then to then, in milliseconds since the Unix epoch. */
export interface Act {
  readonly identity: string;
  readonly fromMs: number;
  readonly toMs: number;
  /** Null for client-go, which has none. */
  readonly fence: number | null;
}

export interface ContestOptions {
  readonly kubeconfig: string;
  readonly namespace: string;
  /** Of the Lease. */
  readonly name: string;
  /** Of client-go's program. */
  readonly clientGo: string;
}

/** LIMIT: as short as client-go's rules and whole seconds allow, with the usual second to spare for slow answers. */
export const timing = { leaseDurationMs: 4_000, renewDeadlineMs: 2_500, retryPeriodMs: 500 };

const program = fileURLToPath(new URL('election-candidate.ts', import.meta.url));

/** A candidate and what stands between it and the API server. */
export class Contestant {
  readonly kind: Kind;
  readonly process: Elector;
  readonly network: FaultyProxy;
  /** When it was frozen first; nothing that it says of itself later is known to it to be true. */
  #frozenAtMs = Infinity;
  #goneAtMs = Infinity;

  constructor(kind: Kind, process: Elector, network: FaultyProxy) {
    this.kind = kind;
    this.process = process;
    this.network = network;
  }

  get identity(): string {
    return this.process.identity;
  }

  freeze(): void {
    this.#frozenAtMs = Math.min(this.#frozenAtMs, Date.now());
    this.process.pause();
  }

  thaw(): void {
    this.process.resume();
  }

  async kill(): Promise<void> {
    await this.process.kill();
    this.#goneAtMs = Math.min(this.#goneAtMs, Date.now());
  }

  async stop(): Promise<void> {
    await this.process.stop();
    this.#goneAtMs = Math.min(this.#goneAtMs, Date.now());
  }

  /**
   * When it acted. One of ours says so each time, and its guard is asked in vain where it hung. A client-go candidate
   * acts from `started-leading` to `stopped-leading` or its end; frozen, it does not, and *after* it was frozen it goes
   * on believing that it leads until it next looks: that is client-go's own limit (its package says that it does not
   * fence), so what follows is not counted against either of them.
   */
  acts(): readonly Act[] {
    const { identity } = this;
    const events: readonly (ElectorEvent & { readonly fence?: number; readonly forMs?: number })[] =
      this.process.events;
    if (this.kind === 'ours') {
      return events
        .filter(({ forMs }) => forMs !== undefined)
        .map(({ at, fence = null, forMs = 0 }) => {
          const fromMs = Date.parse(at);
          return { identity, fromMs, toMs: fromMs + forMs, fence };
        });
    }
    const began = events.find(({ event }) => event === 'started-leading');
    if (began === undefined) return [];
    const ended = events.find(({ event }) => event === 'stopped-leading');
    const endedAtMs = ended === undefined ? Infinity : Date.parse(ended.at);
    const toMs = Math.min(endedAtMs, this.#frozenAtMs, this.#goneAtMs, Date.now());
    return [{ identity, fromMs: Date.parse(began.at), toMs, fence: null }];
  }

  /** Whether it can never lead again. */
  get isOut(): boolean {
    return (
      this.#goneAtMs !== Infinity || this.process.events.some(({ event }) => event === 'stopped-leading')
    );
  }

  /** Whether it has said that it leads, and not that it no longer does. */
  get leads(): boolean {
    return !this.isOut && this.process.events.some(({ event }) => event === 'started-leading');
  }
}

export class Contest {
  readonly #options: ContestOptions;
  readonly #folder: string;
  readonly #all: Contestant[] = [];

  private constructor(options: ContestOptions, folder: string) {
    this.#options = options;
    this.#folder = folder;
  }

  static async create(options: ContestOptions): Promise<Contest> {
    const folder = await mkdtemp(join(tmpdir(), 'lockwarden-contest-'));
    // NB: so that ours is started as client-go's: a program with flags. `exec` keeps the process that signals are for.
    const ours = `#!/bin/sh\nexec '${process.execPath}' '${program}' "$@"\n`;
    await writeFile(join(folder, 'ours'), ours);
    await chmod(join(folder, 'ours'), 0o755);
    return new Contest(options, folder);
  }

  get all(): readonly Contestant[] {
    return this.#all;
  }

  /**
   * `releases`: whether it gives the lease back when it is told to stop.
   *
   * NB: with it, client-go lets two act at once by itself: it gives the lease back before it cancels its work, and one
   * that hung in the middle of a renewal gives back whatever lease it finds, another's too (lockwarden refuses that).
   */
  async enter(kind: Kind, releases = kind === 'ours'): Promise<Contestant> {
    const { kubeconfig, clientGo, namespace, name } = this.#options;
    const identity = `${kind}-${String(this.#all.length)}`;
    const text = await readFile(kubeconfig, 'utf8');
    const url = /"server": "([^"]+)"/.exec(text)?.[1] ?? '';
    const network = await FaultyProxy.start(url);
    const own = join(this.#folder, `${identity}.kubeconfig`);
    await writeFile(own, text.replace(url, `https://127.0.0.1:${String(network.port)}`));
    const elector = new Elector({
      binary: kind === 'ours' ? join(this.#folder, 'ours') : clientGo,
      kubeconfig: own,
      namespace,
      name,
      identity,
      releaseOnCancel: releases,
      ...timing,
    });
    const contestant = new Contestant(kind, elector, network);
    this.#all.push(contestant);
    return contestant;
  }

  /** The first besides `before` to lead, as soon as there is one. */
  async next(before: Contestant | null = null): Promise<Contestant> {
    const waiting = this.#all.filter((each) => each !== before && !each.isOut);
    const leading = waiting.find((each) => each.leads);
    if (leading !== undefined) return leading;
    const { identity } = await Promise.any(waiting.map((each) => each.process.until('started-leading')));
    return this.#all.find((each) => each.identity === identity)!;
  }

  /** Pairs of acts of different identities that overlap: there must be none. */
  overlaps(): readonly (readonly [Act, Act])[] {
    const acts = this.#all.flatMap((each) => each.acts()).toSorted((a, b) => a.fromMs - b.fromMs);
    const found: [Act, Act][] = [];
    let latest: Act | undefined;
    for (const act of acts) {
      if (latest !== undefined && latest.identity !== act.identity && act.fromMs < latest.toMs) {
        found.push([latest, act]);
      }
      if (latest === undefined || act.toMs >= latest.toMs) latest = act;
    }
    return found;
  }

  /** The fences of ours in the order of their acts, each once in a row. */
  fences(): readonly number[] {
    const acts = this.#all.flatMap((each) => each.acts()).toSorted((a, b) => a.fromMs - b.fromMs);
    const fences = acts.flatMap(({ fence }) => (fence === null ? [] : [fence]));
    return fences.filter((fence, index) => fence !== fences[index - 1]);
  }

  async close(): Promise<void> {
    await Promise.all(this.#all.map((each) => each.kill()));
    await Promise.all(this.#all.map((each) => each.network.close()));
    await rm(this.#folder, { recursive: true });
  }
}
