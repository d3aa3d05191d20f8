/** The replica of a guard: from what the process was told to what the replica needs. */
import type { KubeConfig } from '@kubernetes/client-node';
import type { Lifetimes } from '../certs/lifetimes.ts';
import type { CertificateSource, ServeConfig } from '../config.ts';
import type { Clock } from '../clock.ts';
import type { SecretAction } from '../certs/plan.ts';
import type { KubeClient } from '../kube/client.ts';
import type { Happening } from '../kube/event.ts';
import type { WebhookConfiguration } from '../kube/webhook-configuration.ts';
import type { Certificates } from '../replica/certificates.ts';
import { BroughtLeaf } from '../replica/brought-leaf.ts';
import { folderPlace, secretPlace } from '../replica/brought-files.ts';
import type { Errand } from '../replica/duties.ts';
import { OwnAuthority } from '../replica/own-authority.ts';
import { authoritySecretName } from '../replica/secret-store.ts';
import { Replica, type Candidacy, type CertificateNeeds } from '../replica/replica.ts';
import type { Log } from '../review/logger.ts';
import type { HttpsListener } from '../server/https.ts';
import type { ReplicaMetrics } from '../server/replica-metrics.ts';
import type { Readiness } from '../server/readiness.ts';
import { webhookHosts } from './address.ts';

/** What the replica of a guard needs. */
export interface GuardReplicaOptions {
  readonly config: ServeConfig;
  readonly kubeconfig: KubeConfig;
  readonly client: KubeClient;
  readonly version: string;
  /** All that serves the certificate. */
  readonly edge: Pick<HttpsListener, 'reload' | 'withhold'>;
  readonly metrics: ReplicaMetrics;
  readonly readiness: Readiness;
  readonly nowMs: () => number | null;
  /** Which cluster this is; null: not known. */
  readonly cluster: () => string | null;
  readonly desired: (caBundle: string) => WebhookConfiguration;
  /** What else the one that leads does. */
  readonly errand: Errand | null;
  readonly mayRegister: () => boolean;
  /** Called when the API server is seen to have the configuration. */
  readonly onRegistered: () => void;
  /** Records an Event. */
  readonly record: (happening: Happening) => void;
  readonly clock: Clock;
  readonly log: Log;
}

/** Creates the replica; `start` it. */
export function guardReplica(options: GuardReplicaOptions): Replica {
  const { config, client, version, edge, metrics, readiness, clock, log } = options;
  const { nowMs, desired, errand, mayRegister } = options;
  const alone = config.election === null;
  return new Replica({
    client,
    namespace: config.namespace,
    name: config.replicaName,
    version,
    candidacy: candidacyOf(options),
    certificates: (needs) => certificatesOf(options, needs),
    brought: broughtFrom(config.certificates),
    nowMs,
    desired,
    errand,
    mayRegister,
    serve: ({ chainPem, keyPem }) => {
      edge.reload({ certPem: chainPem, keyPem });
    },
    withhold: () => {
      edge.withhold();
    },
    onLeaf: (served, { problem, works }) => {
      // One entry that trusts somebody else must not take the calls of all others away.
      readiness.set('certificate', served !== null && works, problem ?? 'ok');
      if (served !== null) metrics.expiry.set({ certificate: 'leaf' }, served.notAfterMs / 1000);
    },
    onReload: () => {
      metrics.reloads.inc();
    },
    onObserved: (registered) => {
      if (alone) return;
      readiness.tell('webhook', registered, registered ? 'ok' : 'not registered');
      if (registered) options.onRegistered();
    },
    onRegistered: (registered, reason) => {
      // What stands there may be another's that has died, so somebody who is alone goes by what it wrote itself.
      if (alone) readiness.set('webhook', registered, registered ? 'ok' : (reason ?? 'not registered'));
      if (alone && registered) options.onRegistered();
      if (!alone) readiness.tell('webhook', registered, registered ? 'ok' : (reason ?? 'not registered'));
    },
    onLeader: (leader, leads) => {
      const why = leads ? 'this replica leads' : `${leader ?? 'nobody'} leads`;
      readiness.tell('election', leader !== null, why);
    },
    onResigned: () => {
      metrics.nextStep.set(0);
    },
    onFailure: () => {
      metrics.failures.inc();
    },
    clock,
    logger: log,
  });
}

function candidacyOf({ config, kubeconfig, metrics, record }: GuardReplicaOptions): Candidacy | null {
  if (config.election === null) return null;
  return {
    kubeconfig,
    ...config.election,
    metrics: {
      leaderOn: (name) => {
        metrics.leader.set({ name }, 1);
      },
      leaderOff: (name) => {
        metrics.leader.set({ name }, 0);
      },
      slowpathExercised: (name) => {
        metrics.slowpath.inc({ name });
      },
    },
    recordEvent: ({ type, reason, message, regarding: { apiVersion, kind, namespace, name, uid } }) => {
      record({
        regarding: { apiVersion, kind, namespace, name, uid },
        type,
        reason,
        action: 'Elect',
        note: message,
      });
    },
  };
}

function certificatesOf(options: GuardReplicaOptions, needs: CertificateNeeds): Certificates {
  const { config, nowMs, clock, log } = options;
  const { certificates: source } = config;
  const hosts = webhookHosts(config);
  if (source.kind === 'own') return ownAuthority(options, needs, hosts, source.lifetimes);
  const surroundings = { onChange: needs.onChange, clock, logger: log };
  const place =
    source.kind === 'folder'
      ? folderPlace(source.path, surroundings)
      : secretPlace(options.client, { namespace: config.namespace, name: source.name }, surroundings);
  const { publishDwellMs } = source;
  return new BroughtLeaf({ place, hosts, publishDwellMs, nowMs, bundles: needs.bundles, logger: log });
}

function ownAuthority(
  { config, client, metrics, nowMs, cluster, record, clock, log }: GuardReplicaOptions,
  needs: CertificateNeeds,
  hosts: readonly string[],
  lifetimes: Lifetimes,
): OwnAuthority {
  const place = config.election === null ? null : { client, namespace: config.namespace, clock };
  return new OwnAuthority(place, {
    ...needs,
    lifetimes,
    hosts,
    nowMs,
    cluster,
    onAuthority: (notAfterMs) => {
      metrics.expiry.set({ certificate: 'authority' }, notAfterMs / 1000);
    },
    onPlan: (plan) => {
      metrics.nextStep.set((plan.next.atMs ?? 0) / 1000);
      needs.onPlan(plan);
    },
    onStep: (step, why) => {
      metrics.steps.inc({ step });
      if (place !== null) record(rotationStep(config.namespace, step, why));
    },
    logger: log,
  });
}

/** A step of a rotation, as it is told of on the Secret. */
function rotationStep(namespace: string, step: SecretAction['kind'], why: string): Happening {
  return {
    regarding: { apiVersion: 'v1', kind: 'Secret', namespace, name: authoritySecretName },
    type: step === 'replaceBroken' ? 'Warning' : 'Normal',
    reason: 'CertificateRotation',
    action: `${step.charAt(0).toUpperCase()}${step.slice(1)}`,
    note: `${step}: ${why}`,
  };
}

function broughtFrom(source: CertificateSource): string | undefined {
  switch (source.kind) {
    case 'own':
      return undefined;
    case 'secret':
      return `secret/${source.name}`;
    case 'folder':
      return `the folder ${source.path}`;
  }
}
