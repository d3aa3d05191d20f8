/**
 * A cluster to try lockwarden on that is nobody's: an embedded control plane, guarded, with a play on it.
 */
import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import type { Clock } from '../clock.ts';
import { serveConfigOf, type ServeConfig } from '../config.ts';
import { LockwardenError } from '../errors.ts';
import { Guard } from '../guard/guard.ts';
import { createKubeClient, type KubeClient } from '../kube/client.ts';
import { loadKubeconfig } from '../kube/kubeconfig.ts';
import type { Log } from '../review/logger.ts';
import { ensureControlPlane } from '../sandbox/control-plane-binaries.ts';
import { startControlPlane, type ControlPlane } from '../sandbox/control-plane.ts';
import { loopback } from '../sandbox/free-port.ts';
import { ensureGoProgram } from '../sandbox/go-program.ts';
import type { ShownProgress } from '../sandbox/progress.ts';
import { clientOf, createActor, createCandidate, createNamespace, namespace, type Actor } from './cast.ts';
import { Cleanup } from './cleanup.ts';
import { Elector } from './elector.ts';
import { play } from './play.ts';

/** Where the scene is shown, and what calls it off. */
export interface EmbeddedOptions {
  /** Takes one line of the story. */
  readonly tell: (line: string) => void;
  /** Shows what takes long before there is a story. */
  readonly progress: ShownProgress;
  /** Takes lockwarden's own log. */
  readonly log: Log;
  readonly clock: Clock;
  readonly signal: AbortSignal;
  /** What happens after the scene, while everything is up. */
  readonly afterwards: () => Promise<void>;
}

/** lockwarden's own. */
const ownNamespace = 'lockwarden-system';
const lock = 'orders';
const candidateNames = ['orders-0', 'orders-1', 'orders-2'];
const rogueName = 'rogue';
/** LIMIT: long enough to see what happens, short enough to wait for; client-go's defaults are 15, 10 and 2 s. */
const durations = { leaseDurationMs: 6_000, renewDeadlineMs: 4_000, retryPeriodMs: 1_000 };

const clientGo = fileURLToPath(new URL('../../test/client-go', import.meta.url));

/**
 * Brings everything up, plays, and takes everything down again, however it ends.
 *
 * @throws LockwardenError in one sentence when it is not installed, when something cannot be brought up or does not go as told; the reason of `signal`
 */
export async function playEmbedded(options: EmbeddedOptions): Promise<void> {
  checkParts();
  const cleanup = new Cleanup();
  try {
    const ground = await findPrograms(options);
    const plane = await startControlPlane({ binaries: ground.binaries });
    cleanup.add(() => plane.stop());
    options.signal.throwIfAborted();
    const admin = createKubeClient(loadKubeconfig({ file: plane.kubeconfig }));
    cleanup.add(() => {
      admin.close();
    });
    await createNamespace(admin, ownNamespace);
    await guardIt(plane, options, cleanup);
    options.tell(
      `lockwarden is registered with ${plane.server}, an embedded kube-apiserver ${plane.version}; no other cluster is touched.`,
    );
    await playOn({ plane, admin, binary: ground.elector }, options, cleanup);
    tellWhatToTry(plane, options.tell);
    await options.afterwards();
  } finally {
    await cleanup.run();
  }
}

/** An image holds what guards a cluster and nothing else. */
function checkParts(): void {
  if (existsSync(clientGo)) return;
  throw new LockwardenError(
    'ToolMissing',
    'the embedded control plane is not part of an image: install the npm package or use a checkout, or name a cluster with --kubeconfig',
  );
}

async function findPrograms({ progress: { progress, intervalMs, done }, signal }: EmbeddedOptions): Promise<{
  readonly binaries: Awaited<ReturnType<typeof ensureControlPlane>>;
  readonly elector: string;
}> {
  const told = { progress, progressIntervalMs: intervalMs, signal };
  try {
    const binaries = await ensureControlPlane(told);
    const program = { name: 'elector', moduleDir: clientGo, packagePath: './elector' };
    const elector = await ensureGoProgram(program, told);
    progress(`starting kube-apiserver ${binaries.version} and etcd`);
    return { binaries, elector };
  } finally {
    done();
  }
}

async function guardIt(plane: ControlPlane, options: EmbeddedOptions, cleanup: Cleanup): Promise<void> {
  const { log, clock, signal } = options;
  const guard = new Guard(configFor(plane), { log, clock });
  cleanup.add(() => guard.stop());
  const stopEarly = (): void => void guard.stop();
  signal.addEventListener('abort', stopEarly, { once: true });
  await guard.start();
  signal.removeEventListener('abort', stopEarly);
  signal.throwIfAborted();
}

function configFor(plane: ControlPlane): ServeConfig {
  return serveConfigOf({
    kubeconfig: plane.kubeconfig,
    namespace: ownNamespace,
    port: '0',
    healthPort: '0',
    bindAddress: loopback,
    webhookUrl: `https://${loopback}`,
    inspectRenewals: false,
    logLevel: 'warn',
  });
}

async function playOn(
  {
    plane,
    admin,
    binary,
  }: { readonly plane: ControlPlane; readonly admin: KubeClient; readonly binary: string },
  { tell, clock, signal }: EmbeddedOptions,
  cleanup: Cleanup,
): Promise<void> {
  await createNamespace(admin, namespace);
  await createCandidate(admin, lock, ['get', 'create', 'update']);
  await createCandidate(admin, rogueName, ['get', 'create', 'update', 'patch', 'delete']);
  const pods = await Promise.all(
    candidateNames.map((name) => createActor(plane, admin, { name, account: lock, signal })),
  );
  const rogue = clientOf(await createActor(plane, admin, { name: rogueName, account: rogueName, signal }));
  cleanup.add(() => {
    rogue.close();
  });
  const raiseCandidates = (): readonly Elector[] => pods.map((pod) => candidate(pod, binary, cleanup));
  await play({
    lock,
    leaseDurationMs: durations.leaseDurationMs,
    raiseCandidates,
    admin,
    rogue: { name: rogueName, client: rogue },
    clock,
    signal,
    tell,
  });
}

function candidate({ name, kubeconfig }: Actor, binary: string, cleanup: Cleanup): Elector {
  const elector = new Elector({ binary, kubeconfig, namespace, name: lock, identity: name, ...durations });
  cleanup.add(() => elector.kill());
  return elector;
}

function tellWhatToTry({ kubeconfig }: ControlPlane, tell: (line: string) => void): void {
  const kubectl = `kubectl --kubeconfig ${kubeconfig} -n ${namespace}`;
  tell('');
  tell(`The scene is over. The kubeconfig of this control plane is ${kubeconfig}. Try:`);
  tell(`  ${kubectl} get lease ${lock} --watch`);
  tell(`  ${kubectl} patch lease ${lock} --type=merge -p '{"spec":{"holderIdentity":"me"}}'`);
}
