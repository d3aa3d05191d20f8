/**
 * A serving process, wired together: what it sees (watches, the API server's clock), what decides, what answers, and
 * its registration. Nothing here decides anything.
 */
import { createHandler } from '../admission/handler.ts';
import { Judge } from '../admission/judge.ts';
import { LockMemories } from '../admission/lock-memories.ts';
import { answerUnjudged } from '../admission/unjudged.ts';
import type { Clock } from '../clock.ts';
import { reviewPath, type ServeConfig } from '../config.ts';
import type { LockKind, LockRef } from '../core/lock.ts';
import { serverMs } from '../core/time.ts';
import { createKubeClient, type KubeClient } from '../kube/client.ts';
import { loadKubeconfig } from '../kube/kubeconfig.ts';
import { PodStates } from '../kube/pods.ts';
import { ServerTimeSamples } from '../kube/server-time.ts';
import type { Watch } from '../kube/watch.ts';
import { desiredConfiguration, type WebhookConfiguration } from '../kube/webhook-configuration.ts';
import { WebhookRegistration } from '../kube/webhook-registration.ts';
import type { Log } from '../review/logger.ts';
import { createApp } from '../server/app.ts';
import { createHealthServer, type HealthServer } from '../server/health.ts';
import { createHttpsListener, type HttpsListener } from '../server/https.ts';
import { connectionLimits, requestLimits } from '../server/limits.ts';
import { createMetrics, type Metrics } from '../server/metrics.ts';
import { Readiness } from '../server/readiness.ts';
import { webhookAddress, webhookHosts } from './address.ts';
import { GuardPolicies } from './guard-policies.ts';
import { lockWatch } from './lock-watch.ts';
import { watchedKinds } from './policy-watch.ts';
import { untilAgreed } from './retry.ts';
import { ServingCertificates, type ServingCertificateOptions } from './serving-certificate.ts';

/** What a guard needs from its process. */
export interface GuardPorts {
  readonly log: Log;
  readonly clock: Clock;
  /** Adds metrics of the process itself; once a process. */
  readonly processMetrics?: boolean;
  /** Lifetimes of the certificate, for tests. */
  readonly certificate?: Omit<ServingCertificateOptions, 'hosts'>;
}

const lockKinds: readonly LockKind[] = ['Lease', 'ConfigMap', 'Endpoints'];
/** LIMIT: gauges are scraped every fifteen seconds or so, and a certificate has hours to spare. */
const tickMs = 5_000;
/** LIMIT: with the registration gone no call comes any more; one that is under way takes two seconds at most. */
const drainTimes = { settleMs: 200, graceMs: 2_500 };

/** A guard of one cluster. `start` it, `stop` it; both may be called in any order, `stop` more than once. */
export class Guard {
  readonly readiness = new Readiness(['certificate', 'caches', 'webhook', 'serving']);
  readonly #config: ServeConfig;
  readonly #ports: GuardPorts;
  readonly #client: KubeClient;
  readonly #memories = new LockMemories();
  /** What has not been listed yet. */
  readonly #unsynced = new Set<string>([...lockKinds, ...watchedKinds]);
  readonly #metrics: Metrics;
  readonly #health: HealthServer;
  readonly #watches: ReadonlyMap<LockKind, Watch>;
  readonly #policies: GuardPolicies;
  readonly #serverTime: ServerTimeSamples;
  readonly #stopping = new AbortController();
  /** Aborted by a second `stop`: whatever the first is still waiting for is given up. */
  readonly #hurrying = new AbortController();
  #certificates: ServingCertificates | null = null;
  #https: HttpsListener | null = null;
  #registration: WebhookRegistration | null = null;
  /** What the configuration is to carry, which during a renewal is more than the certificates have taken over. */
  #caBundle = '';
  /** The port that is really listened on. */
  #port = 0;
  #ticking: NodeJS.Timeout | null = null;
  #stopped: Promise<void> | null = null;

  /** @throws LockwardenError when the kubeconfig cannot be used */
  constructor(config: ServeConfig, ports: GuardPorts) {
    const { kubeconfig, context } = config;
    this.#config = config;
    this.#ports = ports;
    const source = { file: kubeconfig ?? undefined, context: context ?? undefined };
    this.#client = createKubeClient(loadKubeconfig(source));
    this.#metrics = createMetrics(ports.clock, { processMetrics: ports.processMetrics ?? false });
    this.#health = createHealthServer(this.readiness, this.#metrics.registry);
    this.#policies = this.#createPolicies();
    this.#watches = this.#createWatches();
    this.#serverTime = new ServerTimeSamples(this.#client, {
      clock: ports.clock,
      onSample: ({ sentAt, receivedAt, dateMs }) => {
        this.#memories.dated(sentAt, receivedAt, serverMs(dateMs));
      },
    });
  }

  /**
   * Serves and registers. Resolves when ready, or when stopped meanwhile: an API server that does not answer, or that
   * refuses what is needed, is asked again for as long as it takes.
   *
   * @throws LockwardenError when a port cannot be listened on
   */
  async start(): Promise<void> {
    const { log } = this.#ports;
    const healthPort = await this.#health.listen(this.#config.healthPort, this.#config.bindAddress);
    log.info({ healthPort }, 'health port listening');
    const nowMs = await this.#retry('API server not reached', 'certificate', () => this.#askServerTime());
    if (nowMs === null) return;
    const port = await this.#serve(nowMs);
    if (port === null) return;
    log.info({ port, server: this.#client.server }, 'webhook listening');
    this.#serverTime.start();
    for (const watch of this.#watches.values()) watch.start();
    this.#policies.start();
    this.#ticking = setInterval(() => {
      this.#tick();
    }, tickMs).unref();
    await this.#register(port);
    if (!this.#stopping.signal.aborted) log.info({}, 'lockwarden registered');
  }

  /** Counts a log line that could not be written: the log itself cannot tell. */
  lineDropped(): void {
    this.#metrics.logLinesDropped.inc();
  }

  /** Removes the registration, answers what is under way, and ends. A second call cuts what is left. */
  stop(): Promise<void> {
    if (this.#stopped !== null) this.#hurry();
    this.#stopped ??= this.#stopOnce();
    return this.#stopped;
  }

  #hurry(): void {
    this.#hurrying.abort();
    void this.#https?.drain(drainTimes);
  }

  async #stopOnce(): Promise<void> {
    this.#stopping.abort();
    if (this.#ticking !== null) clearInterval(this.#ticking);
    await this.#unregister();
    await Promise.all([
      this.#serverTime.stop(),
      this.#policies.stop(),
      ...[...this.#watches.values()].map((watch) => watch.stop()),
    ]);
    await this.#https?.drain(drainTimes);
    await this.#health.close();
    this.#client.close();
  }

  /** The port that is listened on, or null when stopped meanwhile. */
  async #serve(nowMs: number): Promise<number | null> {
    const hosts = webhookHosts(this.#config);
    const ports = { publish: (caBundle: string) => this.#publish(caBundle), serve: this.#reload };
    this.#certificates = await ServingCertificates.issue({ ...this.#ports.certificate, hosts }, ports, nowMs);
    // INVARIANT: nothing is awaited from here to the listening, so a later stop finds a listener to close.
    if (this.#stopping.signal.aborted) return null;
    this.readiness.set('certificate', true);
    const { clock, log } = this.#ports;
    const app = createApp({
      judge: this.#createHandler(),
      unjudged: (request, why) => answerUnjudged(request, why, (lock) => this.#policies.settingsFor(lock)),
      limits: requestLimits,
      clock,
      log,
      metrics: this.#metrics.edge,
    });
    this.#https = createHttpsListener({
      handler: app,
      certificate: this.#certificates.served,
      limits: connectionLimits,
      metrics: this.#metrics.edge,
      readiness: this.readiness,
    });
    return this.#https.listen(this.#config.port, this.#config.bindAddress);
  }

  #createHandler(): ReturnType<typeof createHandler> {
    const { clock, log } = this.#ports;
    const pods = new PodStates(this.#client);
    const judge = new Judge({
      memories: this.#memories,
      monotonicNow: () => clock.monotonicMs(),
      settingsFor: (lock) => this.#policies.settingsFor(lock),
      podState: ({ namespace, name, uid }) => pods.podState(namespace, name, uid),
    });
    return createHandler({
      judge,
      log,
      countDecision: (kind, outcome, reason) => {
        this.#metrics.countDecision(kind, outcome, reason);
      },
      countRejection: (policy) => {
        this.#policies.countRejection(policy);
      },
    });
  }

  #createWatches(): ReadonlyMap<LockKind, Watch> {
    const { clock, log } = this.#ports;
    const create = (kind: LockKind): Watch =>
      lockWatch(kind, {
        client: this.#client,
        memories: this.#memories,
        metrics: this.#metrics.watch,
        clock,
        logger: log,
        onSynced: () => {
          this.#synced(kind);
        },
      });
    return new Map(lockKinds.map((kind) => [kind, create(kind)]));
  }

  #createPolicies(): GuardPolicies {
    const { clock, log } = this.#ports;
    return new GuardPolicies({
      client: this.#client,
      clock,
      logger: log,
      ownNamespace: this.#config.namespace,
      locks: (): Iterable<LockRef> => this.#memories.locks(),
      nowMs: () => this.#memories.serverTimeAt(clock.monotonicMs())?.min ?? clock.wallMs(),
      onSynced: (kind) => {
        this.#synced(kind);
      },
      onChange: () => {
        void this.#retry('webhook configuration not changed', null, () => this.#reconfigure());
      },
    });
  }

  #synced(kind: string): void {
    this.#unsynced.delete(kind);
    if (this.#unsynced.size > 0) {
      this.readiness.set('caches', false, `waiting for ${[...this.#unsynced].join(', ')}`);
      return;
    }
    this.readiness.set('caches', true);
  }

  async #register(port: number): Promise<void> {
    const { clock, log } = this.#ports;
    this.#port = port;
    this.#caBundle = this.#certificates?.caBundle ?? '';
    const desired = this.#desired();
    const onChange = (registered: boolean): void => {
      this.readiness.set('webhook', registered, registered ? 'ok' : 'not registered');
    };
    const registration = new WebhookRegistration(this.#client, desired, { clock, logger: log, onChange });
    this.#registration = registration;
    await this.#retry('webhook not registered', 'webhook', () => registration.register());
  }

  #desired(): WebhookConfiguration {
    return desiredConfiguration({
      address: webhookAddress(this.#config, this.#port, reviewPath),
      caBundle: this.#caBundle,
      ...this.#policies.calls(this.#config.inspectRenewals ? 'inspect' : 'skip'),
    });
  }

  async #publish(caBundle: string): Promise<void> {
    this.#caBundle = caBundle;
    await this.#reconfigure();
  }

  async #reconfigure(): Promise<void> {
    await this.#registration?.change(this.#desired());
  }

  readonly #reload = (certificate: { certPem: string; keyPem: string }): void => {
    this.#https?.reload(certificate);
    this.#ports.log.info({}, 'serving certificate replaced');
  };

  async #unregister(): Promise<void> {
    try {
      await this.#registration?.remove(this.#hurrying.signal);
    } catch (error) {
      const reason = error instanceof Error ? error.message : String(error);
      const remedy = 'kubectl delete validatingwebhookconfiguration lockwarden';
      this.#ports.log.error({ reason, remedy }, 'webhook configuration not removed');
    }
  }

  async #askServerTime(): Promise<number> {
    const { dateMs } = await this.#client.request({
      method: 'GET',
      path: '/version',
      signal: this.#stopping.signal,
    });
    return dateMs ?? this.#ports.clock.wallMs();
  }

  #retry<T>(
    message: string,
    condition: 'certificate' | 'webhook' | null,
    attempt: () => Promise<T>,
  ): Promise<T | null> {
    return untilAgreed(attempt, {
      logger: this.#ports.log,
      signal: this.#stopping.signal,
      message,
      onFailure: (reason) => {
        if (condition !== null) this.readiness.set(condition, false, reason);
      },
    });
  }

  #tick(): void {
    const now = this.#ports.clock.monotonicMs();
    const serverNow = this.#memories.serverTimeAt(now);
    this.#memories.sweep(now);
    void this.#policies.tend();
    if (serverNow === null) return;
    this.#metrics.serverClockWidthSeconds.set((serverNow.max - serverNow.min) / 1000);
    for (const [kind, watch] of this.#watches)
      this.#metrics.trackedLocks.set({ kind }, watch.status().tracked);
    this.#certificates?.tend(serverNow.min).catch((error: unknown) => {
      const reason = error instanceof Error ? error.message : String(error);
      this.#ports.log.warn({ reason }, 'serving certificate not renewed yet');
    });
  }
}
