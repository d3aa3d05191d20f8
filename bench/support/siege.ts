/**
 * A webhook while others are asked of it too: lawful takeovers and renewals of many clients, in the quiet, beside one client that
 * tries to steal a lock again and again, and beside large objects. Each for some seconds, in turns.
 */
import { setTimeout as sleep } from 'node:timers/promises';

import { latenciesOf, type Attack } from './attack.ts';
import { bodies, type BodyName } from './bodies.ts';
import { quantile } from './figures.ts';
import type { Peer } from './peer.ts';
import { cpuSecondsOf, forgetPeakOf, peakResidentMiBOf } from './processes.ts';

/** What else a webhook is asked, and how often, a second. */
export interface Beside {
  readonly what: 'nothing' | 'an attacker' | 'large objects';
  readonly rate: number;
}

/** How fast. All a second. */
export interface Rates {
  /** Takeovers of the others, and as many renewals. */
  readonly others: number;
  /** Of one attacker, who has each of these rates once. */
  readonly attacker: readonly number[];
  readonly large: number;
}

/** What is measured: the quiet first. */
export function besidesAt({ attacker, large }: Rates): readonly Beside[] {
  return [
    { what: 'nothing', rate: 0 },
    ...attacker.map((rate) => ({ what: 'an attacker', rate }) as const),
    { what: 'large objects', rate: large },
  ];
}

/** How long, and how much. */
export interface SiegeOptions {
  readonly rates: Rates;
  readonly seconds: number;
  /** Whether the webhook judges as lockwarden does; otherwise it lets everything pass. */
  readonly judges: boolean;
}

/** What came of some seconds. Latencies in milliseconds. */
export interface Phase {
  readonly takeovers: readonly number[];
  readonly renewals: readonly number[];
  /** What the others beside got, a second. */
  readonly besidePerSecond: number;
  readonly besideP99Ms: number;
  /** Processor time of the webhook, a second. */
  readonly cpu: number;
  readonly peakResidentMiB: number;
}

/** LIMIT: as many clients as lead in a small cluster; each has its lock. */
const otherClients = 20;
const connections = 8;
/**
 * LIMIT: longer than a load takes to be at its full rate. One that begins all at once has 64 connections to make, and then what waited for them
 * to catch up with: for a second or two that is another load than the one asked for.
 */
const besideLeadMs = 3_000;
const leadMs = 1_000;

function among(name: BodyName): Pick<Attack, 'body' | 'isAllowed'> {
  const make = bodies()[name];
  const made = Array.from({ length: otherClients }, (_, index) => make(`-${String(index)}`));
  return { body: made.map(({ text }) => text), isAllowed: true };
}

/**
 * What goes on beside. Arrivals do not wait for answers, as they would not in a cluster whose API servers have 200 writes at hand:
 * so many connections that who falls behind gets a queue.
 */
function loadBeside({ what, rate }: Beside, { judges }: SiegeOptions): Omit<Attack, 'seconds'> | null {
  if (what === 'nothing') return null;
  const { text, isAllowed } = bodies()[what === 'an attacker' ? 'theft' : 'ConfigMap of 1 MiB']();
  const judged = { body: text, isAllowed: isAllowed || !judges };
  return { ...judged, connections: what === 'an attacker' ? 64 : 4, rate };
}

/** @throws Error when a review is answered otherwise than it must be */
export async function siege(peer: Peer, beside: Beside, options: SiegeOptions): Promise<Phase> {
  const { rates, seconds } = options;
  await forgetPeakOf(peer.pid);
  const load = loadBeside(beside, options);
  // It begins before the others do, and ends after them.
  const besideSeconds = seconds + (besideLeadMs + 2 * leadMs) / 1_000;
  const alongside = load === null ? null : latenciesOf(peer, { ...load, seconds: besideSeconds });
  // Or a failure before the others are through would be nobody's.
  alongside?.catch(() => undefined);
  if (load !== null) await sleep(besideLeadMs);
  const usedBefore = await cpuSecondsOf(peer.pid);
  const others = { connections, seconds, leadMs, rate: rates.others };
  const [takeovers, renewals] = await Promise.all([
    latenciesOf(peer, { ...among('takeover'), ...others }),
    latenciesOf(peer, { ...among('renewal'), ...others }),
  ]);
  const cpu = ((await cpuSecondsOf(peer.pid)) - usedBefore) / (seconds + leadMs / 1_000);
  const latencies = (await alongside) ?? [];
  return {
    ...{ takeovers, renewals, cpu },
    besidePerSecond: latencies.length / besideSeconds,
    besideP99Ms: quantile(latencies, 0.99),
    peakResidentMiB: await peakResidentMiBOf(peer.pid),
  };
}
