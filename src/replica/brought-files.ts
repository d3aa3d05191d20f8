/**
 * Where a certificate that somebody else brings is found: three texts, in a Secret of lockwarden's namespace or in a folder.
 */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import {
  broughtKeys,
  readBrought,
  readBroughtSecret,
  type BroughtFiles,
  type BroughtReading,
} from '../certs/brought.ts';
import { messageOf, systemCodeOf } from '../errors.ts';
import type { KubeClient } from '../kube/client.ts';
import { objectAt } from '../kube/json.ts';
import { timerSleep, type Logger, type MonotonicClock, type Sleep } from '../kube/ports.ts';
import { ObservedObject } from './observed-object.ts';
import { secretsOf } from './secret-store.ts';

/** A place where certificates are brought. */
export interface BroughtPlace {
  start(): void;
  stop(): Promise<void>;
  /** What was last seen there, judged for `hosts` at the API server's time; null: nothing is known yet. */
  read(hosts: readonly string[], nowMs: number): BroughtReading | null;
}

/** What a place needs. */
export interface BroughtSurroundings {
  readonly onChange: () => void;
  readonly clock: MonotonicClock;
  readonly logger: Logger;
  readonly sleep?: Sleep;
}

/** A Secret, watched through the API: a mounted one would come up to two minutes later. */
export function secretPlace(
  client: KubeClient,
  { namespace, name }: { readonly namespace: string; readonly name: string },
  surroundings: BroughtSurroundings,
): BroughtPlace {
  const secret = new ObservedObject(
    { collection: secretsOf(namespace), name },
    { client, what: `secret/${name}`, ...surroundings },
  );
  return {
    start: () => {
      secret.start();
    },
    stop: () => secret.stop(),
    read: (hosts, nowMs) => {
      if (!secret.known) return null;
      return readBroughtSecret(secret.object === null ? null : objectAt(secret.object, 'data'), hosts, nowMs);
    },
  };
}

/**
 * LIMIT: a kubelet brings a changed Secret within a minute or two, so a few seconds more are nothing; three small files
 * are read in a millisecond. NB: not a watch on the files: a mount is changed by swapping a link above them, and what is
 * told of that differs between file systems.
 */
const pollMs = 2_000;

/** A folder, looked at every two seconds. */
export function folderPlace(path: string, surroundings: BroughtSurroundings): BroughtPlace {
  const { onChange, logger, sleep = timerSleep } = surroundings;
  const stopping = new AbortController();
  let files: BroughtFiles | null = null;
  let running: Promise<void> | null = null;
  let told = '';
  const look = async (): Promise<void> => {
    try {
      const found = await readFolder(path);
      told = '';
      if (JSON.stringify(found) === JSON.stringify(files)) return;
      files = found;
      onChange();
    } catch (error) {
      // What was read before stays: a disk that fails brings no new certificate.
      const reason = messageOf(error);
      if (reason !== told) logger.warn({ folder: path, reason }, 'certificate files not read');
      told = reason;
    }
  };
  const run = async (): Promise<void> => {
    while (!stopping.signal.aborted) {
      await look();
      await sleep(pollMs, stopping.signal);
    }
  };
  return {
    start: () => {
      running ??= run();
    },
    stop: async () => {
      stopping.abort();
      await running;
    },
    read: (hosts, nowMs) => (files === null ? null : readBrought(files, hosts, nowMs)),
  };
}

async function readFolder(path: string): Promise<BroughtFiles> {
  const read = async (name: string): Promise<string | null> => {
    try {
      return await readFile(join(path, name), 'utf8');
    } catch (error) {
      if (systemCodeOf(error) === 'ENOENT') return null;
      throw error;
    }
  };
  const [chain, key, ca] = await Promise.all([
    read(broughtKeys.chain),
    read(broughtKeys.key),
    read(broughtKeys.ca),
  ]);
  return { chain, key, ca };
}
