/**
 * Whether a pod still exists: the one question that a decision may put to the API server. It stands on the admission
 * path, so it has a deadline and a bound on its number, and "unknown" is always at hand.
 */
import type { KubeClient } from './client.ts';
import { KubeError } from './errors.ts';
import { objectAt, stringAt } from './json.ts';

/** `gone`: no pod of that uid runs any more. `unknown`: the API server did not say, or not in time. */
export type PodState = 'exists' | 'gone' | 'unknown';

/** Limits of the questions. */
export interface PodStatesOptions {
  /** Default: `deadlineMsDefault`. */
  readonly deadlineMs?: number;
  /** Default: `inFlightMaxDefault`. */
  readonly inFlightMax?: number;
}

/** SOURCE: https://kubernetes.io/docs/concepts/workloads/pods/pod-lifecycle/#pod-phase */
const finishedPhases: readonly string[] = ['Succeeded', 'Failed'];
/** LIMIT: a sixth of the two seconds that the API server grants a review. */
const deadlineMsDefault = 300;
/** LIMIT: questions come from handovers of locks; sixteen at once are a restart of many electors together. */
const inFlightMaxDefault = 16;

/** The uid of the pod of a name, null where there is none; or no answer at all. */
type Answer = { readonly uid: string | null } | 'unanswered';

/** Answers questions about pods. */
export class PodStates {
  readonly #client: KubeClient;
  readonly #deadlineMs: number;
  readonly #inFlightMax: number;
  /** By namespace and name: one request serves all who ask for the same pod meanwhile. */
  readonly #inFlight = new Map<string, Promise<Answer>>();

  constructor(client: KubeClient, options: PodStatesOptions = {}) {
    this.#client = client;
    this.#deadlineMs = options.deadlineMs ?? deadlineMsDefault;
    this.#inFlightMax = options.inFlightMax ?? inFlightMaxDefault;
  }

  /** Asks for the pod `name` and compares its uid. Never rejects; aborting `signal` answers `unknown` at once. */
  async podState(namespace: string, name: string, uid: string, signal?: AbortSignal): Promise<PodState> {
    // NB: an empty name would address the list of pods.
    if (namespace === '' || name === '' || uid === '') return 'unknown';
    const asked = this.#ask(namespace, name);
    const found = signal === undefined ? await asked : await unlessAborted(asked, signal);
    if (found === 'unanswered') return 'unknown';
    return found.uid === uid ? 'exists' : 'gone';
  }

  #ask(namespace: string, name: string): Promise<Answer> {
    const key = `${namespace}/${name}`;
    const shared = this.#inFlight.get(key);
    if (shared !== undefined) return shared;
    if (this.#inFlight.size >= this.#inFlightMax) return Promise.resolve('unanswered');
    const asked = this.#uidOf(namespace, name).finally(() => this.#inFlight.delete(key));
    this.#inFlight.set(key, asked);
    return asked;
  }

  async #uidOf(namespace: string, name: string): Promise<Answer> {
    try {
      const { body } = await this.#client.request({
        method: 'GET',
        path: `/api/v1/namespaces/${encodeURIComponent(namespace)}/pods/${encodeURIComponent(name)}`,
        timeoutMs: this.#deadlineMs,
      });
      const uid = stringAt(objectAt(body, 'metadata'), 'uid');
      if (uid === '') return 'unanswered';
      // A pod that has finished is kept as an object, and nothing in it holds a lock any more.
      return finishedPhases.includes(stringAt(objectAt(body, 'status'), 'phase')) ? { uid: null } : { uid };
    } catch (error) {
      // NB: a 404 without a reason comes from something in between, which knows nothing of pods.
      return error instanceof KubeError && error.reason === 'NotFound' ? { uid: null } : 'unanswered';
    }
  }
}

async function unlessAborted(work: Promise<Answer>, signal: AbortSignal): Promise<Answer> {
  if (signal.aborted) return 'unanswered';
  const { promise, resolve } = Promise.withResolvers<Answer>();
  const onAbort = (): void => {
    resolve('unanswered');
  };
  signal.addEventListener('abort', onAbort, { once: true });
  try {
    return await Promise.race([work, promise]);
  } finally {
    signal.removeEventListener('abort', onAbort);
  }
}
