/**
 * One of the ConfigMaps that facts are kept in: what it holds as far as is known, what waits to be written to it, and what it
 * is to hold next. No I/O.
 */
import type { LockRef } from '../core/lock.ts';
import { joined, noFacts, type LockFacts } from '../core/shared-facts.ts';
import type { Interval, MonotonicMs } from '../core/time.ts';
import { objectAt, stringAt, type JsonObject } from '../kube/json.ts';
import type { WatchedObject } from '../kube/resource.ts';
import { assertionsMax, keyOf, lineOf, readLine } from './fact-entry.ts';

/**
 * LIMIT: a change costs a rewrite of its shard. 10,000 locks make 160 a shard, some 50 KiB; all shards full are 32 MiB, at
 * 400 bytes a lock 80,000 of them.
 */
export const shardsMax = 64;
/** LIMIT: the API server takes an object of 1 MiB, etcd a request of 1.5 MiB; half of the smaller leaves room for the rest. */
const shardBytesMax = 512 * 1024;
/** LIMIT: a lock and what is told of it travel by different watches, which may be a minute apart after an outage. */
const strangerMs = 60_000;

const namePrefix = 'lockwarden-facts-';
const dataKey = 'facts';

/** Labels of all shards. */
export const shardLabels: Readonly<Record<string, string>> = {
  'app.kubernetes.io/managed-by': 'lockwarden',
  'lockwarden.dev/component': 'facts',
};

/** A lock and what is told of it. */
export interface Told {
  readonly lock: LockRef;
  readonly facts: LockFacts;
}

/** What decides which lines are no longer needed. */
export interface Surroundings {
  readonly at: MonotonicMs;
  readonly serverNow: Interval | null;
  readonly isGone: (lock: LockRef) => boolean;
}

/** What waits: since when the first of it has. */
export interface Waiting extends Told {
  readonly since: MonotonicMs;
}

interface Entry {
  readonly line: string;
  readonly bytes: number;
  readonly seenAt: MonotonicMs;
  /** Null for a line of a later lockwarden, which only lack of room removes. */
  readonly lock: LockRef | null;
  /** The latest version in it: lines without news for longest go first. */
  readonly version: number;
  /** When its deletion guards nothing any more; 0 where there is none. */
  readonly spentBy: number;
}

/** What a shard is to hold. */
export interface Content {
  readonly object: JsonObject;
  readonly bytes: number;
  /** Locks for whose facts there was no room. */
  readonly dropped: number;
}

/** Which shard a lock's facts are kept in: FNV-1a of its key. */
export function shardOf(lock: LockRef): number {
  let hash = 0x811c9dc5;
  for (const byte of Buffer.from(keyOf(lock))) hash = Math.imul(hash ^ byte, 0x01000193);
  return (hash >>> 0) % shardsMax;
}

/** The shard that a ConfigMap of this name is, or null. */
export function shardNamed(name: string): number | null {
  const index = /^\d\d$/.test(name.slice(namePrefix.length)) ? Number(name.slice(namePrefix.length)) : NaN;
  return name.startsWith(namePrefix) && index < shardsMax ? index : null;
}

/** One shard, as one replica knows it. */
export class FactShard {
  readonly name: string;
  readonly #waiting = new Map<string, Waiting>();
  #entries = new Map<string, Entry>();
  #resourceVersion: string | null = null;
  /** What is being written at this moment: it is no news when it comes back. */
  #sent: ReadonlySet<string> = new Set();
  #broken = 0;

  constructor(index: number) {
    this.name = `${namePrefix}${String(index).padStart(2, '0')}`;
  }

  /** Of the ConfigMap as it is known; null: there is none. */
  get resourceVersion(): string | null {
    return this.#resourceVersion;
  }

  get waiting(): number {
    return this.#waiting.size;
  }

  /** Adds to what waits; false where something waited already for that lock. */
  add({ lock, facts, since }: Waiting): boolean {
    const key = keyOf(lock);
    const before = this.#waiting.get(key);
    const all = joined(before?.facts ?? noFacts, facts, assertionsMax);
    this.#waiting.set(key, { lock, facts: all, since: before?.since ?? since });
    return before === undefined;
  }

  /** Takes out what waits. */
  takeWaiting(): readonly Waiting[] {
    const batch = [...this.#waiting.values()];
    this.#waiting.clear();
    return batch;
  }

  /**
   * The ConfigMap as it now is: what is new in it, and how many lines cannot be read where it has
   * become more. Nothing where it is older than known.
   */
  take(object: WatchedObject, at: MonotonicMs): { readonly told: readonly Told[]; readonly broken: number } {
    const told: Told[] = [];
    if (!this.#isNewer(object.resourceVersion)) return { told, broken: 0 };
    const entries = new Map<string, Entry>();
    let broken = 0;
    for (const line of stringAt(objectAt(object.object, 'data'), dataKey).split('\n')) {
      if (line === '') continue;
      const key = line.slice(0, line.indexOf(' '));
      const known = this.#entries.get(key);
      if (known?.line === line) {
        entries.set(key, known);
        continue;
      }
      const read = readLine(line);
      if (read === 'broken' || (read !== 'foreign' && shardNamed(this.name) !== shardOf(read.lock))) {
        broken += 1;
        continue;
      }
      entries.set(key, entryOf(line, read === 'foreign' ? null : read, at));
      if (read !== 'foreign' && !this.#sent.has(line)) told.push(read);
    }
    this.#entries = entries;
    this.#resourceVersion = object.resourceVersion;
    const isWorse = broken > this.#broken;
    this.#broken = broken;
    return { told, broken: isWorse ? broken : 0 };
  }

  /** The ConfigMap is gone. */
  vanish(): void {
    this.#entries.clear();
    this.#resourceVersion = null;
  }

  /** Whether a line is no longer needed. */
  isLittered(around: Surroundings): boolean {
    return [...this.#entries.values()].some((each) => isLitter(each, around));
  }

  /** What the ConfigMap is to hold, with `batch` in it. */
  contentWith(batch: readonly Waiting[], namespace: string, around: Surroundings): Content {
    const next = new Map([...this.#entries].filter(([, each]) => !isLitter(each, around)));
    const sent = new Set<string>();
    let unfit = 0;
    for (const { lock, facts } of batch) {
      const known = this.#entries.get(keyOf(lock));
      const read = known === undefined ? 'broken' : readLine(known.line);
      // Never over a line that says more than can be understood here.
      const all =
        read === 'foreign' ? null : joined(read === 'broken' ? noFacts : read.facts, facts, assertionsMax);
      const line = all === null ? null : lineOf(lock, all);
      if (all === null || line === null) {
        unfit += 1;
        continue;
      }
      next.set(keyOf(lock), entryOf(line, { lock, facts: all }, around.at));
      sent.add(line);
    }
    const { lines, bytes, dropped } = withinBounds([...next.values()]);
    this.#sent = sent;
    const metadata = {
      ...{ name: this.name, namespace, labels: shardLabels },
      ...(this.#resourceVersion === null ? {} : { resourceVersion: this.#resourceVersion }),
    };
    const data = { [dataKey]: lines.map((each) => `${each}\n`).join('') };
    return {
      object: { apiVersion: 'v1', kind: 'ConfigMap', metadata, data },
      bytes,
      dropped: dropped + unfit,
    };
  }

  #isNewer(resourceVersion: string): boolean {
    const known = Number(this.#resourceVersion ?? 0);
    const given = Number(resourceVersion);
    return Number.isNaN(known) || Number.isNaN(given) || given > known;
  }
}

function entryOf(line: string, told: Told | null, seenAt: MonotonicMs): Entry {
  const bytes = Buffer.byteLength(line) + 1;
  if (told === null) return { line, bytes, seenAt, lock: null, version: 0, spentBy: 0 };
  const { asserted, deleted } = told.facts;
  const version = Math.max(asserted.at(-1)?.version ?? 0, deleted?.version ?? 0);
  return { line, bytes, seenAt, lock: told.lock, version, spentBy: deleted?.spentBy ?? 0 };
}

/** A line about a lock that exists is kept; of one that does not, for as long as its deletion may matter. */
function isLitter({ lock, seenAt, spentBy }: Entry, { at, serverNow, isGone }: Surroundings): boolean {
  if (lock === null || serverNow === null || serverNow.min < spentBy) return false;
  return at - seenAt >= strangerMs && isGone(lock);
}

function withinBounds(entries: readonly Entry[]): {
  readonly lines: readonly string[];
  readonly bytes: number;
  readonly dropped: number;
} {
  let bytes = entries.reduce((sum, each) => sum + each.bytes, 0);
  if (bytes <= shardBytesMax) return { lines: entries.map(({ line }) => line), bytes, dropped: 0 };
  const kept = [...entries].sort((a, b) => b.version - a.version);
  while (bytes > shardBytesMax) bytes -= kept.pop()?.bytes ?? bytes;
  return { lines: kept.map(({ line }) => line), bytes, dropped: entries.length - kept.length };
}
