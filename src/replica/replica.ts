/**
 * One replica among others, or one that is alone: serves what it may, says what it serves, stands for election, and does
 * a leader's duties while it leads. How reviews are answered is its guard's business.
 */
import { randomUUID } from 'node:crypto';
import type { KubeConfig } from '@kubernetes/client-node';
import type { Clock } from '../clock.ts';
import type { Standing } from '../certs/choose-leaf.ts';
import type { Plan } from '../certs/plan.ts';
import type { ElectionEvent, ElectionMetrics } from '../election/elector.ts';
import type { KubeClient } from '../kube/client.ts';
import { objectAt, stringAt } from '../kube/json.ts';
import type { Logger } from '../kube/ports.ts';
import {
  configurationName,
  configurationsPath,
  type WebhookConfiguration,
} from '../kube/webhook-configuration.ts';
import type { Certificates } from './certificates.ts';
import { Duties, type Errand, type Term } from './duties.ts';
import { electionName, Leadership } from './leadership.ts';
import { LeafKeeper, type ServedLeaf } from './leaf-keeper.ts';
import { BundleObserver, type ObservedBundles } from './observed-bundle.ts';
import { ObservedObject } from './observed-object.ts';
import { Registrar } from './registrar.ts';
import type { ToldPlan } from './presence.ts';
import { sharedRoster, soleRoster, type Roster } from './roster.ts';
import { toldPlan } from './told-plan.ts';
import { TrustWidener } from './trust-widener.ts';

/** How to stand for election. Times in milliseconds, with client-go's meaning. */
export interface Candidacy {
  readonly kubeconfig: KubeConfig;
  readonly leaseDurationMs: number;
  readonly renewDeadlineMs: number;
  readonly retryPeriodMs: number;
  readonly metrics: ElectionMetrics;
  readonly recordEvent: (event: ElectionEvent) => void;
}

/** What a source of certificates is given. */
export interface CertificateNeeds {
  readonly bundles: () => ObservedBundles | null;
  readonly onChange: () => void;
  readonly leads: (fence: number) => Promise<boolean>;
  /** To be told each plan of a leader. */
  readonly onPlan: (plan: Plan) => void;
}

/** What a replica needs. */
export interface ReplicaOptions {
  readonly client: KubeClient;
  /** lockwarden's own. */
  readonly namespace: string;
  /** As in a pod's name. */
  readonly name: string;
  readonly version: string;
  /** Null: this process is alone, and leads. */
  readonly candidacy: Candidacy | null;
  readonly certificates: (needs: CertificateNeeds) => Certificates;
  /** Where they come from when somebody else brings them, such as `secret/NAME`. */
  readonly brought?: string | undefined;
  /** The API server's time, in Unix milliseconds; null: not known yet. */
  readonly nowMs: () => number | null;
  /** The configuration that is wanted now, with a bundle (PEM text). */
  readonly desired: (caBundle: string) => WebhookConfiguration;
  /** What else the one that leads does. */
  readonly errand?: Errand | null;
  /** Whether calls could be answered, so that it makes sense to be called. */
  readonly mayRegister: () => boolean;
  readonly serve: (leaf: ServedLeaf) => Promise<void> | void;
  readonly withhold: () => void;
  /** Told after each look at what is served, and what API servers make of it. */
  readonly onLeaf: (served: ServedLeaf | null, standing: Standing) => void;
  readonly onReload: () => void;
  /** Told whether the API server has a configuration with entries, as this replica sees it. */
  readonly onObserved: (registered: boolean) => void;
  /** Told by a leader whether the configuration is as it should be, and why not. */
  readonly onRegistered: (registered: boolean, reason: string | null) => void;
  readonly onLeader: (leader: string | null, leads: boolean) => void;
  /** Told when a term has ended: what its leader had to say of plans holds no more. */
  readonly onResigned: () => void;
  readonly onFailure: () => void;
  readonly clock: Clock;
  readonly logger: Logger;
}

/** LIMIT: nothing here is due sooner; a certificate has seconds to spare even in tests. */
const tickMs = 1_000;

/** A replica. `start` it; `resign` and `stop` it, in this order. */
export class Replica {
  readonly #options: ReplicaOptions;
  readonly #bundles: BundleObserver;
  readonly #configuration: ObservedObject;
  readonly #certificates: Certificates;
  readonly #keeper: LeafKeeper;
  readonly #roster: Roster;
  readonly #widener: TrustWidener;
  readonly #leadership: Leadership | null;
  readonly #identity: string;
  readonly #resigning = new AbortController();
  /** What the last look at the leaf found; null: there was none yet. */
  #looked: { readonly served: ServedLeaf | null; readonly problem: string | null } | null = null;
  /** As long as this replica leads others. */
  #plan: ToldPlan | null = null;
  #duties: Duties | null = null;
  #registrar: Registrar | null = null;
  /** The term of a replica that is alone. */
  #alone: Promise<void> | null = null;
  #ticking: NodeJS.Timeout | null = null;

  constructor(options: ReplicaOptions) {
    const { client, clock, logger, namespace, name, nowMs, candidacy } = options;
    this.#options = options;
    this.#identity = `${name}_${randomUUID()}`;
    this.#bundles = new BundleObserver(clock);
    this.#configuration = new ObservedObject(
      {
        collection: configurationsPath,
        name: configurationName,
      },
      {
        ...{ client, clock, logger, what: `validatingwebhookconfiguration/${configurationName}` },
        onChange: () => {
          this.#configurationChanged();
        },
      },
    );
    this.#certificates = options.certificates({
      bundles: () => this.#bundles.observed,
      onChange: this.#changed,
      leads: (fence) => this.#leadsBy(fence),
      onPlan: this.#planned,
    });
    this.#keeper = this.#createKeeper();
    this.#widener = new TrustWidener({ client, clock, logger });
    const roster = candidacy === null ? soleRoster : sharedRoster;
    this.#roster = roster({ client, namespace, name, nowMs, clock, logger, onChange: this.#wake });
    this.#leadership = candidacy === null ? null : this.#createLeadership(candidacy);
  }

  /** Whether this replica leads. */
  get leads(): boolean {
    return this.#leadership?.leads ?? true;
  }

  start(): void {
    this.#configuration.start();
    this.#certificates.start();
    this.#roster.start();
    if (this.#leadership === null) this.#alone = this.#serveTerm(this.#soleTerm());
    else this.#leadership.start();
    this.#ticking = setInterval(() => {
      this.#keeper.look();
      if (this.leads) void this.#roster.tidy();
    }, tickMs).unref();
  }

  /** Something about the wanted configuration, or about whether it may be registered, has changed. */
  reconsider(): void {
    this.#wake();
  }

  /** Has the configuration in the cluster looked at, and put back where it differs. */
  mend(): void {
    this.#registrar?.look();
  }

  /** Says that it is about to end; whether it is the last that answers. Never rejects. */
  leave(signal: AbortSignal): Promise<boolean> {
    return this.#roster.leave(signal);
  }

  /** Leads no more, in good order: another may take over at once. What is served is served on. */
  async resign(): Promise<void> {
    this.#resigning.abort();
    await this.#leadership?.stop();
    await this.#alone;
  }

  /** Takes the registration away, where there is one of ours. @throws KubeError */
  async unregister(signal: AbortSignal): Promise<void> {
    await this.#registrar?.remove(signal);
  }

  /** Ends. */
  async stop(): Promise<void> {
    await this.resign();
    if (this.#ticking !== null) clearInterval(this.#ticking);
    await this.#keeper.stop();
    await this.#widener.stop();
    await Promise.all([this.#configuration.stop(), this.#certificates.stop(), this.#roster.stop()]);
  }

  #createKeeper(): LeafKeeper {
    const { nowMs, serve, withhold, onLeaf, onReload, onFailure, logger } = this.#options;
    return new LeafKeeper({
      choose: (served) => {
        const observed = this.#bundles.observed;
        const now = nowMs();
        return now === null || observed === null
          ? null
          : this.#certificates.choose({ nowMs: now, observed, served });
      },
      mint: (issuer) => this.#certificates.mint(issuer, nowMs() ?? 0),
      serve,
      withhold,
      onLooked: (served, standing) => {
        const { problem } = standing;
        this.#looked = { served, problem };
        this.#tell();
        onLeaf(served, standing);
        const now = nowMs();
        if (now === null) return;
        // A leader writes the whole configuration, and narrows it too.
        const isMissing = problem !== null && !this.leads;
        this.#widener.look(isMissing ? this.#certificates.needed(now) : null, now);
      },
      onReload,
      onFailure,
      logger,
    });
  }

  #createLeadership(candidacy: Candidacy): Leadership {
    const { namespace, clock, logger, onLeader } = this.#options;
    return new Leadership({
      ...candidacy,
      namespace,
      identity: this.#identity,
      clock,
      logger,
      onTerm: (term) => this.#serveTerm(term),
      onLeader: (leader) => {
        onLeader(leader, leader === this.#identity);
      },
    });
  }

  #soleTerm(): Term {
    const { signal } = this.#resigning;
    return {
      signal,
      fence: 0,
      guard: () => {
        signal.throwIfAborted();
      },
      remainingMs: () => (signal.aborted ? 0 : Infinity),
    };
  }

  async #serveTerm(term: Term): Promise<void> {
    const { client, clock, logger, desired, mayRegister, onFailure, onRegistered } = this.#options;
    const registrar = new Registrar({
      client,
      clock,
      logger,
      desired,
      beforeWrite: () => {
        term.guard();
        return term.remainingMs();
      },
      onChange: (registered) => {
        onRegistered(registered, null);
      },
    });
    const steward = this.#certificates.steward(() => this.#roster.living());
    this.#registrar = registrar;
    this.#duties = new Duties({
      steward,
      registrar,
      // Where nobody is called yet, nobody should be before there is an answer; where calls come already, trust comes first.
      mayRegister: () => mayRegister() && (this.#keeper.served !== null || this.#isCalled),
      onFailure,
      onUnregistered: (reason) => {
        onRegistered(false, reason);
      },
      logger,
    });
    try {
      const errand = this.#options.errand?.run(term);
      await this.#duties.run(term);
      // Whoever leads others gives leadership back when nothing of it goes on; alone, the registration goes first.
      if (this.#leadership !== null) await errand;
    } finally {
      this.#duties = null;
      this.#plan = null;
      this.#tell();
      this.#options.onResigned();
    }
  }

  readonly #planned = (plan: Plan): void => {
    // One that is alone has nobody to tell, and would only wake itself.
    if (this.#leadership === null) return;
    this.#plan = toldPlan(this.#plan, plan, this.#options.nowMs() ?? 0);
    this.#tell();
  };

  #tell(): void {
    if (this.#looked === null) return;
    const { served, problem } = this.#looked;
    const { version, brought } = this.#options;
    this.#roster.tell({
      servesLeaf: served?.fingerprint ?? null,
      leafNotAfterMs: served?.notAfterMs ?? null,
      hesitates: problem,
      version,
      brought,
      plan: this.#plan ?? undefined,
    });
  }

  get #isCalled(): boolean {
    return (this.#bundles.observed?.bundles ?? null) !== null;
  }

  #configurationChanged(): void {
    if (!this.#configuration.known) return;
    this.#bundles.observe(this.#configuration.object);
    this.#options.onObserved(this.#isCalled);
    this.#changed();
  }

  readonly #changed = (): void => {
    this.#keeper.look();
    this.#wake();
  };

  readonly #wake = (): void => {
    this.#duties?.wake();
    this.#options.errand?.wake();
  };

  /** Asked of the API server itself, which knows. */
  async #leadsBy(fence: number): Promise<boolean> {
    const { client, namespace } = this.#options;
    const path = `/apis/coordination.k8s.io/v1/namespaces/${namespace}/leases/${electionName}`;
    const spec = objectAt((await client.request({ method: 'GET', path })).body, 'spec');
    return stringAt(spec, 'holderIdentity') === this.#identity && (spec['leaseTransitions'] ?? 0) === fence;
  }
}
