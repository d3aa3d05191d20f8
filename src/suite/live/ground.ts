/** A cluster that suites are played on: its namespaces, its API server's time, and what must go again. */
import { setTimeout as sleep } from 'node:timers/promises';
import { isDeepStrictEqual } from 'node:util';
import type { KubeConfig } from '@kubernetes/client-node';
import type { Clock } from '../../clock.ts';
import { LockwardenError } from '../../errors.ts';
import { createKubeClient, type KubeClient } from '../../kube/client.ts';
import { KubeError } from '../../kube/errors.ts';
import { objectAt, stringAt } from '../../kube/json.ts';
import { until } from '../../kube/until.ts';
import { configurationName, configurationPath } from '../../kube/webhook-configuration.ts';
import type { Labels } from '../../policy/selector.ts';
import { defaultNamespace } from '../format.ts';
import { Created } from './created.ts';
import { ServerTime } from './server-time.ts';

/** LIMIT: a change of policies takes effect within two seconds, and API servers see a webhook configuration within a second or so. */
const settleMs = 3_000;

/** LIMIT: the namespace controller takes some seconds to empty a namespace of a few pods. */
const removedMs = 60_000;

/** What a run on a cluster needs. */
export interface LiveGroundOptions {
  readonly clock: Pick<Clock, 'monotonicMs'>;
  /** Ends the run; what was made is removed all the same. */
  readonly signal: AbortSignal;
  /** Tells apart what this run makes: a few letters and digits. */
  readonly runName: string;
}

/** The cluster. `open` it, and `close` it whatever happened. */
export class LiveGround {
  readonly config: KubeConfig;
  readonly admin: KubeClient;
  readonly time: ServerTime;
  readonly signal: AbortSignal;
  readonly #runName: string;
  /** Namespaces, which stay until the end of the run. */
  readonly #created: Created;
  readonly #clock: Pick<Clock, 'monotonicMs'>;
  /** Namespaces that have been made sure of, with the labels that they must have. */
  readonly #known = new Map<string, Labels>();
  readonly #left: string[] = [];
  #changedAt = -Infinity;
  #names = 0;

  constructor(config: KubeConfig, options: LiveGroundOptions) {
    this.config = config;
    this.admin = createKubeClient(config);
    this.time = new ServerTime(options.clock);
    this.signal = options.signal;
    this.#runName = options.runName;
    this.#clock = options.clock;
    this.#created = new Created(this.admin);
  }

  /** Checks that lockwarden guards the cluster, and learns its time. */
  async open(): Promise<void> {
    if ((await this.#get(configurationPath)) === null) {
      throw new LockwardenError(
        'ScenarioFailed',
        `lockwarden does not guard the cluster at ${this.admin.server}: there is no ValidatingWebhookConfiguration \`${configurationName}\`; install lockwarden, or start it with \`lockwarden serve\``,
      );
    }
    await this.time.measure(this.admin, this.signal);
  }

  /**
   * Makes sure of a namespace: one that is there is used as it is, and stays.
   *
   * @throws LockwardenError where it lacks labels that a suite says it has
   */
  async ensureNamespace(name: string, labels: Labels): Promise<void> {
    const known = this.#known.get(name);
    if (known !== undefined && isDeepStrictEqual(known, labels)) return;
    if (known !== undefined) {
      throw new LockwardenError(
        'ScenarioFailed',
        `the namespace \`${name}\` has other labels in this suite than in one before it; run them one by one`,
      );
    }
    this.#known.set(name, labels);
    const path = `/api/v1/namespaces/${name}`;
    const isBeingRemoved = (namespace: unknown): boolean =>
      stringAt(objectAt(namespace, 'metadata'), 'deletionTimestamp') !== '';
    // NB: a run that has just ended may still be on its way out.
    await until(async () => (isBeingRemoved(await this.#get(path)) ? null : true), {
      what: `the namespace \`${name}\` is gone, which is being removed`,
      timeoutMs: removedMs,
      signal: this.signal,
    });
    const isNew = await this.#created.makeIfAbsent(path, () =>
      this.admin.request({
        method: 'POST',
        path: '/api/v1/namespaces',
        body: { metadata: { name, labels } },
      }),
    );
    if (isNew) return;
    const found = objectAt(objectAt(await this.#get(path), 'metadata'), 'labels');
    const lacking = Object.entries(labels).find(([key, value]) => stringAt(found, key) !== value);
    if (lacking === undefined) return;
    throw new LockwardenError(
      'ScenarioFailed',
      `the namespace \`${name}\` is in the cluster already, without the label ${lacking.join('=')} that the suite gives it`,
    );
  }

  /** The object at a path; null: there is none. */
  async #get(path: string): Promise<unknown> {
    try {
      return (await this.admin.request({ method: 'GET', path, signal: this.signal })).body;
    } catch (error) {
      if (error instanceof KubeError && error.kind === 'not-found') return null;
      throw error;
    }
  }

  /** A new name, for a namespace or a Role that only this run can have. */
  newName(): string {
    this.#names += 1;
    return `${defaultNamespace}-${this.#runName}-${String(this.#names)}`;
  }

  /** Takes the paths of what could not be removed. */
  leave(paths: readonly string[]): void {
    this.#left.push(...paths);
  }

  /** Says that policies have been changed. */
  changed(): void {
    this.#changedAt = this.#clock.monotonicMs();
  }

  /** Resolves once the last change must have taken effect everywhere. */
  async settled(): Promise<void> {
    const leftMs = this.#changedAt + settleMs - this.#clock.monotonicMs();
    if (leftMs > 0) await sleep(leftMs, undefined, { signal: this.signal });
  }

  /** Removes the namespaces that were made; returns the paths of all that could not be removed. */
  async close(): Promise<readonly string[]> {
    this.leave(await this.#created.removeAll());
    this.admin.close();
    return this.#left;
  }
}
