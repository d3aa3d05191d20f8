/** Policies that the CRDs' CEL rules refuse: each of them once. */
import type { PolicyKind } from '../../src/policy/api.ts';

export interface Refusal {
  readonly name: string;
  readonly kind: PolicyKind<never>['kind'];
  readonly spec: object;
  readonly field: string;
  readonly message: string;
  /** Whether parsePolicy lets it pass, because it does no harm. */
  readonly harmless?: true;
}

const byBoth = [
  {
    name: 'a tolerance as long as a lease',
    spec: { tolerance: '10001ms' },
    field: 'spec.tolerance',
    message: 'at most 10s',
  },
  {
    name: 'bounds the wrong way round',
    spec: { leaseDuration: { min: '1m', max: '15s' } },
    field: 'spec.leaseDuration',
    message: 'min must not be longer than max',
  },
] as const;

const ofCluster: readonly Omit<Refusal, 'kind'>[] = [
  {
    name: 'In without values',
    spec: {
      match: { namespaceSelector: { matchExpressions: [{ key: 'team', operator: 'In' }] } },
    },
    field: 'spec.match.namespaceSelector.matchExpressions[0]',
    message: 'values go with In and NotIn, and only with those',
  },
  {
    name: 'Exists with values',
    spec: {
      match: {
        namespaceSelector: { matchExpressions: [{ key: 'team', operator: 'Exists', values: ['a'] }] },
      },
    },
    field: 'spec.match.namespaceSelector.matchExpressions[0]',
    message: 'values go with In and NotIn, and only with those',
  },
  {
    name: 'a ServiceAccount without its namespace',
    spec: { candidates: { serviceAccounts: ['team/orders', 'orders'] } },
    field: 'spec',
    message: 'candidates.serviceAccounts of a ClusterLockPolicy need `namespace/name`',
  },
  {
    name: 'Fail for a namespace of the system',
    spec: { failurePolicy: 'Fail', match: { namespaces: ['team', 'kube-system'] } },
    field: 'spec',
    message:
      'the control plane is never made to wait for lockwarden: failurePolicy Fail cannot be had for kube-system, kube-public or kube-node-lease',
    harmless: true,
  },
];

export const refusals: readonly Refusal[] = [
  ...byBoth.map((each): Refusal => ({ ...each, kind: 'LockPolicy' })),
  ...[...byBoth, ...ofCluster].map((each): Refusal => ({ ...each, kind: 'ClusterLockPolicy' })),
];
