/** Where `lockwarden test` reads and writes when it is a process. */
import { systemClock } from '../clock.ts';
import { untilSignalled } from './signals.ts';
import type { TestIo } from './test.ts';

/** This process's. The first SIGTERM or SIGINT ends a run in good order, the second one at once. */
export function processIo(): TestIo {
  const calledOff = new AbortController();
  const { first, second } = untilSignalled();
  void first.then(() => {
    calledOff.abort();
  });
  void second.then(() => process.exit(1));
  return {
    stdin: process.stdin,
    stdout: process.stdout,
    stderr: process.stderr,
    env: process.env,
    clock: systemClock(),
    signal: calledOff.signal,
  };
}
