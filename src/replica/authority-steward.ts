/**
 * Carries a rotation on, one step at a time: facts to the plan, what the plan says to the Secret and the configuration.
 */
import { secretData, type AuthorityReading, type AuthorityState } from '../certs/authority-state.ts';
import { bundleFor, kept, trustsAll } from '../certs/bundle.ts';
import { carryOut } from '../certs/carry-out.ts';
import type { AuthorityFacts, ReplicaFacts } from '../certs/facts.ts';
import type { Lifetimes } from '../certs/lifetimes.ts';
import { plan, type Plan, type SecretAction } from '../certs/plan.ts';
import { readAuthority } from '../certs/read-authority.ts';
import { objectAt } from '../kube/json.ts';
import type { Logger } from '../kube/ports.ts';
import type { Steward, Term } from './duties.ts';
import type { ObservedBundles } from './observed-bundle.ts';
import { fenceIn, rotationAsked, type AuthorityStore, type StoredSecret } from './secret-store.ts';

/** What a steward needs. */
export interface AuthorityStewardOptions {
  readonly store: AuthorityStore;
  readonly lifetimes: Lifetimes;
  /** What the leaf has to name. */
  readonly hosts: readonly string[];
  /** Which cluster this is; null: not known. */
  readonly cluster: () => string | null;
  /** The API server's time, in Unix milliseconds; null: not known yet. */
  readonly nowMs: () => number | null;
  readonly bundles: () => ObservedBundles | null;
  /** The replicas that live. */
  readonly replicas: () => readonly ReplicaFacts[];
  /** Whether the election's Lease names this replica and this term: asked when a fence says otherwise. */
  readonly leads: (fence: number) => Promise<boolean>;
  /** Told each plan that is new, and each step that was written. */
  readonly onPlan: (plan: Plan) => void;
  readonly onStep: (step: SecretAction['kind'], why: string) => void;
  readonly logger: Logger;
}

/** The steward of an authority of our own. */
export class AuthoritySteward implements Steward {
  readonly #options: AuthorityStewardOptions;
  /** As it was read or written last; undefined: to be read. */
  #secret: StoredSecret | undefined = undefined;
  /** The bundle that the configuration is to carry until the plan says otherwise. */
  #bundle: string | null = null;
  /** Counts what was noticed, so that an answer which was under way meanwhile is not taken for the latest. */
  #noticed = 0;

  constructor(options: AuthorityStewardOptions) {
    this.#options = options;
  }

  notice(): void {
    this.#noticed += 1;
    this.#secret = undefined;
  }

  async step(term: Term, publish: (caBundle: string) => Promise<void>): Promise<boolean> {
    const { nowMs, bundles, lifetimes, onPlan, cluster } = this.#options;
    const now = nowMs();
    const observed = bundles();
    if (now === null || observed === null) return false;
    const secret = await this.#read(() => this.#publishKnown(observed, publish));
    const authority = readAuthority(objectAt(secret, 'data'), now, cluster());
    const facts: AuthorityFacts = {
      nowMs: now,
      authority,
      bundles: observed.bundles,
      bundleSinceMs: now - observed.ageMs,
      replicas: this.#options.replicas(),
      hosts: this.#options.hosts,
      request: rotationAsked(secret),
    };
    const planned = plan(facts, lifetimes);
    onPlan(planned);
    this.#bundle = bundleOf(planned, this.#bundle, facts);
    const action = planned.actions.find((each) => each.writes === 'secret');
    // Neither write depends on the other, so one that fails does not keep the other from being tried.
    const outcomes = await Promise.allSettled([
      this.#bundle === null ? null : publish(this.#bundle),
      action === undefined ? null : this.#write(action, { term, secret, authority, nowMs: now }),
    ]);
    for (const outcome of outcomes) {
      if (outcome.status === 'fulfilled') continue;
      this.#secret = undefined;
      throw outcome.reason;
    }
    return action !== undefined;
  }

  /**
   * The Secret, from memory where nothing has changed since it was read.
   *
   * @param onFailure what is to be done all the same when it cannot be read, before that is told
   */
  async #read(onFailure: () => Promise<void>): Promise<StoredSecret> {
    if (this.#secret !== undefined) return this.#secret;
    try {
      return await this.#answer(() => this.#options.store.read());
    } catch (error) {
      await onFailure();
      throw error;
    }
  }

  /** Policies take effect whether or not the authority can be read: the trust that is known is as good as it was. */
  async #publishKnown(
    { bundles }: ObservedBundles,
    publish: (caBundle: string) => Promise<void>,
  ): Promise<void> {
    const [standing, ...others] = new Set(bundles ?? []);
    // Where entries differ, one of them may be a stranger's edit, which nobody can tell without the Secret.
    const known = this.#bundle ?? (others.length === 0 ? standing : undefined);
    if (known !== undefined) await publish(known);
  }

  /** What the store answers, remembered unless something has changed since it was asked. */
  async #answer(ask: () => Promise<StoredSecret>): Promise<StoredSecret> {
    const noticed = this.#noticed;
    const secret = await ask();
    this.#secret = noticed === this.#noticed ? secret : undefined;
    return secret;
  }

  async #write(
    action: SecretAction,
    {
      term,
      secret,
      authority,
      nowMs,
    }: {
      readonly term: Term;
      readonly secret: StoredSecret;
      readonly authority: AuthorityReading;
      readonly nowMs: number;
    },
  ): Promise<void> {
    const { store, hosts, lifetimes, cluster, logger, onStep, leads } = this.#options;
    const state: AuthorityState | null = authority.kind === 'state' ? authority.state : null;
    const wanted = await carryOut(action, state, { nowMs, hosts, lifetimes, cluster: cluster() });
    // The Lease may have been deleted and made anew, and counts from zero again: then it alone says who leads.
    if (fenceIn(secret) > term.fence && !(await leads(term.fence))) {
      throw new Error('a later leader has written the authority; this replica leads no more');
    }
    term.guard();
    const leave = { fence: term.fence, timeoutMs: term.remainingMs() };
    await this.#answer(() => store.write(secretData(wanted), secret, leave));
    logger.info({ step: action.kind, reason: action.why, fence: term.fence }, 'authority step');
    onStep(action.kind, action.why);
  }
}

/** What the plan says; else what was said before; else, at the beginning of a term, whatever is trusted stays trusted. */
function bundleOf(planned: Plan, before: string | null, facts: AuthorityFacts): string | null {
  const said = planned.actions.find((each) => each.writes === 'bundle')?.bundle;
  const { authority, bundles, nowMs } = facts;
  if (said !== undefined || authority.kind !== 'state') return said ?? null;
  const needed = bundleFor(authority.state, nowMs);
  if (needed === '') return null;
  return before !== null && trustsAll(before, needed) ? before : kept(needed, bundles ?? [], nowMs);
}
