/** Load on a webhook: one review, or several in turns, again and again. */
import { setTimeout as sleep } from 'node:timers/promises';

import { cpuSecondsOf, residentMiBOf } from './processes.ts';
import { quantile } from './figures.ts';
import type { Peer } from './peer.ts';
import { counted, fireAll, type Answer, type Load } from './vegeta.ts';

/** What to send. */
export interface Attack {
  readonly body: string | readonly string[];
  readonly connections: number;
  readonly seconds: number;
  /** Requests a second; null: as many as there are answers. */
  readonly rate: number | null;
  /** What every answer has to be. Default: any. */
  readonly isAllowed?: boolean;
  /** As in a `Load`. */
  readonly leadMs?: number;
}

/** What came of it. Latencies in milliseconds. */
export interface AttackResult {
  readonly requests: number;
  readonly perSecond: number;
  /** Requests for each second of CPU time that the webhook used. */
  readonly perCpuSecond: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
  readonly p999Ms: number;
  /** Resident memory of the webhook at the end, in MiB. */
  readonly residentMiB: number;
}

/** @throws Error when any request failed or was answered by anything but 200 */
export async function attack(peer: Peer, load: Attack): Promise<AttackResult> {
  const [answers, before] = await Promise.all([answersOf(peer, load), usedOnceConnected(peer, load)]);
  const used = (await cpuSecondsOf(peer.pid)) - before.cpuSeconds;
  const answered = answers.filter(({ atMs, tookMs }) => atMs + tookMs >= before.atMs).length;
  const latencies = counted(answers, load);
  return {
    requests: latencies.length,
    perSecond: latencies.length / load.seconds,
    perCpuSecond: answered / used,
    p50Ms: quantile(latencies, 0.5),
    p99Ms: quantile(latencies, 0.99),
    p999Ms: quantile(latencies, 0.999),
    residentMiB: await residentMiBOf(peer.pid),
  };
}

/** What a webhook has used when the time is over that does not count, in which connections are opened: each costs it as much as a dozen reviews. */
async function usedOnceConnected(
  { pid }: Peer,
  { leadMs = 0 }: Attack,
): Promise<{ readonly atMs: number; readonly cpuSeconds: number }> {
  await sleep(leadMs);
  return { atMs: performance.timeOrigin + performance.now(), cpuSeconds: await cpuSecondsOf(pid) };
}

/** What each review took, in milliseconds; may run beside others. @throws as `attack` does, and when one was answered otherwise than expected */
export async function latenciesOf(peer: Peer, load: Attack): Promise<readonly number[]> {
  return counted(await answersOf(peer, load), load);
}

function answersOf({ url, caPem }: Peer, { body, isAllowed, ...load }: Attack): Promise<readonly Answer[]> {
  const expected: Load['expected'] = {
    status: 200,
    ...(isAllowed !== undefined && { text: `"allowed":${String(isAllowed)}` }),
  };
  const targets = [body].flat().map((each) => ({ method: 'POST' as const, url, body: each }));
  return fireAll({ targets, caPem, expected, ...load });
}
