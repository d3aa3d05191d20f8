/**
 * What the replicas tell each other of themselves: one ConfigMap with a line for each, written by it alone.
 *
 * The leader narrows trust only after every living replica has been seen to serve the new leaf, and a pod's own word is
 * the only one that needs neither a way from pod to pod nor rights on pods. Each replica patches its own key, so no two
 * writes compete. It writes at once when something changes, and now and then to show that it lives.
 */
import type { Next } from '../certs/facts.ts';
import { messageOf } from '../errors.ts';
import type { KubeClient } from '../kube/client.ts';
import { KubeError } from '../kube/errors.ts';
import { isObject, objectAt, stringAt, type JsonObject } from '../kube/json.ts';
import { timerSleep, type Logger, type Sleep } from '../kube/ports.ts';

/** Name of the ConfigMap in lockwarden's namespace. */
export const presenceName = 'lockwarden-replicas';

/** What a replica says of itself. */
export interface ReplicaState {
  /** SHA-256 of the leaf that it serves, in hexadecimal; null: none. */
  readonly servesLeaf: string | null;
  /** Until when that leaf is valid, in Unix milliseconds. */
  readonly leafNotAfterMs: number | null;
  /** Why it serves no other leaf, where there is one that it does not serve; a clause. */
  readonly hesitates: string | null;
  /** Version of the program. */
  readonly version: string;
  /** Where the leaf comes from when somebody else brings it, such as `secret/NAME`; absent where it is lockwarden's own. */
  readonly brought?: string | undefined;
  /** What is to be done with the certificates, told by the leader alone: lifetimes are its flags, and nobody else's. */
  readonly plan?: ToldPlan | undefined;
  /** It is about to end: it answers those who still call, and soon nobody. */
  readonly leaves?: true | undefined;
}

/** A plan in words, for whoever looks. */
export interface ToldPlan {
  readonly phase: string;
  readonly next: Next;
}

/** A replica as the others see it. */
export interface Replica extends ReplicaState {
  readonly name: string;
  /** When it last said so, in Unix milliseconds of the API server. */
  readonly saidAtMs: number;
}

/** LIMIT: five replicas that tell every five seconds are one small write a second. */
export const heartbeatMs = 5_000;
/** LIMIT: longer than three heartbeats, so that one that is late is not taken for dead; as long as a leader's lease. */
const livesMs = 16_000;
/** LIMIT: thirty replicas' lines fit in this many times over; whoever writes more is not lockwarden. */
const replicasMax = 1_000;

/** The replicas in a ConfigMap's object; lines that cannot be read are left out. */
export function readReplicas(object: JsonObject | null): readonly Replica[] {
  return Object.entries(objectAt(object, 'data'))
    .slice(0, replicasMax)
    .flatMap(([name, text]) => readReplica(name, text) ?? []);
}

/** Those that have told of themselves lately, and so may be serving. `nowMs`: the API server's time. */
export function living(replicas: readonly Replica[], nowMs: number): readonly Replica[] {
  return replicas.filter(({ saidAtMs }) => nowMs - saidAtMs < livesMs);
}

/**
 * Whether one of the living, other than `name`, may go on answering: it serves a certificate and is not about to end itself.
 * NB: one that is not ready for another reason counts. Whatever rests on this must be made good when it proves wrong.
 */
export function isSucceeded(replicas: readonly Replica[], name: string, nowMs: number): boolean {
  return living(replicas, nowMs).some(
    (each) => each.name !== name && each.leaves !== true && each.servesLeaf !== null,
  );
}

function readReplica(name: string, text: unknown): Replica | null {
  try {
    const value: unknown = typeof text === 'string' ? JSON.parse(text) : null;
    if (!isObject(value) || typeof value['saidAtMs'] !== 'number') return null;
    const notAfter = value['leafNotAfterMs'];
    return {
      name,
      saidAtMs: value['saidAtMs'],
      servesLeaf: stringAt(value, 'servesLeaf') || null,
      leafNotAfterMs: typeof notAfter === 'number' ? notAfter : null,
      hesitates: stringAt(value, 'hesitates') || null,
      version: stringAt(value, 'version'),
      brought: stringAt(value, 'brought') || undefined,
      plan: readPlan(value),
      leaves: value['leaves'] === true || undefined,
    };
  } catch {
    return null;
  }
}

function readPlan(value: JsonObject): ToldPlan | undefined {
  const plan = objectAt(value, 'plan');
  const next = objectAt(plan, 'next');
  const [phase, what] = [stringAt(plan, 'phase'), stringAt(next, 'what')];
  if (phase === '' || what === '') return undefined;
  const atMs = typeof next['atMs'] === 'number' ? next['atMs'] : null;
  return { phase, next: { what, atMs, why: stringAt(next, 'why') } };
}

/** What a presence needs. */
export interface PresenceOptions {
  readonly client: KubeClient;
  readonly namespace: string;
  /** This replica's name: letters, digits, dots and dashes. */
  readonly name: string;
  /** The API server's time, or null where it is not known yet; a replica that cannot tell the time keeps silent. */
  readonly nowMs: () => number | null;
  readonly logger: Logger;
  readonly sleep?: Sleep;
}

/** Tells of one replica. `start` it, `tell` it what changes, `stop` it. */
export class Presence {
  readonly #options: PresenceOptions;
  readonly #stopping = new AbortController();
  #state: ReplicaState | null = null;
  #running: Promise<void> | null = null;
  #awake = new AbortController();
  #failing = false;
  #leaving = false;

  constructor(options: PresenceOptions) {
    this.#options = options;
  }

  start(): void {
    this.#running ??= this.#run(this.#stopping.signal);
  }

  /** What is true from now on. Written at once where it differs. */
  tell(state: ReplicaState): void {
    if (JSON.stringify(state) === JSON.stringify(this.#state)) return;
    this.#state = state;
    this.#awake.abort();
  }

  /** Writes again what is true: the line has gone. */
  repeat(): void {
    this.#awake.abort();
  }

  /**
   * Says that this replica is about to end, now and for as long as it still lives.
   *
   * @returns the list as it stood right after: of several that leave at once, the last to say so finds all others leaving
   * @throws KubeError
   */
  async leave(signal: AbortSignal): Promise<JsonObject> {
    this.#leaving = true;
    return this.#patch({ [this.#options.name]: this.#line() }, signal);
  }

  /** Takes this replica's line away, so that nobody waits for it; gives up after a second. Never rejects. */
  async stop(): Promise<void> {
    this.#stopping.abort();
    this.#awake.abort();
    await this.#running;
    await forget(this.#options, [this.#options.name], AbortSignal.timeout(farewellMs)).catch(() => undefined);
  }

  async #run(stopping: AbortSignal): Promise<void> {
    const { sleep = timerSleep } = this.#options;
    while (!stopping.aborted) {
      // INVARIANT: a new controller before the state is read, so that no change falls between writing and sleeping.
      this.#awake = new AbortController();
      await this.#write(stopping);
      await sleep(heartbeatMs, this.#awake.signal);
    }
  }

  async #write(signal: AbortSignal): Promise<void> {
    const { name, logger } = this.#options;
    const line = this.#line();
    if (line === null) return;
    try {
      await this.#patch({ [name]: line }, signal);
      this.#failing = false;
    } catch (error) {
      if (signal.aborted) return;
      const reason = messageOf(error);
      // One line for an outage; the next heartbeat tries again.
      if (!this.#failing) logger.warn({ replica: name, reason }, 'presence not told');
      this.#failing = true;
    }
  }

  /** Null: there is nothing to say yet, or no time to say it with. */
  #line(): string | null {
    const saidAtMs = this.#options.nowMs();
    if (this.#state === null || saidAtMs === null) return null;
    return JSON.stringify({ ...this.#state, saidAtMs, ...(this.#leaving && { leaves: true }) });
  }

  async #patch(data: Readonly<Record<string, string | null>>, signal: AbortSignal): Promise<JsonObject> {
    const { client, namespace } = this.#options;
    try {
      return await patch(this.#options, data, signal);
    } catch (error) {
      if (!(error instanceof KubeError) || error.kind !== 'not-found') throw error;
      const present = Object.fromEntries(Object.entries(data).filter(([, line]) => line !== null));
      const body = { metadata: { name: presenceName, labels: presenceLabels }, data: present };
      try {
        return objectAt(
          await client.request({ method: 'POST', path: collectionOf(namespace), body, signal }),
          'body',
        );
      } catch (refused) {
        if (!(refused instanceof KubeError) || refused.kind !== 'already-exists') throw refused;
        return await patch(this.#options, data, signal);
      }
    }
  }
}

/** Takes the lines of `names` away: for a leader that tidies up after replicas that were killed. @throws KubeError */
export async function forget(
  { client, namespace }: Pick<PresenceOptions, 'client' | 'namespace'>,
  names: readonly string[],
  signal?: AbortSignal,
): Promise<void> {
  await patch({ client, namespace }, Object.fromEntries(names.map((name) => [name, null])), signal);
}

/** LIMIT: a process that ends has a few seconds for everything. */
const farewellMs = 1_000;
const presenceLabels = {
  'app.kubernetes.io/managed-by': 'lockwarden',
  'lockwarden.dev/component': 'replicas',
};

function collectionOf(namespace: string): string {
  return `/api/v1/namespaces/${namespace}/configmaps`;
}

async function patch(
  { client, namespace }: Pick<PresenceOptions, 'client' | 'namespace'>,
  data: Readonly<Record<string, string | null>>,
  signal?: AbortSignal,
): Promise<JsonObject> {
  const answer = await client.request({
    method: 'PATCH',
    path: `${collectionOf(namespace)}/${presenceName}`,
    contentType: 'application/merge-patch+json',
    body: { data },
    signal,
  });
  return objectAt(answer, 'body');
}
