/**
 * Keeps the status of policies: what lockwarden makes of them, how many locks they cover, how much was refused under them. Off the
 * admission path, and in no hurry: a status that is late misleads nobody.
 *
 * The leader writes all of it. What was refused is known to whoever refused it, so each replica adds its own refusals to
 * the count that stands there; every write is a compare-and-swap, so none is lost and none counts twice.
 */
import type { LockRef } from '../core/lock.ts';
import { messageOf } from '../errors.ts';
import type { KubeClient } from '../kube/client.ts';
import { KubeError } from '../kube/errors.ts';
import { objectAt } from '../kube/json.ts';
import type { Logger } from '../kube/ports.ts';
import type { WatchedObject } from '../kube/resource.ts';
import { clusterLockPolicy, type PolicyStatus } from '../policy/api.ts';
import { describePolicy, type PolicyRef } from '../policy/policy-ref.ts';
import type { Conflict, Effective } from '../policy/effective.ts';
import { statusOf, statusPath } from '../policy/status.ts';
import type { PolicyStore, StoredPolicy } from '../policy/store.ts';
import type { Protection } from '../switch/protection.ts';

/** What the keeper needs. */
export interface PolicyStatusOptions {
  readonly client: KubeClient;
  readonly store: PolicyStore;
  readonly logger: Logger;
  readonly locks: () => Iterable<LockRef>;
  /** Unix milliseconds; the API server's time where it is known. */
  readonly nowMs: () => number;
  /** What guards a lock while lockwarden is down. */
  readonly protectionOf: (lock: LockRef, effective: Effective) => Protection;
  /** Whether this replica leads now. Default: it does. */
  readonly leads?: () => boolean;
}

/** LIMIT: resolving one lock takes some 10 us, so a batch keeps nobody else waiting for more than a few milliseconds. */
const batch = 500;

/** The keeper of statuses. */
export class PolicyStatusKeeper {
  readonly #options: PolicyStatusOptions;
  /** The objects as they are, for their resource versions and statuses. */
  readonly #objects = new Map<string, WatchedObject>();
  /** Refusals that stand in no status yet. */
  readonly #rejections = new Map<string, number>();
  #running: Promise<void> | null = null;
  #stopped = false;

  constructor(options: PolicyStatusOptions) {
    this.#options = options;
  }

  /** The object of a policy as it now is; null: it is gone. */
  observe(ref: PolicyRef, object: WatchedObject | null): void {
    const key = describePolicy(ref);
    if (object !== null) {
      this.#objects.set(key, object);
      return;
    }
    this.#objects.delete(key);
    this.#rejections.delete(key);
  }

  /** A write was refused under the policy that is called `policy` in its decision. */
  refused(policy: string): void {
    if (this.#objects.has(policy)) this.#rejections.set(policy, (this.#rejections.get(policy) ?? 0) + 1);
  }

  /** Writes what has changed; one run at a time. Never rejects. */
  refresh(): Promise<void> {
    this.#running ??= this.#run().finally(() => {
      this.#running = null;
    });
    return this.#running;
  }

  /** Ends; resolves when nothing is being written any more. */
  async stop(): Promise<void> {
    this.#stopped = true;
    await this.#running;
  }

  async #run(): Promise<void> {
    if (this.#objects.size === 0) return;
    const { store, leads = () => true } = this.#options;
    if (leads()) {
      const matched = await this.#count();
      for (const policy of [...store.policies]) {
        // Thousands take a while, and the next leader writes them too.
        if (!leads()) return;
        await this.#write(policy, matched);
      }
      return;
    }
    const refused = [...store.policies].filter(({ ref }) => this.#rejections.has(describePolicy(ref)));
    for (const policy of refused) await this.#write(policy, null);
  }

  async #count(): Promise<ReadonlyMap<string, Matched>> {
    const { store, locks, protectionOf } = this.#options;
    const matched = new Map<string, Matched>();
    let counted = 0;
    // NB: a copy, since what is renewed between two batches moves to the end, and would be met again.
    for (const lock of [...locks()]) {
      const effective = store.effectiveFor(lock);
      if (effective !== null) addTo(matched, effective, protectionOf(lock, effective));
      counted += 1;
      if (counted % batch === 0) await new Promise(setImmediate);
    }
    return matched;
  }

  /** @param matched what all policies cover, for a whole status; null: only the count of refusals is brought up to date */
  async #write(policy: StoredPolicy, matched: ReadonlyMap<string, Matched> | null): Promise<void> {
    const { client, logger } = this.#options;
    const key = describePolicy(policy.ref);
    const object = this.#objects.get(key);
    if (object === undefined || this.#stopped) return;
    const before = readStatus(object);
    const refused = this.#rejections.get(key) ?? 0;
    const rejections = (before.rejections ?? 0) + refused;
    const status =
      matched === null ? { rejections } : this.#statusOf(policy, matched.get(key), rejections, before);
    if (refused === 0 && JSON.stringify(status) === JSON.stringify(before)) return;
    try {
      await client.request({
        method: 'PATCH',
        path: statusPath(policy),
        contentType: 'application/merge-patch+json',
        body: { metadata: { resourceVersion: object.resourceVersion }, status },
      });
      this.#counted(key, refused);
    } catch (error) {
      // Somebody else has written in between, or deleted it: the watch brings what is now, and the next run looks again.
      if (error instanceof KubeError && (error.kind === 'conflict' || error.kind === 'not-found')) return;
      const reason = messageOf(error);
      logger.warn({ policy: key, reason }, 'status of lock policy not written');
    }
  }

  #statusOf(
    policy: StoredPolicy,
    matched: Matched | undefined,
    rejections: number,
    before: PolicyStatus,
  ): PolicyStatus {
    const now = `${new Date(this.#options.nowMs()).toISOString().slice(0, 19)}Z`;
    const conflicts = [...(matched?.conflicts.values() ?? [])];
    const { locks: locksMatched = 0, whileDown = {} } = matched ?? {};
    return statusOf({ policy, locksMatched, rejections, conflicts, whileDown }, before, now);
  }

  /** What was refused while the write was under way is for the next one. */
  #counted(key: string, refused: number): void {
    const left = (this.#rejections.get(key) ?? 0) - refused;
    if (left > 0) this.#rejections.set(key, left);
    else this.#rejections.delete(key);
  }
}

interface Matched {
  locks: number;
  readonly conflicts: Map<string, Conflict>;
  /** How many of them are guarded by what while lockwarden is down. */
  readonly whileDown: Partial<Record<Protection, number>>;
}

/** Counts a lock for each policy that covers it. */
function addTo(matched: Map<string, Matched>, effective: Effective, protection: Protection): void {
  for (const ref of effective.policies) {
    const key = describePolicy(ref);
    const known: Matched = matched.get(key) ?? { locks: 0, conflicts: new Map(), whileDown: {} };
    const conflicts = effective.conflicts.filter(({ between }) => between.includes(ref));
    for (const conflict of conflicts) known.conflicts.set(conflict.field, conflict);
    known.locks += 1;
    known.whileDown[protection] = (known.whileDown[protection] ?? 0) + 1;
    matched.set(key, known);
  }
}

/** NB: keys in the order of `statusOf`, so that equal statuses are equal texts. */
function readStatus({ object }: WatchedObject): PolicyStatus {
  const parsed = clusterLockPolicy.status.safeParse(objectAt(object, 'status'));
  if (!parsed.success) return {};
  const { observedGeneration, locksMatched, rejections, conditions } = parsed.data;
  return {
    observedGeneration,
    locksMatched,
    rejections,
    conditions: conditions?.map(
      ({ type, status, reason, message, observedGeneration: at, lastTransitionTime }) => ({
        type,
        status,
        reason,
        message,
        observedGeneration: at,
        lastTransitionTime,
      }),
    ),
  };
}
