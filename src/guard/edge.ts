/** Where reviews arrive and are answered: the HTTPS listener of a guard, with all that a judgement needs behind it. */
import { createHandler } from '../admission/handler.ts';
import { Judge } from '../admission/judge.ts';
import type { LockMemories } from '../admission/lock-memories.ts';
import { answerUnjudged } from '../admission/unjudged.ts';
import type { Clock } from '../clock.ts';
import { canaryIn, canaryName } from '../core/canary.ts';
import type { KubeClient } from '../kube/client.ts';
import { PodStates } from '../kube/pods.ts';
import type { Log } from '../review/logger.ts';
import { createApp } from '../server/app.ts';
import { createHttpsListener, type HttpsListener } from '../server/https.ts';
import { connectionLimits, requestLimits } from '../server/limits.ts';
import type { Metrics } from '../server/metrics.ts';
import type { Readiness } from '../server/readiness.ts';
import type { GuardPolicies } from './guard-policies.ts';
import type { GuardReviews } from './reviews.ts';

/** What an edge needs. */
export interface EdgeOptions {
  readonly client: KubeClient;
  /** lockwarden's own. */
  readonly namespace: string;
  readonly memories: LockMemories;
  readonly policies: Pick<GuardPolicies, 'settingsFor'>;
  readonly reviews: Pick<GuardReviews, 'judged'>;
  readonly metrics: Metrics;
  readonly readiness: Readiness;
  readonly clock: Clock;
  readonly log: Log;
}

/** The listener; without a certificate until the first `reload`. */
export function createEdge(options: EdgeOptions): HttpsListener {
  const { namespace, policies, metrics, readiness, clock, log } = options;
  const handler = createApp({
    judge: createReviewHandler(options),
    unjudged: (request, why) => answerUnjudged(request, why, (lock) => policies.settingsFor(lock)),
    // So that the next attempt has to find its way anew: a connection that is kept proves neither Service nor certificate.
    closesAfter: (request) =>
      request.dryRun && request.name === canaryName && request.namespace === namespace,
    limits: requestLimits,
    clock,
    log,
    metrics: metrics.edge,
  });
  return createHttpsListener({
    handler,
    certificate: null,
    limits: connectionLimits,
    metrics: metrics.edge,
    readiness,
  });
}

function createReviewHandler({
  client,
  namespace,
  memories,
  policies,
  reviews,
  metrics,
  clock,
  log,
}: EdgeOptions): ReturnType<typeof createHandler> {
  const pods = new PodStates(client);
  const isCanary = canaryIn(namespace);
  const judge = new Judge({
    memories,
    monotonicNow: () => clock.monotonicMs(),
    settingsFor: (lock) => policies.settingsFor(lock),
    isCanary,
    podState: (pod) => pods.podState(pod.namespace, pod.name, pod.uid),
    onJudged: (write, decision, tookMs) => {
      metrics.decisions.judged(write, decision, tookMs);
    },
  });
  return createHandler({
    judge,
    countDecision: (kind, outcome, reason) => {
      metrics.decisions.countDecision(kind, outcome, reason);
    },
    tell: (write, decision, reviewUid) => {
      onceAnswered(() => {
        reviews.judged(write, decision, reviewUid);
      }, log);
    },
    canary: {
      isCanary,
      count: (outcome) => {
        metrics.canary.reviews.inc({ outcome });
      },
    },
  });
}

/**
 * Does what nobody waits for: after the answer, which is written by the time that Node comes to its next tick. NB: and no later. What is
 * to be told of holds a review, and those of a busy moment would outlive the young generation together.
 */
function onceAnswered(act: () => void, log: Log): void {
  process.nextTick(() => {
    try {
      act();
    } catch (error) {
      log.error({ err: error }, 'a decision could not be told of');
    }
  });
}
