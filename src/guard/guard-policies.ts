/**
 * The policies of the cluster, as a guard uses them: what holds for a lock, how the API server is to call for it, and what the
 * policies' statuses say.
 */
import type { LockRef } from '../core/lock.ts';
import type { Settings } from '../core/settings.ts';
import type { KubeClient } from '../kube/client.ts';
import type { Logger, MonotonicClock } from '../kube/ports.ts';
import type { ConfigurationOptions } from '../kube/webhook-configuration.ts';
import { nodeNamespace } from '../policy/built-in.ts';
import { callClasses, namesLeasesOf, unnamedNotLocks } from '../policy/classes.ts';
import type { Effective } from '../policy/effective.ts';
import { PolicyStore } from '../policy/store.ts';
import { protectionOf } from '../switch/protection.ts';
import { switchScope, type SwitchScope } from '../switch/terms.ts';
import { PolicyStatusKeeper } from './policy-status.ts';
import { PolicyWatch, type WatchedKind } from './policy-watch.ts';

/** What the policies need from their guard. */
export interface GuardPoliciesOptions {
  readonly client: KubeClient;
  readonly clock: MonotonicClock;
  readonly logger: Logger;
  readonly ownNamespace: string;
  readonly locks: () => Iterable<LockRef>;
  /** Unix milliseconds; the API server's time where it is known. */
  readonly nowMs: () => number;
  /** Whether this replica leads, and so owns the statuses. */
  readonly leads: () => boolean;
  /** Whether the switch is in the cluster, as far as is known. */
  readonly standsIn: () => boolean;
  readonly onSynced: (kind: WatchedKind) => void;
  /** Called when the API server may have to call otherwise than before: soon after a change, once for many. */
  readonly onChange: () => void;
}

/** LIMIT: a policy takes effect within two seconds; a list of five thousand, as one change. */
const settleMs = 100;

/** The policies of one cluster. */
export class GuardPolicies {
  readonly #options: GuardPoliciesOptions;
  readonly #store: PolicyStore;
  readonly #watch: PolicyWatch;
  readonly #keeper: PolicyStatusKeeper;
  #told = 0;
  /** By version of the store: it is asked for far more often than policies change. */
  #scope: { readonly version: number; readonly scope: SwitchScope } | null = null;
  #settling: NodeJS.Timeout | null = null;

  constructor(options: GuardPoliciesOptions) {
    const { client, clock, logger, ownNamespace, locks, nowMs, leads, standsIn, onSynced } = options;
    this.#options = options;
    this.#store = new PolicyStore(ownNamespace);
    this.#keeper = new PolicyStatusKeeper({
      ...{ client, store: this.#store, logger, locks, nowMs, leads },
      protectionOf: (lock, effective) =>
        protectionOf(lock, effective, standsIn() ? this.switchScope() : null),
    });
    this.#watch = new PolicyWatch({
      client,
      clock,
      logger,
      store: this.#store,
      onSynced: (kind) => {
        onSynced(kind);
        this.#settle();
      },
      onObject: (ref, object) => {
        this.#keeper.observe(ref, object);
        this.#settle();
      },
      onNamespace: () => {
        this.#settle();
      },
    });
  }

  start(): void {
    this.#watch.start();
  }

  /** Ends; resolves when nothing is watched and nothing written any more. */
  async stop(): Promise<void> {
    if (this.#settling !== null) clearTimeout(this.#settling);
    await Promise.all([this.#watch.stop(), this.#keeper.stop()]);
  }

  /** What holds for a lock, from memory; null: it is not judged. */
  settingsFor(lock: LockRef): Settings | null {
    return this.#store.effectiveFor(lock)?.settings ?? null;
  }

  /** The same, and which policies it comes from. */
  effectiveFor(lock: LockRef): Effective | null {
    return this.#store.effectiveFor(lock);
  }

  /** Whether any Lease of a node may be judged. */
  get namesNodes(): boolean {
    return namesLeasesOf(this.#store, nodeNamespace);
  }

  /** How the API server is to call. `renewals` is for namespaces of which no policy says anything. */
  calls(
    renewals: 'skip' | 'inspect',
  ): Pick<ConfigurationOptions, 'leases' | 'records' | 'notLocks' | 'ownNamespace'> {
    const { ownNamespace } = this.#options;
    return {
      ownNamespace,
      leases: { renewals, ...callClasses(this.#store, ['Lease'], ownNamespace) },
      records: { renewals, ...callClasses(this.#store, ['ConfigMap', 'Endpoints'], ownNamespace) },
      notLocks: unnamedNotLocks(this.#store),
    };
  }

  /** For which locks the switch stands in while lockwarden is down. */
  switchScope(): SwitchScope {
    const { version } = this.#store;
    if (this.#scope?.version !== version)
      this.#scope = { version, scope: switchScope(this.#store, this.#options.ownNamespace) };
    return this.#scope.scope;
  }

  /** A write was refused under the policy that its decision names. */
  countRejection(policy: string): void {
    this.#keeper.refused(policy);
  }

  /** Brings the statuses up to date. Never rejects. */
  tend(): Promise<void> {
    return this.#keeper.refresh();
  }

  #settle(): void {
    this.#settling ??= setTimeout(() => {
      this.#settling = null;
      if (this.#store.version !== this.#told) {
        this.#told = this.#store.version;
        this.#options.onChange();
      }
      void this.#keeper.refresh();
    }, settleMs);
  }
}
