/** Builds AdmissionReviews as an API server sends them. */
import type { AdmissionRequest } from '../../src/admission/review.ts';

export type Json = Record<string, unknown>;

export const reviewUid = '705ab4f5-6393-11e8-b7cc-42010a800002';

/** The request half of an update of a Lease, with `changes` put over it. */
export function leaseRequest(changes: Json = {}): Json {
  const lease = (holder: string): Json => ({
    apiVersion: 'coordination.k8s.io/v1',
    kind: 'Lease',
    metadata: { name: 'controller', namespace: 'apps', uid: 'lease-1', managedFields: [] },
    spec: { holderIdentity: holder, leaseDurationSeconds: 15 },
  });
  return {
    uid: reviewUid,
    kind: { group: 'coordination.k8s.io', version: 'v1', kind: 'Lease' },
    resource: { group: 'coordination.k8s.io', version: 'v1', resource: 'leases' },
    requestKind: { group: 'coordination.k8s.io', version: 'v1', kind: 'Lease' },
    name: 'controller',
    namespace: 'apps',
    operation: 'UPDATE',
    userInfo: {
      username: 'system:serviceaccount:apps:controller',
      groups: ['system:serviceaccounts', 'system:authenticated'],
      extra: { 'authentication.kubernetes.io/pod-name': ['controller-1'] },
    },
    object: lease('b'),
    oldObject: lease('a'),
    dryRun: false,
    options: { kind: 'UpdateOptions', apiVersion: 'meta.k8s.io/v1', fieldManager: 'controller' },
    ...changes,
  };
}

/** A whole review around `leaseRequest(changes)`. */
export function leaseReview(changes: Json = {}): Json {
  return { kind: 'AdmissionReview', apiVersion: 'admission.k8s.io/v1', request: leaseRequest(changes) };
}

/** The same as the bytes of a body. */
export function leaseReviewBody(changes: Json = {}): string {
  return JSON.stringify(leaseReview(changes));
}

/** What `parseReview` makes of `leaseReview()`. */
export const parsedLeaseRequest: AdmissionRequest = {
  uid: reviewUid,
  kind: { group: 'coordination.k8s.io', version: 'v1', kind: 'Lease' },
  resource: { group: 'coordination.k8s.io', version: 'v1', resource: 'leases' },
  subResource: '',
  name: 'controller',
  namespace: 'apps',
  operation: 'UPDATE',
  userInfo: {
    username: 'system:serviceaccount:apps:controller',
    groups: ['system:serviceaccounts', 'system:authenticated'],
    extra: { 'authentication.kubernetes.io/pod-name': ['controller-1'] },
  },
  object: leaseRequest()['object'],
  oldObject: leaseRequest()['oldObject'],
  dryRun: false,
  fieldManager: 'controller',
};
