/**
 * A serving process, wired together: what it sees (watches, the API server's clock), what decides, what answers, and
 * its registration. Nothing here decides anything.
 */
import { LockMemories } from '../admission/lock-memories.ts';
import type { Clock } from '../clock.ts';
import { reviewPath, type ServeConfig } from '../config.ts';
import { lockKinds, type LockRef } from '../core/lock.ts';
import { createKubeClient, type KubeClient } from '../kube/client.ts';
import { clusterIdentity } from '../kube/cluster-identity.ts';
import type { EventRecorder } from '../kube/event-recorder.ts';
import type { JsonObject } from '../kube/json.ts';
import { loadKubeconfig } from '../kube/kubeconfig.ts';
import { desiredConfiguration, type WebhookConfiguration } from '../kube/webhook-configuration.ts';
import { isNodeLease } from '../policy/built-in.ts';
import type { ReadApi } from '../read-api/read-api.ts';
import type { Replica } from '../replica/replica.ts';
import type { Log } from '../review/logger.ts';
import { RecentRejections } from '../review/recent.ts';
import { createHealthServer, type HealthServer } from '../server/health.ts';
import type { HttpsListener } from '../server/https.ts';
import { createMetrics, type Metrics } from '../server/metrics.ts';
import { Readiness } from '../server/readiness.ts';
import { inertObjects, switchObjects } from '../switch/policies.ts';
import { webhookAddress } from './address.ts';
import { Caches, usefulPatienceMs } from './caches.ts';
import type { Canary } from './canary.ts';
import { createEdge } from './edge.ts';
import { aborted, Ending } from './ending.ts';
import { guardCanary } from './guard-canary.ts';
import { guardEvents } from './guard-events.ts';
import { GuardPolicies } from './guard-policies.ts';
import type { GuardLease } from './guard-lease.ts';
import { guardReadApi } from './guard-read-api.ts';
import { guardReplica } from './guard-replica.ts';
import { guardSwitch } from './guard-switch.ts';
import { LockTally } from './lock-tally.ts';
import { LockWatches } from './lock-watches.ts';
import { watchedKinds } from './policy-watch.ts';
import { untilAgreed } from './retry.ts';
import { GuardReviews } from './reviews.ts';
import { ServerNow } from './server-now.ts';
import { SharedFacts } from './shared-facts.ts';
import { SwitchKeeper } from './switch-keeper.ts';

/** What a guard needs from its process. */
export interface GuardPorts {
  readonly log: Log;
  readonly clock: Clock;
  /** Of the program. */
  readonly version?: string;
  /** Adds metrics of the process itself; once a process. */
  readonly processMetrics?: boolean;
}

/** As it is called in the line of readiness. */
const sharedFactsKind = 'SharedFacts';
/** LIMIT: gauges are scraped every fifteen seconds or so. */
const tickMs = 5_000;

/** A guard of one cluster. `start` it, `stop` it; both may be called in any order, `stop` more than once. */
export class Guard {
  readonly readiness: Readiness;
  readonly #config: ServeConfig;
  readonly #ports: GuardPorts;
  readonly #client: KubeClient;
  readonly #memories = new LockMemories({
    isApart: isNodeLease,
    onFacts: (lock, facts) => {
      this.#sharedFacts.publish(lock, facts);
    },
    onShown: (lock, before, after) => {
      this.#tally.shown(lock, before, after);
    },
  });
  readonly #tally: LockTally;
  readonly #caches = new Caches({ needed: watchedKinds, useful: [...lockKinds, sharedFactsKind] });
  readonly #metrics: Metrics;
  readonly #health: HealthServer;
  readonly #edge: HttpsListener;
  readonly #recent = new RecentRejections();
  /** Null: nobody is told anything. */
  readonly #readApi: ReadApi | null;
  readonly #watches: LockWatches;
  readonly #policies: GuardPolicies;
  /** Null: others write what stands in for lockwarden. */
  readonly #switch: SwitchKeeper | null;
  readonly #replica: Replica;
  readonly #events: EventRecorder;
  /** Apart from lockwarden's own, so that a storm of refusals drowns no election. */
  readonly #lockEvents: EventRecorder;
  readonly #reviews: GuardReviews;
  readonly #canary: Canary;
  /** Null: the switch is left off. */
  readonly #guardLease: GuardLease | null;
  readonly #sharedFacts: SharedFacts;
  readonly #serverNow: ServerNow;
  readonly #ending: Ending;
  #isRegistered = false;
  #hasBegun = false;
  readonly #registered = Promise.withResolvers<undefined>();
  readonly #stopping = new AbortController();
  /** The port that is really listened on. */
  #port = 0;
  /** Which cluster this is; null: not known. */
  #cluster: string | null = null;
  #ticking: NodeJS.Timeout | null = null;
  /** Ends the wait for what is only useful. */
  #waiting: NodeJS.Timeout | null = null;
  #stopped: Promise<void> | null = null;

  /** @throws LockwardenError when the kubeconfig cannot be used */
  constructor(config: ServeConfig, ports: GuardPorts) {
    const { kubeconfig: file, context } = config;
    this.#config = config;
    this.#ports = ports;
    const kubeconfig = loadKubeconfig({ file: file ?? undefined, context: context ?? undefined });
    this.#client = createKubeClient(kubeconfig);
    this.#serverNow = new ServerNow(this.#client, this.#memories, ports.clock);
    this.#metrics = createMetrics(ports.clock, { processMetrics: ports.processMetrics ?? false });
    this.readiness = new Readiness(
      // Among several, a replica that could answer must be reachable before anybody is told to call it.
      config.election === null
        ? ['certificate', 'caches', 'webhook', 'serving']
        : ['certificate', 'caches', 'serving'],
    );
    this.#metrics.followReadiness(() => this.readiness.ready);
    this.#tally = this.#createTally();
    this.#metrics.locks.follow(this.#tally);
    this.#health = createHealthServer(this.readiness, this.#metrics.registry);
    this.#policies = this.#createPolicies();
    this.#watches = this.#createWatches();
    const events = { client: this.#client, replicaName: config.replicaName, metrics: this.#metrics };
    this.#events = guardEvents({ ...events, ...ports, nowMs: () => this.#serverNow.atLeastMs });
    this.#lockEvents = guardEvents({ ...events, ...ports, nowMs: () => this.#serverNow.atLeastMs });
    this.#reviews = this.#createReviews();
    this.#edge = this.#createEdge();
    this.#switch = config.generatePolicies ? this.#createSwitch() : null;
    this.#readApi = this.#createReadApi();
    this.#replica = this.#createReplica(kubeconfig);
    this.#guardLease = config.standIn ? this.#createGuardLease() : null;
    this.#canary = this.#createCanary();
    this.#sharedFacts = this.#createSharedFacts();
    this.#ending = this.#createEnding();
  }

  /**
   * Serves and has itself registered. Resolves when that is so, or when stopped meanwhile: an API server that does not
   * answer, or that refuses what is needed, is asked again for as long as it takes.
   *
   * @throws LockwardenError when a port cannot be listened on
   */
  async start(): Promise<void> {
    const { log } = this.#ports;
    const { healthPort: wanted, port, bindAddress } = this.#config;
    const healthPort = await this.#health.listen(wanted, bindAddress);
    log.info({ healthPort }, 'health port listening');
    this.#port = await this.#edge.listen(port, bindAddress);
    log.info({ port: this.#port, server: this.#client.server }, 'webhook listening');
    if (this.#readApi !== null) {
      const readPort = await this.#readApi.listen(this.#config.readPort ?? 0, bindAddress);
      log.info({ readPort }, 'read API listening');
    }
    const heard = await this.#retry('API server not reached', () => this.#meetServer());
    if (heard === null) return;
    this.#hasBegun = true;
    this.#waiting = setTimeout(() => {
      this.#caches.waited();
      this.#lookAtCaches();
    }, usefulPatienceMs).unref();
    this.#serverNow.start();
    this.#watches.start();
    this.#policies.start();
    this.#replica.start();
    this.#sharedFacts.start();
    this.#guardLease?.start();
    this.#reviews.start();
    this.#ticking = setInterval(() => {
      this.#tick();
    }, tickMs).unref();
    await Promise.race([this.#registered.promise, aborted(this.#stopping.signal)]);
  }

  /** Counts a log line that could not be written: the log itself cannot tell. */
  lineDropped(): void {
    this.#metrics.logLinesDropped.inc();
  }

  /**
   * Leads no more; alone, removes the registration. Then answers whoever still calls, and ends. A second call cuts what
   * is left.
   */
  stop(): Promise<void> {
    if (this.#stopped !== null) this.#ending.hurry();
    this.#stopped ??= this.#stopOnce();
    return this.#stopped;
  }

  async #stopOnce(): Promise<void> {
    this.#stopping.abort();
    await this.#ending.run();
    if (this.#ticking !== null) clearInterval(this.#ticking);
    if (this.#waiting !== null) clearTimeout(this.#waiting);
    await this.#health.close();
    this.#client.close();
  }

  #createEnding(): Ending {
    const others = [this.#events, this.#lockEvents, this.#serverNow, this.#policies];
    return new Ending(this.#config, {
      canary: this.#canary,
      guardLease: this.#guardLease,
      hasBegun: () => this.#hasBegun,
      replica: this.#replica,
      switchKeeper: this.#switch,
      edge: this.#edge,
      readApi: this.#readApi,
      reviews: this.#reviews,
      others: [...others, this.#sharedFacts, this.#watches],
      log: this.#ports.log,
    });
  }

  #createEdge(): HttpsListener {
    const { clock, log } = this.#ports;
    return createEdge({
      client: this.#client,
      namespace: this.#config.namespace,
      memories: this.#memories,
      policies: this.#policies,
      reviews: this.#reviews,
      metrics: this.#metrics,
      readiness: this.readiness,
      clock,
      log,
    });
  }

  #createReviews(): GuardReviews {
    const { clock, log } = this.#ports;
    return new GuardReviews({
      instance: this.#config.replicaName,
      clock,
      nowMs: () => this.#serverNow.toldMs,
      log,
      recordEvent: (happening, times) => {
        this.#lockEvents.record(happening, times);
      },
      countRejection: (policy) => {
        this.#policies.countRejection(policy);
      },
      onDrop: (record) => {
        this.#metrics.reviewsDropped.inc({ record });
      },
      onRecord: (record) => {
        this.#recent.told(record);
      },
    });
  }

  #createReadApi(): ReadApi | null {
    const { clock, log } = this.#ports;
    return guardReadApi({
      config: this.#config,
      client: this.#client,
      recent: this.#recent,
      memories: this.#memories,
      policies: this.#policies,
      metrics: this.#metrics,
      nowMs: () => this.#serverNow.toldMs,
      clock,
      log,
    });
  }

  #createReplica(kubeconfig: ReturnType<typeof loadKubeconfig>): Replica {
    const { clock, log, version = '' } = this.#ports;
    return guardReplica({
      config: this.#config,
      kubeconfig,
      client: this.#client,
      version,
      edge: {
        reload: (certificate) => {
          this.#edge.reload(certificate);
          this.#readApi?.reload(certificate);
        },
        withhold: () => {
          this.#edge.withhold();
          this.#readApi?.withhold();
        },
      },
      metrics: this.#metrics.replica,
      readiness: this.readiness,
      nowMs: () => this.#serverNow.atLeastMs,
      cluster: () => this.#cluster,
      desired: (caBundle) => this.#desired(caBundle),
      errand: this.#switch,
      mayRegister: () => this.#caches.state.ready,
      onRegistered: () => {
        this.#onRegistered();
      },
      record: (happening) => {
        this.#events.record(happening);
      },
      clock,
      log,
    });
  }

  #createSwitch(): SwitchKeeper {
    const { clock, log } = this.#ports;
    return new SwitchKeeper({
      client: this.#client,
      clock,
      logger: log,
      isAlone: this.#config.election === null,
      desired: () => this.#desiredSwitch(),
    });
  }

  /** What stands in for lockwarden; null before it is asked itself, and knows for which locks. */
  #desiredSwitch(): ((username: string) => readonly JsonObject[]) | null {
    const { namespace: ownNamespace, standIn } = this.#config;
    if (!standIn) return () => inertObjects(ownNamespace);
    if (!this.#isRegistered || !this.#caches.state.ready) return null;
    const scope = this.#policies.switchScope();
    return (username) => switchObjects({ scope, ownNamespace, username });
  }

  #createCanary(): Canary {
    const { clock, log } = this.#ports;
    return guardCanary({
      client: this.#client,
      namespace: this.#config.namespace,
      clock,
      logger: log,
      metrics: this.#metrics.canary,
      readiness: this.readiness,
      mend: () => {
        this.#replica.mend();
      },
      onProof: (proof) => {
        this.#guardLease?.proven(proof);
      },
    });
  }

  #createGuardLease(): GuardLease {
    const { clock, log } = this.#ports;
    return guardSwitch({
      client: this.#client,
      namespace: this.#config.namespace,
      name: this.#config.replicaName,
      memories: this.#memories,
      clock,
      logger: log,
      metrics: this.#metrics.guardLease,
    });
  }

  #createWatches(): LockWatches {
    const { clock, log } = this.#ports;
    return new LockWatches({
      client: this.#client,
      memories: this.#memories,
      metrics: this.#metrics.watch,
      clock,
      logger: log,
      onSynced: (kind) => {
        this.#synced(kind);
      },
    });
  }

  #createTally(): LockTally {
    const { clock } = this.#ports;
    return new LockTally({
      monotonicNow: () => clock.monotonicMs(),
      serverNow: () => this.#serverNow.bounds,
      onLag: (kind, seconds) => {
        this.#metrics.locks.watchLagSeconds.observe({ kind }, seconds);
      },
    });
  }

  #createSharedFacts(): SharedFacts {
    const { clock, log } = this.#ports;
    return new SharedFacts({
      client: this.#client,
      namespace: this.#config.namespace,
      clock,
      logger: log,
      metrics: this.#metrics.sharedFacts,
      onFacts: (lock, facts) => {
        this.#memories.told(lock, facts, clock.monotonicMs());
      },
      onSynced: () => {
        this.#synced(sharedFactsKind);
      },
      isGone: (lock) => this.#memories.isGone(lock),
      serverNow: () => this.#serverNow.bounds,
    });
  }

  #createPolicies(): GuardPolicies {
    const { clock, log } = this.#ports;
    return new GuardPolicies({
      client: this.#client,
      clock,
      logger: log,
      ownNamespace: this.#config.namespace,
      locks: (): Iterable<LockRef> => this.#memories.locks(),
      nowMs: () => this.#serverNow.toldMs,
      leads: () => this.#replica.leads,
      // What others write is taken to be there.
      standsIn: () => this.#config.standIn && (this.#switch?.standsIn ?? true),
      onSynced: (kind) => {
        // Before the caches are: what a policy names is waited for, too.
        this.#includeNodes();
        this.#synced(kind);
      },
      onChange: () => {
        this.#includeNodes();
        this.#replica.reconsider();
      },
    });
  }

  /** The Leases of nodes are watched once a policy names them. */
  #includeNodes(): void {
    if (!this.#policies.namesNodes || !this.#watches.includeNodes()) return;
    this.#caches.alsoUseful('NodeLease');
    this.#lookAtCaches();
  }

  #synced(kind: string): void {
    this.#caches.filled(kind);
    this.#lookAtCaches();
  }

  #lookAtCaches(): void {
    const { ready, why } = this.#caches.state;
    this.readiness.set('caches', ready, why);
    if (ready) this.#replica.reconsider();
  }

  #onRegistered(): void {
    if (this.#stopping.signal.aborted || this.#isRegistered) return;
    this.#isRegistered = true;
    this.#ports.log.info({}, 'lockwarden registered');
    this.#registered.resolve(undefined);
    this.#switch?.wake();
    this.#canary.start();
  }

  #desired(caBundle: string): WebhookConfiguration {
    return desiredConfiguration({
      address: webhookAddress(this.#config, this.#port, reviewPath),
      caBundle,
      ...this.#policies.calls(this.#config.inspectRenewals ? 'inspect' : 'skip'),
    });
  }

  /** Learns what has to be known before anything begins: what time it is, and which cluster this is. */
  async #meetServer(): Promise<true> {
    const { signal } = this.#stopping;
    this.#cluster = await clusterIdentity(this.#client, signal);
    await this.#serverNow.learn(signal);
    return true;
  }

  #retry<T>(message: string, attempt: () => Promise<T>): Promise<T | null> {
    return untilAgreed(attempt, {
      logger: this.#ports.log,
      signal: this.#stopping.signal,
      message,
      onFailure: (reason) => {
        this.readiness.set('certificate', false, reason);
      },
    });
  }

  #tick(): void {
    this.#memories.sweep(this.#ports.clock.monotonicMs());
    void this.#policies.tend();
    const serverNow = this.#serverNow.bounds;
    if (serverNow === null) return;
    this.#metrics.serverClockWidthSeconds.set((serverNow.max - serverNow.min) / 1000);
    for (const kind of lockKinds) this.#metrics.locks.tracked.set({ kind }, this.#watches.tracked(kind));
  }
}
