/** The logs of all replicas of a cluster, as `kubectl logs` reads them. */
import { namespaceOf } from '../config.ts';
import { LockwardenError } from '../errors.ts';
import { Backoff } from '../kube/backoff.ts';
import { createKubeClient, type KubeClient } from '../kube/client.ts';
import { KubeError } from '../kube/errors.ts';
import { arrayAt, objectAt, stringAt } from '../kube/json.ts';
import { loadKubeconfig } from '../kube/kubeconfig.ts';
import { sinceOf, type ReviewIo, type ReviewSourceOptions } from './review-io.ts';

/** Reads the bytes of one log to their end. */
type ReadLog = (chunks: AsyncIterable<Buffer>) => Promise<void>;

interface ClusterOptions extends ReviewSourceOptions {
  readonly follow: boolean;
  readonly signal: AbortSignal;
}

/** What every manifest of lockwarden puts on its pods. */
export const replicaSelector = 'app.kubernetes.io/name=lockwarden,app.kubernetes.io/component=webhook';
/** LIMIT: a new replica is not asked before it is ready, which takes it about as long. */
const lookEveryMs = 5_000;
/** LIMIT: a kubelet finds the beginning of a long log slowly. */
const beginTimeoutMs = 30_000;

/** Hands over each replica's log; with `follow` also those of replicas that start later, until the signal aborts. */
export async function clusterLogs(options: ClusterOptions, io: ReviewIo, read: ReadLog): Promise<void> {
  const namespace = namespaceOf(options.lockwardenNamespace);
  const client = createKubeClient(loadKubeconfig({ file: options.kubeconfig, context: options.context }));
  try {
    const logs = new ReplicaLogs({ client, namespace, options, io, read });
    if (options.follow) await logs.follow();
    else await logs.readAll();
  } finally {
    client.close();
  }
}

interface ReplicaPod {
  readonly name: string;
  readonly uid: string;
  readonly container: string;
  /** A container of it has ended and was started again. */
  readonly restarted: boolean;
}

interface Surroundings {
  readonly client: KubeClient;
  readonly namespace: string;
  readonly options: ClusterOptions;
  readonly io: ReviewIo;
  readonly read: ReadLog;
}

class ReplicaLogs {
  readonly #in: Surroundings;

  constructor(surroundings: Surroundings) {
    this.#in = surroundings;
  }

  async readAll(): Promise<void> {
    const { previous } = this.#in.options;
    const pods = await this.#pods();
    if (pods.length === 0) throw this.#noReplicas();
    const outcomes = await Promise.all(
      pods.map(async (pod) => {
        if (previous && pod.restarted) await this.#tolerant(pod, { previous: 'true' });
        return await this.#tolerant(pod, {});
      }),
    );
    const [first, ...others] = outcomes.filter((outcome) => outcome !== null);
    if (first !== undefined && others.length + 1 === pods.length) throw first;
  }

  async follow(): Promise<void> {
    const { options, io } = this.#in;
    const running = new Map<string, Promise<void>>();
    let failure: unknown = null;
    const backoff = new Backoff();
    for (let found = 0; !options.signal.aborted && failure === null;) {
      const pods = await this.#podsOrNone(found > 0);
      if (pods !== null) {
        if (pods.length === 0 && found === 0) throw this.#noReplicas();
        backoff.reset();
        for (const pod of pods.filter(({ uid }) => !running.has(uid))) {
          found += 1;
          const followed = this.#followPod(pod).catch((error: unknown) => (failure ??= error));
          running.set(pod.uid, followed as Promise<void>);
        }
      }
      await io.sleep(pods === null ? backoff.nextMs() : lookEveryMs, options.signal);
    }
    await Promise.all(running.values());
    if (failure !== null) throw failure as Error;
  }

  /** After the beginning, an API server that is away for a while is waited for. */
  async #podsOrNone(begun: boolean): Promise<readonly ReplicaPod[] | null> {
    try {
      return await this.#pods();
    } catch (error) {
      if (this.#in.options.signal.aborted) return null;
      if (begun && error instanceof KubeError && isPassing(error)) return null;
      throw error;
    }
  }

  /** Goes on after each break, from the time of the last line on; lines that come twice are known by their identity. */
  async #followPod(pod: ReplicaPod): Promise<void> {
    const { options, io } = this.#in;
    const backoff = new Backoff();
    const seen = { at: '' };
    while (!options.signal.aborted) {
      const query = seen.at === '' ? {} : { sinceTime: seen.at };
      try {
        await this.#read(pod, { ...query, follow: 'true' }, (at) => {
          seen.at = at;
          backoff.reset();
        });
      } catch (error) {
        if (hasEnded(options.signal)) return;
        if (!(error instanceof KubeError)) throw error;
        if (error.kind === 'not-found') return;
        if (!isPassing(error)) throw error;
      }
      await io.sleep(backoff.nextMs(), options.signal);
    }
  }

  /** One replica that has gone, or not begun, is no reason not to read the others. */
  async #tolerant(pod: ReplicaPod, query: Readonly<Record<string, string>>): Promise<KubeError | null> {
    try {
      await this.#read(pod, query, () => undefined);
      return null;
    } catch (error) {
      if (!(error instanceof KubeError) || error.kind === 'forbidden') throw error;
      this.#in.io.stderr.write(`lockwarden: the log of ${pod.name} is left out: ${error.message}\n`);
      return error;
    }
  }

  async #read(
    pod: ReplicaPod,
    query: Readonly<Record<string, string>>,
    onTime: (at: string) => void,
  ): Promise<void> {
    const { client, namespace, options, read } = this.#in;
    const sinceMs = sinceOf(options.since);
    // NB: the API server takes one of sinceTime and sinceSeconds.
    const since =
      sinceMs === null || 'sinceTime' in query ? {} : { sinceSeconds: String(Math.ceil(sinceMs / 1_000)) };
    const container: Readonly<Record<string, string>> =
      pod.container === '' ? {} : { container: pod.container };
    const stream = await client.stream({
      method: 'GET',
      path: `/api/v1/namespaces/${namespace}/pods/${encodeURIComponent(pod.name)}/log`,
      query: { timestamps: 'true', ...container, ...since, ...query },
      accept: 'application/json, */*',
      signal: options.signal,
      timeoutMs: beginTimeoutMs,
    });
    await read(timed(stream.chunks, onTime));
  }

  async #pods(): Promise<readonly ReplicaPod[]> {
    const { client, namespace, options } = this.#in;
    const { body } = await client.request({
      method: 'GET',
      path: `/api/v1/namespaces/${namespace}/pods`,
      query: { labelSelector: replicaSelector },
      signal: options.signal,
    });
    return arrayAt(body, 'items').map(podOf);
  }

  #noReplicas(): LockwardenError {
    const { namespace } = this.#in;
    return new LockwardenError(
      'StorageFailed',
      `there is no pod of lockwarden in the namespace \`${namespace}\`: name another with --lockwarden-namespace, or give its log as a file`,
    );
  }
}

function podOf(pod: unknown): ReplicaPod {
  const metadata = objectAt(pod, 'metadata');
  const containers = arrayAt(objectAt(pod, 'spec'), 'containers').map((each) => stringAt(each, 'name'));
  const statuses = arrayAt(objectAt(pod, 'status'), 'containerStatuses');
  const container = containers.find((each) => each === 'lockwarden') ?? containers[0] ?? '';
  return {
    name: stringAt(metadata, 'name'),
    uid: stringAt(metadata, 'uid'),
    container,
    restarted: statuses.some(
      (each) =>
        stringAt(each, 'name') === container &&
        Number((each as Readonly<Record<string, unknown>>)['restartCount']) > 0,
    ),
  };
}

/** NB: asked after a wait, which the type checker does not know of. */
function hasEnded(signal: AbortSignal): boolean {
  return signal.aborted;
}

/** Whether it may work a moment later: a container that has not begun answers with `invalid`. */
function isPassing({ kind }: KubeError): boolean {
  return !['forbidden', 'unauthorized', 'not-found', 'malformed'].includes(kind);
}

/** LIMIT: a time stamp of a log line, in nanoseconds and with an offset. */
const stampLengthMax = 36;

/** The bytes as they are, and the time of the last line that began in them. */
async function* timed(chunks: AsyncIterable<Buffer>, onTime: (at: string) => void): AsyncGenerator<Buffer> {
  let atLineStart = true;
  for await (const chunk of chunks) {
    const lastLine = chunk.lastIndexOf(0x0a, chunk.length - stampLengthMax) + 1;
    if (lastLine > 0 || atLineStart) {
      const text = chunk.subarray(lastLine, lastLine + stampLengthMax).toString('latin1');
      const at = /^\d{4}-\d\d-\d\dT[\d:.]+(?:Z|[+-]\d\d:\d\d)(?= )/.exec(text)?.[0];
      if (at !== undefined) onTime(at);
    }
    atLineStart = chunk.at(-1) === 0x0a;
    yield chunk;
  }
}
