/** Load by vegeta: the same requests again and again over connections that are kept. */
import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

import { ensureGoProgram } from '../../src/sandbox/go-program.ts';

/** One request. */
export interface Target {
  readonly method: 'POST' | 'PUT';
  readonly url: string;
  readonly body: string;
  /** Beside the content type, which is JSON. */
  readonly headers?: Readonly<Record<string, string>>;
}

/** How every request has to be answered. */
export interface Expected {
  readonly status: number;
  /** What the answer's text has in it. Default: whatever it has. */
  readonly text?: string;
}

/** What to send. */
export interface Load {
  /** Sent in turns. */
  readonly targets: readonly Target[];
  readonly caPem: string;
  readonly connections: number;
  readonly seconds: number;
  /** Requests a second; null: as many as there are answers. */
  readonly rate: number | null;
  readonly expected: Expected;
  /** How long requests are answered before any counts, beside `seconds`: those that open connections take longer. Default: 0. */
  readonly leadMs?: number;
}

const moduleDir = fileURLToPath(new URL('../load', import.meta.url));

/** Builds it where it is not there yet, which takes a minute. Returns its path. */
export function ensureVegeta(): Promise<string> {
  return ensureGoProgram(
    { name: 'vegeta', moduleDir, packagePath: 'github.com/tsenart/vegeta/v12' },
    { progress: (line) => process.stderr.write(`${line}\n`) },
  );
}

/** What each request that counts took, in milliseconds. @throws as `fireAll` does */
export async function fire(load: Load): Promise<readonly number[]> {
  return counted(await fireAll(load), load);
}

/** What each took of those that came after the time that does not count, in milliseconds. */
export function counted(answers: readonly Answer[], { leadMs = 0 }: Pick<Load, 'leadMs'>): readonly number[] {
  const begunMs = answers.reduce((first, { atMs }) => Math.min(first, atMs), Infinity);
  return answers.filter(({ atMs, tookMs }) => atMs + tookMs >= begunMs + leadMs).map(({ tookMs }) => tookMs);
}

/**
 * All answers, also those that do not count. Several loads may run beside one another, each a process of its own.
 *
 * @throws Error when any request failed or was answered otherwise than expected
 */
export async function fireAll(load: Load): Promise<readonly Answer[]> {
  const vegeta = await ensureVegeta();
  const folder = await mkdtemp(join(tmpdir(), 'lockwarden-load-'));
  const file = (name: string): string => join(folder, name);
  const connections = String(load.connections);
  const { leadMs = 0 } = load;
  try {
    await writeFile(file('ca.pem'), load.caPem);
    const targets = load.targets.map(async ({ method, url, body, headers = {} }, index) => {
      await writeFile(file(`body-${String(index)}`), body);
      const lines = Object.entries({ 'Content-Type': 'application/json', ...headers });
      const head = [`${method} ${url}`, ...lines.map(([name, value]) => `${name}: ${value}`)];
      return [...head, `@${file(`body-${String(index)}`)}`].join('\n');
    });
    await writeFile(file('targets'), `${(await Promise.all(targets)).join('\n\n')}\n`);
    await promisify(execFile)(vegeta, [
      ...['attack', `-targets=${file('targets')}`, `-root-certs=${file('ca.pem')}`, '-http2=false'],
      ...[`-output=${file('results')}`, `-duration=${String(load.seconds * 1_000 + leadMs)}ms`],
      ...[`-rate=${String(load.rate ?? 0)}`, `-connections=${connections}`],
      ...[`-workers=${connections}`, `-max-workers=${connections}`],
    ]);
    return await answersIn(vegeta, file('results'), load.expected);
  } finally {
    await rm(folder, { recursive: true });
  }
}

/** When a request was sent, in Unix milliseconds, and what it took. */
export interface Answer {
  readonly atMs: number;
  readonly tookMs: number;
}

/**
 * SOURCE: `vegeta encode -to csv` has the time in nanoseconds in its first column, the status in its second, the latency in nanoseconds
 * in its third, what failed in its sixth, and the answer in base64 in its seventh.
 */
async function answersIn(vegeta: string, results: string, expected: Expected): Promise<readonly Answer[]> {
  const encode = spawn(vegeta, ['encode', '-to=csv', results], { stdio: ['ignore', 'pipe', 'inherit'] });
  const ended = once(encode, 'exit');
  const answers: Answer[] = [];
  for await (const line of createInterface({ input: encode.stdout })) {
    const [at, status, took, , , , answer = ''] = line.split(',', 7);
    const isAsExpected = status === String(expected.status) && holds(answer, expected.text);
    if (!isAsExpected)
      throw new Error(
        `a request was answered with ${String(status)} and not as expected: ${line}: ${decoded(answer)}`,
      );
    answers.push({ atMs: Number(at) / 1_000_000, tookMs: Number(took) / 1_000_000 });
  }
  await ended;
  return answers;
}

function holds(answer: string, text?: string): boolean {
  return text === undefined || decoded(answer).includes(text);
}

function decoded(base64: string): string {
  return Buffer.from(base64, 'base64').toString();
}
