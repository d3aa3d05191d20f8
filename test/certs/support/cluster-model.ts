/**
 * A cluster as far as certificates are concerned: a Secret with compare-and-swap, a configuration of two entries, API
 * servers that hear of it late, replicas that choose what to serve, and a leader that may die after any write.
 *
 * What is checked at every moment: no API server meets a replica whose leaf it does not verify, and nobody serves a leaf
 * that has expired. Excused is only what nothing could have prevented: entries that somebody else has overwritten, and
 * entries from before a recovery in which nobody was served anyway.
 */
import { secretData, type AuthorityState } from '../../../src/certs/authority-state.ts';
import { bundleFor, splitBundle } from '../../../src/certs/bundle.ts';
import { carryOut, mintLeaf } from '../../../src/certs/carry-out.ts';
import { isExpiredAt, readChain } from '../../../src/certs/certificate.ts';
import { chooseLeaf } from '../../../src/certs/choose-leaf.ts';
import { isPublished, type AuthorityFacts, type RotationRequest } from '../../../src/certs/facts.ts';
import type { Lifetimes } from '../../../src/certs/lifetimes.ts';
import { plan, type Action, type Plan } from '../../../src/certs/plan.ts';
import { readAuthority } from '../../../src/certs/read-authority.ts';
import { whyNotServable, type ServableLeaf } from '../../../src/certs/verify.ts';
import { hosts, second, t0 } from './rotation.ts';

/** A year in four minutes. */
export const quick: Lifetimes = {
  caValidityMs: 240 * second,
  leafValidityMs: 60 * second,
  renewFraction: 1 / 3,
  backdateMs: 3600 * second,
  publishDwellMs: 4 * second,
  retireAfterMs: 12 * second,
  breakGlassMs: 10 * second,
};

/** What happens next. Times in milliseconds. */
export type Event =
  /** Time passes, and everybody does what is due; `stale`: the leader acts on what it read the last time. */
  | { readonly kind: 'tick'; readonly ms: number; readonly stale: boolean }
  /** The leader dies after that many more writes, and another one takes over. */
  | { readonly kind: 'crash'; readonly writes: number }
  | { readonly kind: 'restart'; readonly replica: number; readonly downMs: number }
  /** A replica hears nothing of Secret and entries for a while. */
  | { readonly kind: 'lag'; readonly replica: number; readonly ms: number }
  | { readonly kind: 'request'; readonly what: RotationRequest['what'] }
  /** Everything stands still while time passes. */
  | { readonly kind: 'jump'; readonly ms: number }
  | { readonly kind: 'loseSecret'; readonly how: 'deleted' | 'truncated' | 'restored' }
  /** Somebody overwrites an entry with nothing, or with what it was at first. */
  | { readonly kind: 'reset'; readonly entry: number; readonly to: 'nothing' | 'first' };

/** What a test may replace by something worse, to see that it would be noticed. */
export interface Parts {
  readonly plan: typeof plan;
  readonly carryOut: typeof carryOut;
  readonly chooseLeaf: typeof chooseLeaf;
}

interface Version {
  readonly bundles: readonly string[];
  readonly atMs: number;
  /** Whether each entry was last written by the leader. */
  readonly ours: readonly boolean[];
}

interface Replica {
  readonly name: string;
  served: ServableLeaf | null;
  downUntilMs: number;
  deafUntilMs: number;
  secret: Secret | null;
  bundles: readonly string[] | null;
  bundleSinceMs: number;
}

interface Secret {
  readonly version: number;
  readonly data: Readonly<Record<string, string>>;
}

const apiServers = [0, 1, 2];

export class ClusterModel {
  readonly #parts: Parts;
  readonly #strict: boolean;
  readonly #versions: Version[] = [];
  readonly #replicas: readonly Replica[];
  readonly #secrets: Secret[] = [];
  #secret: Secret | null = null;
  #writes = 0;
  nowMs = t0;
  #leader = 0;
  #leaderFrom = t0;
  #dieAfter: number | null = null;
  #seen: { bundles: string; sinceMs: number } | null = null;
  #lastFacts: { facts: AuthorityFacts; version: number | null } | null = null;
  #request: RotationRequest | null = null;
  /** Versions before this one are excused. */
  #floor = 0;
  /** How many meetings of an API server and a replica were checked and not excused. */
  meetings = 0;
  lastPlan: Plan | null = null;

  /** `strict`: whether meetings are checked; expired leaves are looked for in any case. */
  constructor(parts: Partial<Parts> = {}, strict = true) {
    this.#strict = strict;
    this.#parts = { plan, carryOut, chooseLeaf, ...parts };
    this.#replicas = ['a', 'b', 'c'].map((name) => ({
      name,
      served: null,
      downUntilMs: t0,
      deafUntilMs: t0,
      secret: null,
      bundles: null,
      bundleSinceMs: t0,
    }));
  }

  /** @throws Error that says what went wrong, when something did */
  async happen(event: Event): Promise<void> {
    switch (event.kind) {
      case 'tick':
        this.nowMs += event.ms;
        await this.#everybody(event.stale);
        return;
      case 'crash':
        this.#dieAfter = event.writes;
        return;
      case 'restart': {
        const replica = this.#replica(event.replica);
        replica.served = null;
        replica.bundles = null;
        replica.secret = null;
        replica.downUntilMs = this.nowMs + event.downMs;
        if (this.#leader === event.replica) this.#passOn();
        return;
      }
      case 'lag':
        this.#replica(event.replica).deafUntilMs = this.nowMs + event.ms;
        return;
      case 'request':
        this.#request = { token: `${event.what}-${this.nowMs}`, what: event.what };
        return;
      case 'jump':
        this.nowMs += event.ms;
        await this.#everybody(false);
        return;
      case 'loseSecret':
        this.#loseSecret(event.how);
        return;
      case 'reset': {
        const last = this.#versions.at(-1);
        if (last === undefined) return;
        const bundle = event.to === 'nothing' ? '' : (this.#versions[0]?.bundles[event.entry] ?? '');
        const replaced = <T>(all: readonly T[], one: T): readonly T[] =>
          all.map((each, index) => (index === event.entry ? one : each));
        this.#configure(replaced(last.bundles, bundle), replaced(last.ours, false));
      }
    }
  }

  /** Whether the rotation is at rest and every replica serves what every observer verifies. */
  isWell(): boolean {
    const bundles = this.#versions.at(-1)?.bundles ?? [];
    return (
      this.lastPlan?.phase === 'Stable' &&
      this.#replicas.every(
        ({ served }) => served !== null && bundles.every((each) => this.#problem(served, each) === null),
      )
    );
  }

  #replica(index: number): Replica {
    const replica = this.#replicas[index];
    if (replica === undefined) throw new Error(`no replica ${index}`);
    return replica;
  }

  async #everybody(stale: boolean): Promise<void> {
    for (const replica of this.#replicas) await this.#choose(replica);
    this.#check();
    await this.#lead(stale);
    this.#check();
    for (const replica of this.#replicas) await this.#choose(replica);
    this.#check();
  }

  async #choose(replica: Replica): Promise<void> {
    const { nowMs } = this;
    if (replica.downUntilMs > nowMs) return;
    if (replica.deafUntilMs <= nowMs || (replica.bundles === null && replica.secret === null)) {
      replica.secret = this.#secret;
      const bundles = this.#versions.at(-1)?.bundles ?? null;
      if (replica.bundles === null || JSON.stringify(replica.bundles) !== JSON.stringify(bundles)) {
        replica.bundles = bundles;
        replica.bundleSinceMs = nowMs;
      }
    }
    const { bundles, bundleSinceMs, served, secret } = replica;
    const choice = this.#parts.chooseLeaf({
      authority: readAuthority(secret?.data, nowMs),
      bundles,
      bundleSinceMs,
      hosts,
      nowMs,
      served,
      lifetimes: quick,
    });
    if (choice.kind === 'serve') replica.served = choice.leaf;
    if (choice.kind === 'nothing') replica.served = null;
    if (choice.kind === 'mint')
      replica.served = await mintLeaf(choice.issuer, { nowMs, hosts, lifetimes: quick });
  }

  async #lead(stale: boolean): Promise<void> {
    const leader = this.#replica(this.#leader);
    if (leader.downUntilMs > this.nowMs) this.#passOn();
    if (this.#leaderFrom > this.nowMs) return;
    for (let round = 0; round < 6; round += 1) {
      const fresh = { facts: this.#facts(), version: this.#secret?.version ?? null };
      const { facts, version } = stale ? (this.#lastFacts ?? fresh) : fresh;
      this.#lastFacts = fresh;
      const planned = this.#parts.plan(facts, quick);
      this.lastPlan = planned;
      for (const action of planned.actions) {
        if (this.#dieAfter === 0) {
          this.#passOn();
          return;
        }
        await this.#write(action, facts, version);
        if (this.#dieAfter !== null) this.#dieAfter -= 1;
      }
      if (planned.actions.length === 0 || stale) break;
    }
    // Whoever leads registers, once there is something to call.
    const { authority } = this.#facts();
    if (this.#versions.length === 0 && authority.kind === 'state' && leader.served !== null) {
      const bundle = bundleFor(authority.state, this.nowMs);
      this.#configure([bundle, bundle], [true, true]);
    }
  }

  #facts(): AuthorityFacts {
    const { nowMs } = this;
    const bundles = this.#versions.at(-1)?.bundles ?? null;
    const text = JSON.stringify(bundles);
    if (this.#seen?.bundles !== text) this.#seen = { bundles: text, sinceMs: nowMs };
    return {
      nowMs,
      authority: readAuthority(this.#secret?.data, nowMs),
      bundles,
      bundleSinceMs: this.#seen.sinceMs,
      replicas: this.#replicas
        .filter(({ downUntilMs }) => downUntilMs <= nowMs)
        .map(({ name, served }) => ({
          name,
          servesLeaf: served === null ? null : (readChain(served.chainPem)?.[0].fingerprint ?? null),
        })),
      hosts,
      request: this.#request,
    };
  }

  async #write(action: Action, facts: AuthorityFacts, version: number | null): Promise<void> {
    if (action.writes === 'bundle') {
      // An entry at a time: the leader may die between two.
      const last = this.#versions.at(-1);
      if (last === undefined || JSON.stringify(last.bundles) !== JSON.stringify(facts.bundles)) return;
      const half = this.#dieAfter === 1;
      this.#configure(
        last.bundles.map((each, index) => (half && index === 1 ? each : action.bundle)),
        last.ours.map((each, index) => (half && index === 1 ? each : true)),
      );
      return;
    }
    const state = facts.authority.kind === 'state' ? facts.authority.state : null;
    const terms = { nowMs: this.nowMs, hosts, lifetimes: quick };
    const after = await this.#parts.carryOut(action, state, terms);
    if ((this.#secret?.version ?? null) !== version) return;
    const recovery =
      ((action.kind === 'create' || action.kind === 'replaceBroken') && action.serveAtOnce) ||
      (action.kind === 'switch' && / would not have failed|no call can fail/.test(action.why));
    if (recovery) this.#floor = Number.POSITIVE_INFINITY;
    this.#writes += 1;
    this.#secret = { version: this.#writes, data: secretData(after) };
    this.#secrets.push(this.#secret);
    this.#settleFloor(after);
  }

  #configure(bundles: readonly string[], ours: readonly boolean[]): void {
    this.#versions.push({ bundles, atMs: this.nowMs, ours });
    const reading = readAuthority(this.#secret?.data, this.nowMs);
    if (reading.kind === 'state') this.#settleFloor(reading.state);
  }

  #settleFloor(state: AuthorityState): void {
    const bundles = this.#versions.at(-1)?.bundles;
    if (this.#floor !== Number.POSITIVE_INFINITY || bundles === undefined) return;
    if (isPublished(bundles, bundleFor(state, this.nowMs))) this.#floor = this.#versions.length - 1;
  }

  #passOn(): void {
    this.#dieAfter = null;
    this.#leader = (this.#leader + 1) % this.#replicas.length;
    this.#leaderFrom = this.nowMs + 2 * second;
    this.#seen = null;
    this.#lastFacts = null;
  }

  #loseSecret(how: 'deleted' | 'truncated' | 'restored'): void {
    if (this.#secret === null) return;
    this.#writes += 1;
    const version = this.#writes;
    const { data } = this.#secret;
    if (how === 'deleted') this.#secret = null;
    else if (how === 'restored') this.#secret = { version, data: this.#secrets[0]?.data ?? data };
    else this.#secret = { version, data: { ...data, 'state.json': (data['state.json'] ?? '').slice(0, 40) } };
  }

  /** What an API server believes the entries to be: it hears of a version within less than the wait of the protocol. */
  #view(server: number): number {
    return this.#versions.findLastIndex(({ atMs }, index) => {
      const part = ((index * 7919 + server * 1237) % 30) / 30;
      return atMs + part * (quick.publishDwellMs - 100) <= this.nowMs;
    });
  }

  #check(): void {
    for (const { name, served, downUntilMs } of this.#replicas) {
      if (served === null || downUntilMs > this.nowMs) continue;
      const late = whyNotServable({ ...served, bundlePem: null, hosts, nowMs: this.nowMs });
      if (late !== null) throw new Error(`${name} serves at ${this.#age()}: ${late}`);
      for (const server of this.#strict ? apiServers : []) {
        const index = this.#view(server);
        const view = this.#versions[index];
        if (view === undefined || index < this.#floor) continue;
        view.bundles.forEach((bundle, entry) => {
          if (view.ours[entry] !== true) return;
          // Whom it trusts has expired while nobody looked after it: whatever was served, no call could succeed.
          const trusted = splitBundle(bundle);
          if (trusted.length > 0 && trusted.every((each) => isExpiredAt(each, this.nowMs))) return;
          this.meetings += 1;
          const problem = this.#problem(served, bundle);
          if (problem === null) return;
          throw new Error(
            `API server ${server} (version ${index}) meets ${name} at ${this.#age()}: ${problem}`,
          );
        });
      }
    }
  }

  #problem(served: ServableLeaf, bundlePem: string): string | null {
    return whyNotServable({ ...served, bundlePem, hosts, nowMs: this.nowMs });
  }

  #age(): string {
    return `${(this.nowMs - t0) / second} s`;
  }
}
