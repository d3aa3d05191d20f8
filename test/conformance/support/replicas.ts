/**
 * Replicas in this process, without the HTTPS edge and the registration of a guard: what each has seen, its watch on Leases, its
 * judge, and what they tell one another. One webhook takes the API server's reviews and hands each to the replica that the
 * test has chosen.
 */
import { createServer } from 'node:https';
import type { AddressInfo } from 'node:net';

import { createHandler } from '../../../src/admission/handler.ts';
import { Judge } from '../../../src/admission/judge.ts';
import { LockMemories } from '../../../src/admission/lock-memories.ts';
import { parseReview } from '../../../src/admission/review.ts';
import { issueServingCertificate } from '../../support/serving-certificate.ts';
import { systemClock } from '../../../src/clock.ts';
import type { LockRef } from '../../../src/core/lock.ts';
import { builtInDefaults } from '../../../src/core/settings.ts';
import type { LockFacts } from '../../../src/core/shared-facts.ts';
import { serverMs } from '../../../src/core/time.ts';
import { lockWatch } from '../../../src/guard/lock-watch.ts';
import { SharedFacts } from '../../../src/guard/shared-facts.ts';
import type { KubeClient } from '../../../src/kube/client.ts';
import { stringAt, type JsonObject } from '../../../src/kube/json.ts';
import { PodStates } from '../../../src/kube/pods.ts';
import { ServerTimeSamples } from '../../../src/kube/server-time.ts';
import { desiredConfiguration } from '../../../src/kube/webhook-configuration.ts';
import { createMetrics } from '../../../src/server/metrics.ts';

const clock = systemClock();
const log = { info: () => undefined, warn: () => undefined, error: () => undefined };

/** What a replica has come to know of a lock from others, and when (`performance.now()`). */
export interface Heard {
  readonly lock: string;
  readonly facts: LockFacts;
  readonly atMs: number;
}

export class Replica {
  /** What it judged and saw stored, as it was handed over to be told. */
  readonly told: Heard[] = [];
  readonly heard: Heard[] = [];
  readonly handler: ReturnType<typeof createHandler>;
  readonly metrics = createMetrics(clock, { processMetrics: false });
  readonly shared: SharedFacts;
  readonly #memories: LockMemories;
  readonly #parts: readonly { start(): void; stop(): Promise<void> }[];
  readonly #synced: readonly Promise<unknown>[];
  #waiters: (() => void)[] = [];

  constructor(client: KubeClient, namespace: string) {
    const [locks, facts, time] = [1, 2, 3].map(() => Promise.withResolvers<undefined>());
    this.#memories = new LockMemories({
      onFacts: (lock, each) => {
        this.told.push({ lock: lock.name, facts: each, atMs: performance.now() });
        this.shared.publish(lock, each);
      },
    });
    const memories = this.#memories;
    this.shared = new SharedFacts({
      ...{ client, namespace, clock, logger: log, metrics: this.metrics.sharedFacts },
      onFacts: (lock, each) => {
        memories.told(lock, each, clock.monotonicMs());
        this.#hear(lock, each);
      },
      onSynced: () => facts?.resolve(undefined),
      isGone: (lock) => memories.isGone(lock),
      serverNow: () => memories.serverTimeAt(clock.monotonicMs()),
    });
    const watch = lockWatch('Lease', {
      ...{ client, memories, clock, logger: log, metrics: this.metrics.watch },
      onSynced: () => locks?.resolve(undefined),
    });
    const samples = new ServerTimeSamples(client, {
      clock,
      onSample: ({ sentAt, receivedAt, dateMs }) => {
        memories.dated(sentAt, receivedAt, serverMs(dateMs));
        time?.resolve(undefined);
      },
    });
    const pods = new PodStates(client);
    const judge = new Judge({
      memories,
      monotonicNow: () => clock.monotonicMs(),
      settingsFor: () => builtInDefaults,
      podState: (pod) => pods.podState(pod.namespace, pod.name, pod.uid),
    });
    this.handler = createHandler({ judge, countDecision: () => undefined });
    this.#parts = [samples, watch, this.shared];
    this.#synced = [locks, facts, time].map((each) => each?.promise ?? Promise.resolve());
  }

  /** Resolves once it knows what there is. */
  async start(): Promise<void> {
    for (const part of this.#parts) part.start();
    await Promise.all(this.#synced);
  }

  async stop(): Promise<void> {
    await Promise.all(this.#parts.map((part) => part.stop()));
  }

  /** Resolves once it has heard of a lock what `isIt` looks for. */
  async hears(lock: string, isIt: (facts: LockFacts) => boolean = () => true): Promise<Heard> {
    for (;;) {
      const found = this.heard.findLast((each) => each.lock === lock && isIt(each.facts));
      if (found !== undefined) return found;
      await new Promise<void>((resolve) => this.#waiters.push(resolve));
    }
  }

  #hear(lock: LockRef, facts: LockFacts): void {
    this.heard.push({ lock: lock.name, facts, atMs: performance.now() });
    for (const waiter of this.#waiters.splice(0)) waiter();
  }
}

/** The webhook in front of the replicas. `judge` is who judges from now on. */
export interface Router {
  judge: Replica | null;
  /** The registration, for one namespace. */
  readonly configuration: JsonObject;
  /** Reviews so far. */
  readonly calls: number;
  close(): Promise<void>;
}

/** Starts it, on a port of its own; `name` is that of the registration, which is the test's to create. */
export async function startRouter(name: string, namespace: string): Promise<Router> {
  const certificate = await issueServingCertificate({
    hosts: ['127.0.0.1'],
    nowMs: Date.now(),
    validityMs: 3_600_000,
    backdateMs: 3_600_000,
  });
  const state: { judge: Replica | null; calls: number } = { judge: null, calls: 0 };
  const server = createServer({ key: certificate.keyPem, cert: certificate.certPem }, (request, response) => {
    const chunks: Buffer[] = [];
    request.on('data', (chunk: Buffer) => chunks.push(chunk));
    request.on('end', () => {
      state.calls += 1;
      const parsed = parseReview(Buffer.concat(chunks));
      if (!parsed.ok || state.judge === null) {
        response.writeHead(503).end();
        return;
      }
      void Promise.resolve(state.judge.handler(parsed.request)).then((answer) => {
        response.setHeader('content-type', 'application/json').end(JSON.stringify(answer));
      });
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  const desired = desiredConfiguration({
    address: { kind: 'url', url: `https://127.0.0.1:${String(port)}/validate` },
    caBundle: certificate.caPem,
    ownNamespace: 'lockwarden-system',
    notLocks: [],
    leases: { unguarded: [], renewals: 'skip', special: [] },
    records: { unguarded: [], renewals: 'skip', special: [] },
  });
  const expression = { key: 'kubernetes.io/metadata.name', operator: 'In', values: [namespace] };
  const webhooks = desired.webhooks
    .filter((each) => stringAt(each, 'name').includes('lease'))
    .map((each) => ({
      ...each,
      failurePolicy: 'Fail',
      namespaceSelector: { matchExpressions: [expression] },
    }));
  return Object.assign(state, {
    configuration: { ...desired, metadata: { name }, webhooks },
    close: () =>
      new Promise<void>((resolve) => {
        server.close(() => {
          resolve();
        });
        server.closeAllConnections();
      }),
  });
}
