/**
 * Where the time of an answer goes, and what it allocates: `node bench/profile.ts [--body NAME] [--seconds N] [--label LABEL]`. Load on
 * lockwarden's edge, in a process by itself, as `bench/direct.ts` has it, with V8's profilers on; a takeover for ten seconds unless told
 * otherwise. Prints the functions that took most themselves, and keeps them as bench/results/profile-LABEL.json (by default the body's
 * name); the whole profiles, for Chrome's developer tools, are left in bench/profiles.
 */
import { mkdir, readFile } from 'node:fs/promises';
import type { HeapProfiler, Profiler } from 'node:inspector';
import { isAbsolute, join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';

import { attack } from './support/attack.ts';
import { bodies, type Make } from './support/bodies.ts';
import { startLockwarden } from './support/peer.ts';
import { writeResult } from './support/result.ts';

const { values: flags } = parseArgs({
  options: {
    body: { type: 'string', default: 'takeover' },
    seconds: { type: 'string', default: '10' },
    label: { type: 'string' },
  },
});
const label = flags.label ?? flags.body.replaceAll(' ', '-');
const root = fileURLToPath(new URL('..', import.meta.url));
const folder = join(root, 'bench/profiles', label);
const shownRows = 25;

/** What is told of a function, itself, without those that it calls. */
interface Row {
  readonly what: string;
  /** Of all that was measured, 0 to 1. */
  readonly share: number;
}

/** Where a function is, by its path in this project. */
function placeOf({ functionName, url, lineNumber }: Profiler.ProfileNode['callFrame']): string {
  const name = functionName === '' ? '(anonymous)' : functionName;
  if (url === '') return name;
  // NB: what is not a module of ECMAScript is named by its path.
  const path = url.startsWith('file:') ? fileURLToPath(url) : url;
  const file = isAbsolute(path) ? relative(root, path) : path;
  return `${name} ${file}:${String(lineNumber + 1)}`;
}

function ranked(amounts: ReadonlyMap<string, number>): {
  readonly total: number;
  readonly rows: readonly Row[];
} {
  const total = [...amounts.values()].reduce((sum, each) => sum + each, 0);
  const rows = [...amounts]
    .map(([what, amount]) => ({ what, share: amount / total }))
    .sort((a, b) => b.share - a.share);
  return { total, rows: rows.slice(0, shownRows) };
}

/** Microseconds by function, while it was not idle. */
function timesIn({ nodes, samples = [], timeDeltas = [] }: Profiler.Profile): ReadonlyMap<string, number> {
  const places = new Map(nodes.map(({ id, callFrame }) => [id, placeOf(callFrame)]));
  const times = new Map<string, number>();
  for (const [index, id] of samples.entries()) {
    const place = places.get(id) ?? '';
    if (place !== '(idle)') times.set(place, (times.get(place) ?? 0) + (timeDeltas[index] ?? 0));
  }
  return times;
}

/** Bytes by function. */
function bytesIn({ head }: HeapProfiler.SamplingHeapProfile): ReadonlyMap<string, number> {
  const bytes = new Map<string, number>();
  const nodes = [head];
  for (let node = nodes.pop(); node !== undefined; node = nodes.pop()) {
    const place = placeOf(node.callFrame);
    bytes.set(place, (bytes.get(place) ?? 0) + node.selfSize);
    nodes.push(...node.children);
  }
  return bytes;
}

async function profileAt(name: string): Promise<unknown> {
  return JSON.parse(await readFile(join(folder, name), 'utf8'));
}

function print(what: string, rows: readonly Row[]): void {
  process.stdout.write(`${what}\n`);
  for (const row of rows)
    process.stdout.write(`${(100 * row.share).toFixed(1).padStart(6)} %  ${row.what}\n`);
}

const make = new Map<string, Make>(Object.entries(bodies())).get(flags.body);
if (make === undefined) {
  process.stderr.write(`profile: there is no ${flags.body}; there are ${Object.keys(bodies()).join(', ')}\n`);
  process.exit(2);
}
await mkdir(folder, { recursive: true });
process.env['LOCKWARDEN_PROFILES'] = folder;
const preload = fileURLToPath(new URL('./support/profiling.ts', import.meta.url));
const lockwarden = await startLockwarden(['--import', preload]);
const load = { connections: 16, rate: null };
await attack(lockwarden, { ...load, body: make().text, seconds: 3 });
process.kill(lockwarden.pid, 'SIGUSR2');
const seconds = Number(flags.seconds);
const { requests, perCpuSecond } = await attack(lockwarden, { ...load, body: make().text, seconds });
await lockwarden.stop();

const time = ranked(timesIn((await profileAt('cpu.cpuprofile')) as Profiler.Profile));
const memory = ranked(bytesIn((await profileAt('heap.heapprofile')) as HeapProfiler.SamplingHeapProfile));
const perRequest = { us: time.total / requests, bytes: memory.total / requests };
print(`time: ${perRequest.us.toFixed(0)} us a ${flags.body}`, time.rows);
print(`memory: ${(perRequest.bytes / 1_024).toFixed(1)} KiB a ${flags.body}`, memory.rows);
await writeResult(`profile-${label}`, {
  ...{ body: flags.body, requests, perCpuSecond, perRequest },
  ...{ time: time.rows, memory: memory.rows },
});
