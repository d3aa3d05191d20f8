/**
 * Loaded into a process before its own program (`node --import`): SIGUSR2 has it begin a CPU profile and a sample of what it allocates, and
 * SIGTERM writes both to the folder that LOCKWARDEN_PROFILES names, as `cpu.cpuprofile` and `heap.heapprofile` (Chrome's developer tools open
 * them), and ends it. NB: `--cpu-prof` would profile the start too, and `--heap-prof` leaves out what was collected.
 */
import { writeFileSync } from 'node:fs';
import { Session } from 'node:inspector/promises';
import { join } from 'node:path';

const folder = process.env['LOCKWARDEN_PROFILES'] ?? '.';
const session = new Session();
session.connect();

/** LIMIT: of ten thousand requests a second, each tenth is seen; sampling itself stays below a twentieth of the time. */
const intervalUs = 1_000;
/** LIMIT: as V8's own default, which is once in 512 KiB, but for half a minute's load on a small heap. */
const samplingIntervalBytes = 64 * 1_024;

async function begin(): Promise<void> {
  await session.post('Profiler.enable');
  await session.post('Profiler.setSamplingInterval', { interval: intervalUs });
  await session.post('Profiler.start');
  await session.post('HeapProfiler.startSampling', {
    samplingInterval: samplingIntervalBytes,
    includeObjectsCollectedByMajorGC: true,
    includeObjectsCollectedByMinorGC: true,
  });
}

async function end(): Promise<void> {
  const write = (name: string, profile: object): void => {
    writeFileSync(join(folder, name), JSON.stringify(profile));
  };
  write('cpu.cpuprofile', (await session.post('Profiler.stop')).profile);
  write('heap.heapprofile', (await session.post('HeapProfiler.stopSampling')).profile);
}

process.once('SIGUSR2', () => {
  void begin();
});
process.once('SIGTERM', () => {
  void end().finally(() => process.exit());
});
