/** Webhooks of others, to measure beside. */
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer, connect, type AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';

import { ensureGoProgram } from '../../src/sandbox/go-program.ts';
import { issueServingCertificate } from '../../test/support/serving-certificate.ts';
import type { Vitals } from '../peers/vitals.ts';
import { productionFlags, productionVariables } from './production.ts';

/** A webhook that runs in a process of its own, on this machine. */
export interface Peer {
  readonly url: string;
  /** PEM text of the authority that vouches for it. */
  readonly caPem: string;
  readonly pid: number;
  stop(): Promise<void>;
}

/** Where a peer is to listen, and the folder of its `tls.crt` and `tls.key`. */
export interface Place {
  readonly address: string;
  readonly port: number;
  readonly certDir: string;
}

/** How to start it there, and where it answers reviews then. */
export interface Command {
  readonly program: string;
  readonly args: readonly string[];
  readonly env?: NodeJS.ProcessEnv;
  readonly path: string;
  /** Whether to talk with it by messages. */
  readonly hasChannel?: boolean;
}

/** A file or folder among what peers are made of. */
export const peerFile = (path: string): string => fileURLToPath(new URL(`../peers/${path}`, import.meta.url));

/** A peer that tells how it is. */
export interface WatchedPeer extends Peer {
  /** The event loop's delay is that since it was asked last. */
  vitals(): Promise<Vitals>;
}

/**
 * A webhook of controller-runtime that decodes both objects and allows, at an address of this machine. Built the first time, which takes
 * a minute or two.
 */
export async function startControllerRuntime(address = '127.0.0.1'): Promise<Peer> {
  const program = await ensureGoProgram(
    { name: 'controller-runtime-peer', moduleDir: peerFile('controller-runtime'), packagePath: '.' },
    { progress: (line) => process.stderr.write(`${line}\n`) },
  );
  return startPeer(address, (place) => ({ program, args: flagsOf(place), path: '/validate' }));
}

/** lockwarden's own edge as its image runs it, with no cluster behind it, and with these flags of Node's as well. */
export function startLockwarden(nodeFlags: readonly string[] = []): Promise<Peer> {
  return startPeer('127.0.0.1', (place) => lockwardenAt(place, nodeFlags));
}

const lockwardenAt = (place: Place, nodeFlags: readonly string[]): Command => ({
  program: process.execPath,
  args: [...productionFlags(), ...nodeFlags, peerFile('lockwarden.ts'), ...flagsOf(place)],
  env: { ...process.env, ...productionVariables() },
  path: '/validate',
});

const flagsOf = ({ address, port, certDir }: Place): readonly string[] => [
  ...['--address', address, '--port', String(port), '--cert-dir', certDir],
];

/** The same, with somebody in it to ask how it is. */
export async function startWatchedLockwarden(): Promise<WatchedPeer> {
  const { child, ...peer } = await startPeer('127.0.0.1', (place) => ({
    ...lockwardenAt(place, ['--import', peerFile('vitals.ts')]),
    hasChannel: true,
  }));
  return {
    ...peer,
    vitals: async () => {
      const answer = once(child, 'message');
      child.send('how are you');
      const [vitals] = (await answer) as [Vitals];
      return vitals;
    },
  };
}

/** Starts a program that serves HTTPS with the certificate it is given. What it logs is dropped. */
export async function startPeer(
  address: string,
  commandAt: (place: Place) => Command,
): Promise<Peer & { readonly child: ChildProcess }> {
  const folder = await mkdtemp(join(tmpdir(), 'lockwarden-peer-'));
  const hourMs = 3_600_000;
  const certificate = await issueServingCertificate({
    ...{ hosts: [address], nowMs: Date.now(), validityMs: 24 * hourMs, backdateMs: hourMs },
  });
  await writeFile(join(folder, 'tls.crt'), certificate.certPem);
  await writeFile(join(folder, 'tls.key'), certificate.keyPem, { mode: 0o600 });
  const port = await freePort(address);
  const {
    program,
    args,
    env = process.env,
    path,
    hasChannel,
  } = commandAt({ address, port, certDir: folder });
  const channel = hasChannel === true ? (['ipc'] as const) : [];
  const child = spawn(program, args, { env, stdio: ['ignore', 'ignore', 'inherit', ...channel] });
  await untilListening(address, port);
  return {
    child,
    url: `https://${address}:${String(port)}${path}`,
    caPem: certificate.caPem,
    pid: child.pid ?? NaN,
    stop: async () => {
      child.kill();
      await once(child, 'exit');
      await rm(folder, { recursive: true });
    },
  };
}

async function freePort(address: string): Promise<number> {
  const server = createServer();
  await once(server.listen(0, address), 'listening');
  const { port } = server.address() as AddressInfo;
  server.close();
  return port;
}

async function untilListening(address: string, port: number): Promise<void> {
  const deadline = AbortSignal.timeout(10_000);
  while (!deadline.aborted) {
    if (await isListening(address, port)) return;
    await sleep(50);
  }
  throw new Error(`nothing listens at ${address}:${String(port)}`);
}

function isListening(address: string, port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, address, () => {
      socket.destroy();
      resolve(true);
    });
    socket.on('error', () => {
      resolve(false);
    });
  });
}
