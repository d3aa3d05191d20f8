/** Elections as controllers have them: pods of a Deployment, with client-go, by their own ServiceAccount's bound tokens. */
import { stringAt, type JsonObject } from '../../../src/kube/json.ts';
import type { KindCluster } from './cluster.ts';

const securityContext = {
  runAsNonRoot: true,
  allowPrivilegeEscalation: false,
  capabilities: { drop: ['ALL'] },
  seccompProfile: { type: 'RuntimeDefault' },
};

/** A namespace with a Deployment of candidates, and the rights that any of its pods has on Leases. */
export function candidates(namespace: string, name: string, image: string): readonly JsonObject[] {
  const metadata = { name, namespace };
  const args = [`--namespace=${namespace}`, `--name=${name}`, '--identity=$(POD_NAME)'];
  const container = {
    name: 'elector',
    image,
    imagePullPolicy: 'Never',
    args,
    env: [{ name: 'POD_NAME', valueFrom: { fieldRef: { fieldPath: 'metadata.name' } } }],
    resources: { requests: { cpu: '10m', memory: '16Mi' } },
    securityContext,
  };
  const labels = { app: name };
  return [
    {
      apiVersion: 'v1',
      kind: 'Namespace',
      metadata: { name: namespace, labels: { 'pod-security.kubernetes.io/enforce': 'restricted' } },
    },
    { apiVersion: 'v1', kind: 'ServiceAccount', metadata },
    {
      apiVersion: 'rbac.authorization.k8s.io/v1',
      kind: 'Role',
      metadata,
      rules: [
        {
          apiGroups: ['coordination.k8s.io'],
          resources: ['leases'],
          verbs: ['get', 'create', 'update', 'patch'],
        },
      ],
    },
    {
      apiVersion: 'rbac.authorization.k8s.io/v1',
      kind: 'RoleBinding',
      metadata,
      roleRef: { apiGroup: 'rbac.authorization.k8s.io', kind: 'Role', name },
      subjects: [{ kind: 'ServiceAccount', name, namespace }],
    },
    {
      apiVersion: 'apps/v1',
      kind: 'Deployment',
      metadata,
      spec: {
        replicas: 3,
        selector: { matchLabels: labels },
        template: {
          metadata: { labels },
          spec: {
            serviceAccountName: name,
            terminationGracePeriodSeconds: 5,
            securityContext: { runAsUser: 65532 },
            containers: [container],
          },
        },
      },
    },
  ];
}

/** A pod beside the candidates that writes itself into their lock with the very token that they have, and says what it was told. */
export function rogue(namespace: string, name: string, image: string): JsonObject {
  const program = `
    const { readFileSync } = require('node:fs');
    const folder = '/var/run/secrets/kubernetes.io/serviceaccount';
    const request = require('node:https').request({
      host: process.env.KUBERNETES_SERVICE_HOST,
      port: process.env.KUBERNETES_SERVICE_PORT,
      ca: readFileSync(folder + '/ca.crt'),
      method: 'PATCH',
      path: '/apis/coordination.k8s.io/v1/namespaces/${namespace}/leases/${name}',
      headers: {
        authorization: 'Bearer ' + readFileSync(folder + '/token', 'utf8'),
        'content-type': 'application/merge-patch+json',
      },
    }, (response) => {
      let text = '';
      response.on('data', (chunk) => { text += chunk; });
      response.on('end', () => { console.log(JSON.stringify({ status: response.statusCode, text })); });
    });
    request.end(JSON.stringify({ spec: { holderIdentity: 'rogue' } }));
  `;
  return {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name: 'rogue', namespace },
    spec: {
      serviceAccountName: name,
      restartPolicy: 'Never',
      securityContext: { runAsUser: 65532 },
      containers: [
        {
          name: 'rogue',
          image,
          imagePullPolicy: 'Never',
          command: ['node', '-e', program],
          securityContext,
        },
      ],
    },
  };
}

/** A candidate beside the others, of the same program, that takes every lease for one of a second. */
export function impatient(namespace: string, name: string, image: string): JsonObject {
  const identity = '--identity=impatient';
  const args = [
    `--namespace=${namespace}`,
    `--name=${name}`,
    identity,
    '--retry-period=500ms',
    '--impatience=1s',
  ];
  return {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name: 'impatient', namespace },
    spec: {
      serviceAccountName: name,
      restartPolicy: 'Never',
      securityContext: { runAsUser: 65532 },
      containers: [{ name: 'elector', image, imagePullPolicy: 'Never', args, securityContext }],
    },
  };
}

/** Who holds the lock; empty: nobody, or there is none yet. */
export async function holderOf(cluster: KindCluster, namespace: string, name: string): Promise<string> {
  try {
    return stringAt(await cluster.spec(namespace, name), 'holderIdentity');
  } catch {
    return '';
  }
}
