/** Load on a webhook, by vegeta: one body again and again over connections that are kept. */
import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

import { ensureGoProgram } from '../../src/sandbox/go-program.ts';
import { cpuSecondsOf, residentMiBOf } from './processes.ts';
import { quantile } from './figures.ts';
import type { Peer } from './peer.ts';

/** What to send. */
export interface Attack {
  readonly body: string;
  readonly connections: number;
  readonly seconds: number;
  /** Requests a second; null: as many as there are answers. */
  readonly rate: number | null;
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

const moduleDir = fileURLToPath(new URL('../load', import.meta.url));

/** @throws Error when any request failed or was answered by anything but 200 */
export async function attack(
  peer: Peer,
  { body, connections, seconds, rate }: Attack,
): Promise<AttackResult> {
  const vegeta = await ensureGoProgram(
    { name: 'vegeta', moduleDir, packagePath: 'github.com/tsenart/vegeta/v12' },
    { progress: (line) => process.stderr.write(`${line}\n`) },
  );
  const folder = await mkdtemp(join(tmpdir(), 'lockwarden-load-'));
  const file = (name: string): string => join(folder, name);
  try {
    await writeFile(file('ca.pem'), peer.caPem);
    await writeFile(file('body.json'), body);
    await writeFile(
      file('targets'),
      `POST ${peer.url}\nContent-Type: application/json\n@${file('body.json')}\n`,
    );
    const usedBefore = await cpuSecondsOf(peer.pid);
    await promisify(execFile)(vegeta, [
      ...['attack', `-targets=${file('targets')}`, `-root-certs=${file('ca.pem')}`, '-http2=false'],
      ...[`-output=${file('results')}`, `-duration=${String(seconds)}s`, `-rate=${String(rate ?? 0)}`],
      ...[`-connections=${String(connections)}`, `-workers=${String(connections)}`],
      `-max-workers=${String(connections)}`,
    ]);
    const used = (await cpuSecondsOf(peer.pid)) - usedBefore;
    const latencies = await latenciesIn(vegeta, file('results'));
    return {
      requests: latencies.length,
      perSecond: latencies.length / seconds,
      perCpuSecond: latencies.length / used,
      p50Ms: quantile(latencies, 0.5),
      p99Ms: quantile(latencies, 0.99),
      p999Ms: quantile(latencies, 0.999),
      residentMiB: await residentMiBOf(peer.pid),
    };
  } finally {
    await rm(folder, { recursive: true });
  }
}

/** SOURCE: `vegeta encode -to csv` has the status in its second column, and the latency in nanoseconds in its third. */
async function latenciesIn(vegeta: string, results: string): Promise<readonly number[]> {
  const encode = spawn(vegeta, ['encode', '-to=csv', results], { stdio: ['ignore', 'pipe', 'inherit'] });
  const ended = once(encode, 'exit');
  const latencies: number[] = [];
  for await (const line of createInterface({ input: encode.stdout })) {
    const [, status, nanoseconds] = line.split(',', 3);
    if (status !== '200') throw new Error(`a request was answered with ${String(status)}: ${line}`);
    latencies.push(Number(nanoseconds) / 1_000_000);
  }
  await ended;
  return latencies;
}
