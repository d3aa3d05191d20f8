/**
 * A cluster to try lockwarden on that is nobody's: an embedded control plane, guarded, with a play on it.
 */
import { fileURLToPath } from 'node:url';
import type { Clock } from '../clock.ts';
import { reviewPath, type ServeConfig } from '../config.ts';
import { Guard } from '../guard/guard.ts';
import { createKubeClient } from '../kube/client.ts';
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

const lock = 'orders';
const candidateNames = ['orders-0', 'orders-1', 'orders-2'];
const rogueName = 'rogue';
/** LIMIT: long enough to see what happens, short enough to wait for; client-go's defaults are 15, 10 and 2 s. */
const durations = { leaseDurationMs: 6_000, renewDeadlineMs: 4_000, retryPeriodMs: 1_000 };

const clientGo = fileURLToPath(new URL('../../test/client-go', import.meta.url));

/**
 * Brings everything up, plays, and takes everything down again, however it ends.
 *
 * @throws LockwardenError in one sentence when something cannot be brought up or does not go as told; the reason of `signal`
 */
export async function playEmbedded(options: EmbeddedOptions): Promise<void> {
  const cleanup = new Cleanup();
  try {
    const ground = await findPrograms(options);
    const plane = await startControlPlane({ binaries: ground.binaries });
    cleanup.add(() => plane.stop());
    options.signal.throwIfAborted();
    await guardIt(plane, options, cleanup);
    options.tell(
      `lockwarden is registered with ${plane.server}, an embedded kube-apiserver ${plane.version}; no other cluster is touched.`,
    );
    await playOn(plane, ground.elector, options, cleanup);
    tellWhatToTry(plane, options.tell);
    await options.afterwards();
  } finally {
    await cleanup.run();
  }
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
  return {
    kubeconfig: plane.kubeconfig,
    context: null,
    namespace: 'lockwarden-system',
    port: 0,
    healthPort: 0,
    bindAddress: loopback,
    webhookUrl: new URL(`https://${loopback}:0${reviewPath}`),
    inspectRenewals: false,
    logLevel: 'warn',
  };
}

async function playOn(
  plane: ControlPlane,
  binary: string,
  { tell, clock, signal }: EmbeddedOptions,
  cleanup: Cleanup,
): Promise<void> {
  const admin = createKubeClient(loadKubeconfig({ file: plane.kubeconfig }));
  cleanup.add(() => {
    admin.close();
  });
  await createNamespace(admin);
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
