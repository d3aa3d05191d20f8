/** Rejections from replicas themselves, by the read API: those they still have, or as they come. */
import { namespaceOf } from '../config.ts';
import { LockwardenError } from '../errors.ts';
import { Backoff } from '../kube/backoff.ts';
import { createKubeClient } from '../kube/client.ts';
import { KubeError } from '../kube/errors.ts';
import { loadKubeconfig } from '../kube/kubeconfig.ts';
import type { Rejection } from '../review-report/entry.ts';
import { LiveDeltas, liveRejection } from '../review-report/live.ts';
import { LiveError, recordsOf, streamOf, type LiveAsk } from './live-client.ts';
import { doorsOf, tokenOf, type Door, type LiveCluster } from './live-door.ts';
import { sinceOf, type ReviewIo, type ReviewSourceOptions } from './review-io.ts';

interface LiveReading extends ReviewSourceOptions {
  readonly follow: boolean;
  readonly signal: AbortSignal;
  readonly take: (rejection: Rejection) => void;
}

/** LIMIT: a new replica is not asked before it is ready, which takes it about as long. */
const lookEveryMs = 5_000;

/**
 * Hands over what each replica tells; with `follow` until the signal aborts. Replicas tell of what they judged themselves, so all are asked.
 *
 * @throws LockwardenError where none lets itself be asked; KubeError where the cluster does not let it
 */
export async function liveRejections(options: LiveReading, io: ReviewIo): Promise<void> {
  let cluster: LiveCluster | null = null;
  // NB: with --server, --ca-file and --token-file no cluster is needed, and then none is looked for.
  const inCluster = (): LiveCluster => {
    if (cluster === null) {
      const config = loadKubeconfig({ file: options.kubeconfig, context: options.context });
      const namespace = namespaceOf(options.lockwardenNamespace);
      cluster = { config, client: createKubeClient(config), namespace };
    }
    return cluster;
  };
  try {
    const live = new Live(options, inCluster, io);
    await (options.follow ? live.follow() : live.readAll());
  } finally {
    (cluster as LiveCluster | null)?.client.close();
  }
}

class Live {
  readonly #options: LiveReading;
  readonly #cluster: () => LiveCluster;
  readonly #io: ReviewIo;
  readonly #deltas = new LiveDeltas();

  constructor(options: LiveReading, cluster: () => LiveCluster, io: ReviewIo) {
    this.#options = options;
    this.#cluster = cluster;
    this.#io = io;
  }

  async readAll(): Promise<void> {
    const ask = await this.#ask();
    const doors = await this.#doors();
    if (doors.length === 0) throw noReplicas(this.#options.lockwardenNamespace);
    const outcomes = await Promise.all(doors.map((door) => this.#readOne(door, ask)));
    const failures = outcomes.filter((each) => each !== null);
    if (failures[0] !== undefined && failures.length === doors.length) throw failures[0];
    for (const { message } of failures) this.#io.stderr.write(`lockwarden: left out: ${message}\n`);
  }

  /** Each replica is followed on its own, over breaks; those that come later, too. */
  async follow(): Promise<void> {
    const { signal, lockwardenNamespace } = this.#options;
    const running = new Map<string, Promise<void>>();
    const failures: unknown[] = [];
    const backoff = new Backoff();
    while (!signal.aborted && failures.length === 0) {
      const doors = await this.#doorsOrNone(running.size > 0);
      if (doors !== null) backoff.reset();
      if (doors?.length === 0 && running.size === 0) throw noReplicas(lockwardenNamespace);
      for (const door of (doors ?? []).filter(({ id }) => !running.has(id))) {
        const followed = this.#followOne(door)
          .catch((error: unknown) => {
            failures.push(error);
          })
          .finally(() => running.delete(door.id));
        running.set(door.id, followed);
      }
      await Promise.race([
        this.#io.sleep(doors === null ? backoff.nextMs() : lookEveryMs, signal),
        ...running.values(),
      ]);
    }
    if (failures.length > 0) throw failures[0] as Error;
    await Promise.all(running.values());
  }

  async #readOne(door: Door, ask: LiveAsk): Promise<Error | null> {
    // What is told again, because a connection broke, is not counted again.
    const deltas = new LiveDeltas();
    try {
      for await (const record of recordsOf(door, ask)) this.#take(record, deltas);
      return null;
    } catch (error) {
      if (error instanceof LockwardenError || error instanceof KubeError) return error;
      throw error;
    }
  }

  /** Until it has gone: then it is not among the ready ones when it is looked for next. */
  async #followOne(door: Door): Promise<void> {
    const { signal } = this.#options;
    const backoff = new Backoff();
    for (let failed = 0; !signal.aborted && failed < attemptsMax; failed += 1) {
      try {
        const records = streamOf(door, await this.#ask(), () => {
          failed = 0;
          backoff.reset();
        });
        for await (const record of records) this.#take(record, this.#deltas);
      } catch (error) {
        if (isOver(signal)) return;
        if (!isPassing(error)) throw error;
      }
      await this.#io.sleep(backoff.nextMs(), signal);
    }
  }

  #take(record: Readonly<Record<string, unknown>>, deltas: LiveDeltas): void {
    const rejection = liveRejection(record);
    const next = rejection === null ? null : deltas.next(rejection);
    if (next !== null) this.#options.take(next);
  }

  async #ask(): Promise<LiveAsk> {
    const { namespace, since, signal } = this.#options;
    const sinceMs = sinceOf(since);
    return {
      token: await tokenOf(this.#options, namespace, this.#cluster),
      namespace: namespace ?? null,
      since: sinceMs === null ? null : new Date(this.#io.clock.wallMs() - sinceMs).toISOString(),
      signal,
    };
  }

  #doors(): Promise<readonly Door[]> {
    return doorsOf(this.#options, this.#cluster);
  }

  /** After the beginning, an API server that is away for a while is waited for. */
  async #doorsOrNone(begun: boolean): Promise<readonly Door[] | null> {
    try {
      return await this.#doors();
    } catch (error) {
      if (isOver(this.#options.signal) || (begun && isPassing(error))) return null;
      throw error;
    }
  }
}

/** LIMIT: some 30 s by the back-off; a pod that is still ready is taken up again. */
const attemptsMax = 5;

/** NB: asked after a wait, which the type checker does not know of. */
function isOver(signal: AbortSignal): boolean {
  return signal.aborted;
}

function isPassing(error: unknown): boolean {
  if (error instanceof LiveError) return error.passing;
  if (error instanceof KubeError)
    return !['forbidden', 'unauthorized', 'not-found', 'malformed', 'invalid'].includes(error.kind);
  return false;
}

function noReplicas(namespace: string): LockwardenError {
  return new LockwardenError(
    'StorageFailed',
    `there is no pod of lockwarden that is ready in the namespace \`${namespace}\`: name another with --lockwarden-namespace, or give --server`,
  );
}
