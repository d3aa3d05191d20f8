/** A control plane of a test file's own, guarded, with pods to write as: a ValidatingWebhookConfiguration has but one name. */
import { Agent } from 'node:https';

import { inject } from 'vitest';

import { startControlPlane, type StartControlPlaneOptions } from '../../../../src/sandbox/control-plane.ts';
import type { Plural } from '../../../kube/support/cluster.ts';
import { createTestNamespace } from '../../../support/identities.ts';
import { startGuarded, type Guarded, type LogLine } from '../../support/guarded.ts';
import { Trial, type TrialPorts } from './trial.ts';
import { Writer, type Place } from './writer.ts';

/** Where cases are tried. */
export interface Ground {
  readonly kubeconfig: string;
  readonly namespace: string;
  readonly admin: Writer;
  /** Candidates of one election: pods under one ServiceAccount. */
  readonly a: Writer;
  readonly b: Writer;
  readonly c: Writer;
  /** Another pod; one of the same name is replaced, with a new uid. */
  pod(name: string): Promise<Writer>;
  /** The uid of a pod, for owner references. */
  uidOf(pod: string): Promise<string>;
  deletePod(name: string): Promise<void>;
  /** A lock that no other case uses. */
  trial(name: string, where?: { readonly plural?: Plural; readonly namespace?: string }): Trial;
  /** Lets the candidates write in another namespace, which is created. */
  openNamespace(name: string): Promise<void>;
  /** Every line of the guard's log so far. */
  lines(): readonly LogLine[];
  /** The API server's audit log, or empty. */
  readonly auditLog: string;
  /** Ends the guard and starts another, which knows nothing. */
  restartGuard(options: { readonly inspectRenewals: boolean }): Promise<void>;
  stop(): Promise<void>;
}

const serviceAccount = 'candidate';
const lockRules = [
  { apiGroups: ['coordination.k8s.io'], resources: ['leases'], verbs: ['*'] },
  { apiGroups: [''], resources: ['configmaps', 'endpoints'], verbs: ['*'] },
];

/** What may differ from one ground to another. */
export interface GroundOptions extends Pick<StartControlPlaneOptions, 'audit'> {
  /** What guards it. Default: lockwarden. */
  readonly guardWith?: (kubeconfig: string) => Promise<Guarded>;
  /** What a lock's clients are promised. Default: all that lockwarden promises. */
  readonly trialOf?: (place: Place, ports: TrialPorts) => Trial;
}

/** Starts it all. `flags`: for the API server. */
export async function startGround(
  prefix: string,
  flags: StartControlPlaneOptions['apiserverFlags'] = [],
  options: GroundOptions = {},
): Promise<Ground> {
  const { audit = false, guardWith = startGuarded } = options;
  const { trialOf = (place: Place, ports: TrialPorts) => new Trial(place, ports) } = options;
  const binaries = inject('binaries');
  const controlPlane = await startControlPlane({ binaries, apiserverFlags: flags, audit });
  const { kubeconfig } = controlPlane;
  const agent = new Agent({ keepAlive: true });
  let guarded: Guarded | null = null;
  const stop = async (): Promise<void> => {
    await guarded?.stop();
    agent.destroy();
    await controlPlane.stop();
  };
  try {
    const namespace = await createTestNamespace(kubeconfig, prefix);
    await namespace.serviceAccount(serviceAccount);
    const { core, config } = namespace.admin;
    const admin = new Writer(config, agent);
    const pod = async (name: string): Promise<Writer> =>
      new Writer((await namespace.pod(name, serviceAccount)).config, agent);
    const [a, b, c] = await Promise.all([pod('a'), pod('b'), pod('c')]);
    guarded = await guardWith(kubeconfig);
    const rejections = (): ReturnType<Guarded['rejections']> => guarded?.rejections() ?? [];
    return {
      ...{ kubeconfig, namespace: namespace.name, admin, a, b, c, pod, stop },
      auditLog: controlPlane.auditLog ?? '',
      lines: () => guarded?.lines() ?? [],
      uidOf: async (name) =>
        (await core.readNamespacedPod({ namespace: namespace.name, name })).metadata?.uid ?? '',
      deletePod: async (name) => {
        await core.deleteNamespacedPod({ namespace: namespace.name, name, gracePeriodSeconds: 0 });
      },
      trial: (name, { plural = 'leases', namespace: where = namespace.name } = {}) =>
        trialOf({ plural, namespace: where, name }, { admin, rejections }),
      openNamespace: async (name) => {
        const metadata = { name: serviceAccount, namespace: name };
        const rbac = `/apis/rbac.authorization.k8s.io/v1/namespaces/${name}`;
        const subjects = [{ kind: 'ServiceAccount', name: serviceAccount, namespace: namespace.name }];
        const roleRef = { apiGroup: 'rbac.authorization.k8s.io', kind: 'Role', name: serviceAccount };
        await admin.send('POST', '/api/v1/namespaces', { body: { metadata: { name } } });
        await admin.send('POST', `${rbac}/roles`, { body: { metadata, rules: lockRules } });
        await admin.send('POST', `${rbac}/rolebindings`, { body: { metadata, roleRef, subjects } });
      },
      restartGuard: async (options) => {
        await guarded?.stop();
        guarded = await startGuarded(kubeconfig, options);
      },
    };
  } catch (error) {
    await stop();
    throw error;
  }
}
