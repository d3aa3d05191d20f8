/**
 * Certificates of our own: the authority in a Secret that all replicas watch, or in the memory of a process that is alone.
 */
import type { AuthorityReading } from '../certs/authority-state.ts';
import { bundleFor } from '../certs/bundle.ts';
import { mintLeaf, type Issuer } from '../certs/carry-out.ts';
import { chooseLeaf, type LeafChoice } from '../certs/choose-leaf.ts';
import type { ReplicaFacts } from '../certs/facts.ts';
import type { Lifetimes } from '../certs/lifetimes.ts';
import type { Plan, SecretAction } from '../certs/plan.ts';
import { readAuthority } from '../certs/read-authority.ts';
import type { ServableLeaf } from '../certs/verify.ts';
import type { KubeClient } from '../kube/client.ts';
import { objectAt } from '../kube/json.ts';
import type { Logger, MonotonicClock } from '../kube/ports.ts';
import { AuthoritySteward } from './authority-steward.ts';
import type { Certificates, ChoiceAt } from './certificates.ts';
import type { Steward } from './duties.ts';
import type { ObservedBundles } from './observed-bundle.ts';
import { ObservedObject } from './observed-object.ts';
import {
  authoritySecretName,
  MemoryStore,
  SecretStore,
  secretsOf,
  type AuthorityStore,
  type StoredSecret,
} from './secret-store.ts';

/** What an authority of our own needs. */
export interface OwnAuthorityOptions {
  readonly lifetimes: Lifetimes;
  readonly hosts: readonly string[];
  /** Which cluster this is; null: not known. */
  readonly cluster: () => string | null;
  readonly nowMs: () => number | null;
  readonly bundles: () => ObservedBundles | null;
  /** Told when there may be something else to serve, or to do. */
  readonly onChange: () => void;
  readonly leads: (fence: number) => Promise<boolean>;
  /** Told until when the authority in use is valid, in Unix milliseconds. */
  readonly onAuthority: (notAfterMs: number) => void;
  readonly onPlan: (plan: Plan) => void;
  readonly onStep: (step: SecretAction['kind'], why: string) => void;
  readonly logger: Logger;
}

/** Where the authority is kept in a cluster. */
export interface SecretPlace {
  readonly client: KubeClient;
  readonly namespace: string;
  readonly clock: MonotonicClock;
}

/** Where the authority is kept, and how its changes are seen. */
interface Keeping {
  readonly store: AuthorityStore;
  /** The Secret as last seen; undefined: nothing is known yet. */
  readonly seen: () => StoredSecret | undefined;
  readonly start: () => void;
  readonly stop: () => Promise<void>;
}

/** An authority in a Secret, shared by all replicas; without a place, one in memory. */
export class OwnAuthority implements Certificates {
  readonly #options: OwnAuthorityOptions;
  readonly #keeping: Keeping;

  constructor(place: SecretPlace | null, options: OwnAuthorityOptions) {
    this.#options = options;
    this.#keeping = place === null ? inMemory(options) : inSecret(place, options);
  }

  start(): void {
    this.#keeping.start();
  }

  async stop(): Promise<void> {
    await this.#keeping.stop();
  }

  choose({ nowMs, observed, served }: ChoiceAt): LeafChoice | null {
    const authority = this.#authority(nowMs);
    if (authority === null) return null;
    const { hosts, lifetimes, onAuthority } = this.#options;
    const current = authority.kind === 'state' ? authority.state.current : null;
    if (current !== null) onAuthority(current.certificate.notAfterMs);
    const { bundles, ageMs } = observed;
    const bundleSinceMs = nowMs - ageMs;
    return chooseLeaf({ authority, bundles, bundleSinceMs, hosts, nowMs, served, lifetimes });
  }

  needed(nowMs: number): string | null {
    const authority = this.#authority(nowMs);
    return authority?.kind === 'state' ? bundleFor(authority.state, nowMs) : null;
  }

  mint(issuer: Issuer, nowMs: number): Promise<ServableLeaf> {
    const { hosts, lifetimes } = this.#options;
    return mintLeaf(issuer, { nowMs, hosts, lifetimes });
  }

  steward(replicas: () => readonly ReplicaFacts[]): Steward {
    return new AuthoritySteward({ ...this.#options, store: this.#keeping.store, replicas });
  }

  #authority(nowMs: number): AuthorityReading | null {
    const secret = this.#keeping.seen();
    if (secret === undefined) return null;
    return readAuthority(objectAt(secret, 'data'), nowMs, this.#options.cluster());
  }
}

function inMemory({ onChange }: OwnAuthorityOptions): Keeping {
  let secret: StoredSecret = null;
  const store = new MemoryStore((stored) => {
    secret = stored;
    onChange();
  });
  return { store, seen: () => secret, start: () => undefined, stop: () => Promise.resolve() };
}

function inSecret({ client, namespace, clock }: SecretPlace, options: OwnAuthorityOptions): Keeping {
  const { onChange, logger } = options;
  const secret = new ObservedObject(
    { collection: secretsOf(namespace), name: authoritySecretName },
    { client, clock, logger, what: `secret/${authoritySecretName}`, onChange },
  );
  return {
    store: new SecretStore(client, namespace),
    seen: () => (secret.known ? secret.object : undefined),
    start: () => {
      secret.start();
    },
    stop: () => secret.stop(),
  };
}
