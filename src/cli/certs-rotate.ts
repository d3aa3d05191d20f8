/** `lockwarden certs rotate`: asks the leader for a new leaf or a new authority, and watches it come about. */
import { randomUUID } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';
import { askCluster, type ClusterAnswers } from '../certs-report/cluster.ts';
import { factsOf, type CertsFacts } from '../certs-report/facts.ts';
import { justAsked, progressOf } from '../certs-report/rotation.ts';
import { span } from '../core/span.ts';
import type { RotationRequest } from '../certs/facts.ts';
import { systemClock, type Clock } from '../clock.ts';
import { namespaceOf } from '../config.ts';
import { LockwardenError } from '../errors.ts';
import { createKubeClient, type KubeClient } from '../kube/client.ts';
import { asLockwardenError, KubeError } from '../kube/errors.ts';
import { loadKubeconfig } from '../kube/kubeconfig.ts';
import { durationMs } from '../policy/duration.ts';
import { authoritySecretName, rotateAnnotation, secretsOf } from '../replica/secret-store.ts';
import { printable } from '../review/text.ts';
import { showProgress, type ProgressStream, type ShownProgress } from '../sandbox/progress.ts';
import type { CertsOptions } from './certs-status.ts';

/** What `certs rotate` is told. */
export interface CertsRotateOptions extends CertsOptions {
  readonly what: RotationRequest['what'];
  /** Until it is confirmed. */
  readonly wait: boolean;
  /** For how long at most: a duration such as `5m`. */
  readonly timeout: string;
}

/** Surroundings of the command. */
export interface CertsRotateIo {
  readonly stdout: ProgressStream;
  readonly clock: Pick<Clock, 'monotonicMs'>;
  readonly sleep: (ms: number) => Promise<unknown>;
  /** Another one each time. */
  readonly token: () => string;
}

/** LIMIT: a step takes a second or more; twice a second shows each, for five small reads. */
const pollMs = 500;
/** LIMIT: names and reasons are one line each. */
const lineMax = 400;

/**
 * Asks for a rotation. Resolves to the exit code, 0.
 *
 * @throws LockwardenError `RotationFailed` where there is nothing to rotate, or it is not confirmed in time; KubeError
 */
export async function certsRotate(
  options: CertsRotateOptions,
  io: CertsRotateIo = processIo(),
): Promise<number> {
  const { what, timeout } = options;
  const timeoutMs = durationMs(timeout);
  if (timeoutMs === null) {
    const advice = 'give a duration such as 30s or 5m';
    throw new LockwardenError('UsageInvalid', `--timeout does not take \`${timeout}\`: ${advice}`);
  }
  const namespace = namespaceOf(options.namespace);
  const client = createKubeClient(loadKubeconfig({ file: options.kubeconfig, context: options.context }));
  try {
    const answers = await askCluster(client, namespace);
    const facts = factsOf(answers);
    requireAuthority(answers, facts);
    if (options.wait) requireSight(answers);
    const request: RotationRequest = { what, token: io.token() };
    await ask(client, namespace, request);
    io.stdout.write(`asked for a new ${what}: ${whoDoes(facts)}\n`);
    if (options.wait) await untilConfirmed(request, { client, namespace, io, timeoutMs, timeout });
    else io.stdout.write('`lockwarden certs status` says how it goes\n');
    return 0;
  } finally {
    client.close();
  }
}

function processIo(): CertsRotateIo {
  return { stdout: process.stdout, clock: systemClock(), sleep: (ms) => delay(ms), token: randomUUID };
}

function requireAuthority(
  { secret, namespaceExists, namespace }: ClusterAnswers,
  { brought }: CertsFacts,
): void {
  if (!namespaceExists)
    throw failed(`the namespace \`${namespace}\` does not exist: give lockwarden’s own with --namespace`);
  if (brought !== null)
    throw failed(`the certificate is brought from ${brought}: whoever brings it renews it, there`);
  if (secret.kind === 'missing') throw noAuthority(namespace);
}

/** Who waits has to see what it waits for. */
function requireSight({ secret, configuration, replicas, lease }: ClusterAnswers): void {
  for (const each of [secret, configuration, replicas, lease]) {
    if (each.kind === 'refused')
      throw new LockwardenError('PermissionMissing', `--wait needs more rights: ${each.why}`);
  }
}

async function ask(client: KubeClient, namespace: string, { what, token }: RotationRequest): Promise<void> {
  try {
    await client.request({
      method: 'PATCH',
      path: `${secretsOf(namespace)}/${authoritySecretName}`,
      query: { fieldManager: 'lockwarden-cli' },
      contentType: 'application/merge-patch+json',
      body: { metadata: { annotations: { [rotateAnnotation]: `${what}:${token}` } } },
    });
  } catch (error) {
    if (error instanceof KubeError && error.kind === 'not-found') throw noAuthority(namespace);
    throw error;
  }
}

function whoDoes({ leader }: CertsFacts): string {
  if (leader?.leads === true) return `${printable(leader.replica ?? '', lineMax)} leads, and makes it`;
  return leader === null ? 'the leader makes it' : 'nobody leads now, and it is made once a replica does';
}

interface Wait {
  readonly client: KubeClient;
  readonly namespace: string;
  readonly io: CertsRotateIo;
  readonly timeoutMs: number;
  readonly timeout: string;
}

async function untilConfirmed(request: RotationRequest, wait: Wait): Promise<void> {
  const { clock, stdout, sleep } = wait.io;
  const shown = showProgress(stdout);
  const begunMs = clock.monotonicMs();
  const waiting = new Waiting(shown, () => clock.monotonicMs() - begunMs);
  try {
    for (let progress = justAsked; ; await sleep(pollMs)) {
      const { facts, trouble } = await look(wait);
      const before = progress;
      if (facts !== null) progress = progressOf(request, facts, before);
      for (const { kind, why } of progress.done.slice(before.done.length)) {
        shown.progress(`${kind}: ${printable(why, lineMax)}`);
      }
      if (progress.outcome === 'confirmed') return;
      if (progress.outcome === 'replaced')
        throw failed('somebody has asked for another rotation before this one was taken up; ask again');
      const waitsFor = trouble ?? progress.waitsFor;
      if (clock.monotonicMs() - begunMs >= wait.timeoutMs) {
        throw failed(
          `the new ${request.what} is not confirmed within ${wait.timeout}: it waits for ${waitsFor}; the request stands, and \`lockwarden certs status\` says how it goes`,
        );
      }
      waiting.for(printable(waitsFor, lineMax));
    }
  } finally {
    shown.done();
  }
}

/** An API server that does not answer for a moment ends no wait; rights that are lost end it, since nobody gives them back. */
async function look({
  client,
  namespace,
}: Wait): Promise<{ readonly facts: CertsFacts | null; readonly trouble: string | null }> {
  try {
    const answers = await askCluster(client, namespace);
    requireSight(answers);
    return { facts: factsOf(answers), trouble: null };
  } catch (error) {
    if (!(error instanceof KubeError)) throw error;
    if (error.kind === 'unauthorized') throw asLockwardenError(error);
    return { facts: null, trouble: `the API server (${error.message})` };
  }
}

/** Says what is waited for: when it changes, and now and then for how long it has been. */
class Waiting {
  readonly #shown: ShownProgress;
  readonly #elapsedMs: () => number;
  #what = '';
  #saidMs = 0;

  constructor(shown: ShownProgress, elapsedMs: () => number) {
    this.#shown = shown;
    this.#elapsedMs = elapsedMs;
  }

  for(what: string): void {
    const elapsedMs = this.#elapsedMs();
    const line = `waiting for ${what}`;
    if (what !== this.#what) this.#shown.progress(line);
    else if (elapsedMs - this.#saidMs >= this.#shown.intervalMs)
      this.#shown.progress(`${line} (${span(elapsedMs)})`);
    else return;
    this.#what = what;
    this.#saidMs = elapsedMs;
  }
}

function noAuthority(namespace: string): LockwardenError {
  return failed(
    `there is no authority to rotate: \`secret/${authoritySecretName}\` in \`${namespace}\` does not exist; a replica that leads makes it, one that runs alone or is given --tls-secret or --tls-dir has none`,
  );
}

function failed(message: string): LockwardenError {
  return new LockwardenError('RotationFailed', message);
}
