/**
 * The cluster of one test offline: a virtual clock, a model of the API server, and replicas of lockwarden, whose code is the
 * webhook's own from the bytes of a review to its answer.
 */
import { createHandler } from '../admission/handler.ts';
import { Judge } from '../admission/judge.ts';
import { LockMemories } from '../admission/lock-memories.ts';
import type { AdmissionReviewResponse } from '../admission/response.ts';
import { parseReview } from '../admission/review.ts';
import type { LockRef } from '../core/lock.ts';
import { reasons, type Reason } from '../core/reasons.ts';
import { monotonicMs, serverMs, type MonotonicMs } from '../core/time.ts';
import { carriesRecord } from '../locks/annotation.ts';
import type { JsonObject } from '../locks/json.ts';
import { readLock } from '../locks/registry.ts';
import type { Answer, LockRequest, TestCluster } from './cluster.ts';
import type { Guarded } from './guarded.ts';
import { ApiServerModel, type Caller, type Handled, type Review } from './model/api-server.ts';
import { webhooksAsked } from './model/webhooks.ts';
import type { Actor } from './suite.ts';

/** How one playing of a test differs from another: no test may hang on it. */
export interface Variation {
  /** At which fraction of a second time 0 is, in milliseconds. */
  readonly phaseMs: number;
  /** By how much a step is late: a request takes its time. `index` counts what is waited for. */
  readonly lateMs: (index: number) => number;
  /**
   * Whether there are two replicas, and each write is put to the one that has not let the last one pass: how old a promise is, it has by the
   * API server's stamps only, which are whole seconds. Default: there is one.
   */
  readonly isSplit?: boolean;
}

/** What judges, and what it has seen. */
interface Replica {
  readonly memories: LockMemories;
  readonly review: ReturnType<typeof createHandler>;
}

/** LIMIT: an arbitrary whole second; times in messages and objects are then the same on every day. */
const epochMs = Date.parse('2026-01-01T00:00:00Z');
/** LIMIT: as often as a replica asks the API server for its time. */
const dateEveryMs = 10_000;

/** Plays the writes to one lock. */
export class OfflineCluster implements TestCluster {
  readonly #lock: LockRef;
  readonly #guarded: Guarded;
  readonly #variation: Variation;
  readonly #replicas: readonly [Replica, ...Replica[]];
  /** The replica that has let the last write pass. */
  #lastPassedBy: Replica | null = null;
  readonly #apiServer: ApiServerModel;
  #nowMs: number;
  #datedMs = -Infinity;
  #waits = 0;
  /** Whether the watch has shown an object that is of interest to it. */
  #isWatched = false;

  constructor(lock: LockRef, guarded: Guarded, variation: Variation) {
    this.#lock = lock;
    this.#guarded = guarded;
    this.#variation = variation;
    this.#nowMs = epochMs + variation.phaseMs;
    const others = variation.isSplit === true ? [this.#createReplica()] : [];
    this.#replicas = [this.#createReplica(), ...others];
    this.#apiServer = new ApiServerModel(lock, {
      nowMs: () => this.#nowMs,
      admit: (review) => this.#admit(review),
      onEvent: (type, object) => {
        this.#watch(type, object);
      },
    });
    this.#date();
  }

  nowMs(): number {
    return this.#nowMs;
  }

  until(ms: number): Promise<void> {
    this.#nowMs = Math.max(this.#nowMs, ms + this.#variation.lateMs(this.#waits));
    this.#waits += 1;
    this.#date();
    return Promise.resolve();
  }

  read(): Promise<JsonObject | null> {
    return Promise.resolve(this.#apiServer.object);
  }

  async write(actor: Actor, request: LockRequest): Promise<Answer> {
    const handled = await this.#send(request, callerOf(actor));
    const { status, message, responses } = handled;
    return {
      status,
      message,
      warnings: responses.flatMap(({ warnings }) => warnings ?? []),
      audited: auditedIn(responses),
      asked: responses.length > 0,
    };
  }

  #send(request: LockRequest, caller: Caller): Promise<Handled> {
    switch (request.verb) {
      case 'create':
        return this.#apiServer.create(request.object, caller);
      case 'replace':
        return this.#apiServer.replace(request.object, caller);
      case 'merge':
        return this.#apiServer.merge(request.patch, caller);
      case 'delete':
        return this.#apiServer.delete(caller);
    }
  }

  #createReplica(): Replica {
    const { store } = this.#guarded;
    const ignore = (): void => undefined;
    const memories = new LockMemories({
      onFacts: (lock, facts) => {
        const others = this.#replicas.filter((each) => each.memories !== memories);
        for (const other of others) other.memories.told(lock, facts, this.#monotonicMs());
      },
    });
    const judge = new Judge({
      memories,
      monotonicNow: () => this.#monotonicMs(),
      settingsFor: (lock) => store.effectiveFor(lock)?.settings ?? null,
      // The pods of a test are there from its beginning to its end.
      podState: () => Promise.resolve('exists'),
    });
    return { memories, review: createHandler({ judge, countDecision: ignore }) };
  }

  async #admit(review: Review): Promise<readonly AdmissionReviewResponse['response'][]> {
    const { store, webhooks } = this.#guarded;
    const asked = webhooksAsked(webhooks, review, store.labelsOf(this.#lock.namespace));
    if (asked.length === 0) return [];
    const envelope = { apiVersion: 'admission.k8s.io/v1', kind: 'AdmissionReview', request: review };
    const parsed = parseReview(JSON.stringify(envelope));
    if (!parsed.ok) throw new Error(`a review of the model cannot be read: ${parsed.message}`);
    const [first, second = first] = this.#replicas;
    const judging = this.#lastPassedBy === second ? first : second;
    const responses = await Promise.all(
      asked.map(async () => (await judging.review(parsed.request)).response),
    );
    if (responses.every(({ allowed }) => allowed)) this.#lastPassedBy = judging;
    return responses;
  }

  /** What the replicas' watches deliver, at once. */
  #watch(type: 'ADDED' | 'MODIFIED' | 'DELETED', object: JsonObject): void {
    const { kind } = this.#lock;
    const passes = kind === 'Lease' || carriesRecord(object);
    if (!passes && !this.#isWatched) return;
    const state = readLock(kind, object);
    for (const { memories } of this.#replicas) {
      if (type === 'DELETED') memories.deleted(this.#lock, state, this.#monotonicMs());
      else memories.stored(this.#lock, state, this.#monotonicMs(), true);
    }
    this.#isWatched = passes && type !== 'DELETED';
  }

  /** Takes samples of the API server's clock, as often as a replica would have until now. */
  #date(): void {
    for (; this.#datedMs + dateEveryMs <= this.#nowMs; this.#datedMs += dateEveryMs) {
      if (this.#datedMs === -Infinity) this.#datedMs = this.#nowMs - dateEveryMs;
      const sampledMs = this.#datedMs + dateEveryMs;
      const at = monotonicMs(sampledMs - epochMs);
      const date = serverMs(Math.floor(sampledMs / 1_000) * 1_000);
      for (const { memories } of this.#replicas) memories.dated(at, at, date);
    }
  }

  #monotonicMs(): MonotonicMs {
    return monotonicMs(this.#nowMs - epochMs);
  }
}

/** SOURCE: https://kubernetes.io/docs/reference/access-authn-authz/service-accounts-admin/#bound-service-account-tokens */
function callerOf({ as, fieldManager }: Actor): Caller {
  if (as.kind === 'user') {
    const groups = [...as.groups, ...accountGroups(as.name, as.groups), 'system:authenticated'];
    return { userInfo: { username: as.name, groups: [...new Set(groups)], extra: {} }, fieldManager };
  }
  const username = `system:serviceaccount:${as.namespace}:${as.name}`;
  const groups = [...accountGroups(username, []), 'system:authenticated'];
  const extra =
    as.pod === null
      ? {}
      : {
          'authentication.kubernetes.io/pod-name': [as.pod],
          'authentication.kubernetes.io/pod-uid': [`${as.namespace}/${as.pod}`],
        };
  return { userInfo: { username, groups, extra }, fieldManager };
}

/** The groups of a ServiceAccount, which the API server gives also to who impersonates one without naming groups. */
function accountGroups(username: string, named: readonly string[]): readonly string[] {
  const [, namespace] = /^system:serviceaccount:([^:]+):[^:]+$/.exec(username) ?? [];
  if (namespace === undefined || named.length > 0) return [];
  return ['system:serviceaccounts', `system:serviceaccounts:${namespace}`];
}

/** What was recorded in the audit log, where nothing else was said. */
function auditedIn(responses: Handled['responses']): Reason | null {
  for (const { auditAnnotations } of responses) {
    const reason = auditAnnotations?.['reason'] ?? '';
    if (Object.hasOwn(reasons, reason)) return reason as Reason;
  }
  return null;
}
