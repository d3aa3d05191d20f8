/** AdmissionReviews as API servers send them, of the sizes that clients' locks have. */
import type { JsonObject } from '../../src/kube/json.ts';
import { leaderAnnotation, microTime } from '../../test/kube/support/cluster.ts';

/** A review, and what the full truth table says of it. */
export interface Body {
  readonly text: string;
  readonly isAllowed: boolean;
}

export type BodyName = 'renewal' | 'takeover' | 'theft' | 'ConfigMap of 100 KiB' | 'ConfigMap of 1 MiB';

const group = 'coordination.k8s.io';
const leaseKind = { group, version: 'v1', kind: 'Lease' };
const leaseResource = { group, version: 'v1', resource: 'leases' };
const configMapKind = { group: '', version: 'v1', kind: 'ConfigMap' };
const configMapResource = { group: '', version: 'v1', resource: 'configmaps' };

const leaseFields = {
  'f:spec': {
    ...{ 'f:acquireTime': {}, 'f:holderIdentity': {}, 'f:leaseDurationSeconds': {} },
    ...{ 'f:leaseTransitions': {}, 'f:renewTime': {} },
  },
};
const configMapFields = {
  'f:data': { 'f:payload': {} },
  'f:metadata': { 'f:annotations': { '.': {}, [`f:${leaderAnnotation}`]: {} } },
};

/** Who holds, how many held before, and since when and renewed when, in milliseconds from now. */
interface Held {
  readonly by: string;
  readonly transitions: number;
  readonly acquiredMs: number;
  readonly renewedMs: number;
}

const hourMs = 3_600_000;

function metadata(name: string, fieldsV1: JsonObject, { renewedMs }: Held): JsonObject {
  const time = `${new Date(Date.now() + renewedMs).toISOString().slice(0, 19)}Z`;
  return {
    ...{ name, namespace: 'team', uid: 'd3a0a5e6-42a4-4ab3-8ac6-0f5ac1a1d3f0', resourceVersion: '4711' },
    creationTimestamp: '2026-01-02T03:04:05Z',
    managedFields: [
      {
        ...{ manager: 'elector', operation: 'Update', apiVersion: 'v1', time },
        ...{ fieldsType: 'FieldsV1', fieldsV1 },
      },
    ],
  };
}

function recordOf({ by, transitions, acquiredMs, renewedMs }: Held): JsonObject {
  return {
    ...{ holderIdentity: by, leaseDurationSeconds: 15, acquireTime: microTime(acquiredMs) },
    ...{ renewTime: microTime(renewedMs), leaseTransitions: transitions },
  };
}

function lease(name: string, held: Held): JsonObject {
  const about = metadata(name, leaseFields, held);
  return { apiVersion: `${group}/v1`, kind: 'Lease', metadata: about, spec: recordOf(held) };
}

function configMap(name: string, held: Held, bytes: number): JsonObject {
  const annotations = { [leaderAnnotation]: JSON.stringify(recordOf(held)) };
  return {
    ...{ apiVersion: 'v1', kind: 'ConfigMap' },
    metadata: { ...metadata(name, configMapFields, held), annotations },
    data: { payload: 'lorem ipsum '.repeat(Math.ceil(bytes / 12)).slice(0, bytes) },
  };
}

function review(before: JsonObject, after: JsonObject, client: string): string {
  const isLease = after['kind'] === 'Lease';
  const [kind, resource] = isLease ? [leaseKind, leaseResource] : [configMapKind, configMapResource];
  const { name } = after['metadata'] as { name: string };
  const request = {
    ...{ uid: '705ab4f5-6393-11e8-b7cc-42010a800002', kind, resource, requestKind: kind },
    ...{ requestResource: resource, name, namespace: 'team', operation: 'UPDATE' },
    userInfo: {
      username: `system:serviceaccount:team:controller${client}`,
      uid: '0b5ef0a4-2a73-4b4c-a0a4-2a0f2c8b3d11',
      groups: ['system:serviceaccounts', 'system:serviceaccounts:team', 'system:authenticated'],
      extra: {
        'authentication.kubernetes.io/pod-name': ['controller-7d9c5bcbf6-x2x8v'],
        'authentication.kubernetes.io/pod-uid': ['6f2a0f0e-5ad5-4f5d-9f3a-3d1c6d1f7d9e'],
      },
    },
    ...{ object: after, oldObject: before, dryRun: false },
    options: { kind: 'UpdateOptions', apiVersion: 'meta.k8s.io/v1', fieldManager: 'elector' },
  };
  return JSON.stringify({ kind: 'AdmissionReview', apiVersion: 'admission.k8s.io/v1', request });
}

const held = { by: 'a', transitions: 3, acquiredMs: -2 * hourMs };
const live = { ...held, renewedMs: -2_000 };
const expired = { ...held, renewedMs: -hourMs };
const renewed = { ...held, renewedMs: 0 };
const taken = { by: 'b', transitions: 4, acquiredMs: 0, renewedMs: 0 };
const kib = 1_024;

/** Makes a review, of a client of this name and a lock of its own; of all the same one unless named. */
export type Make = (client?: string) => Body;

function update(isAllowed: boolean, of: (client: string) => readonly [JsonObject, JsonObject]): Make {
  return (client = '') => ({ text: review(...of(client), client), isAllowed });
}

/** Reviews by name, made now: what is live has two seconds behind it, and a minute later it is not. */
export function bodies(): Readonly<Record<BodyName, Make>> {
  return {
    renewal: update(true, (client) => [lease(`renewed${client}`, live), lease(`renewed${client}`, renewed)]),
    takeover: update(true, (client) => [lease(`due${client}`, expired), lease(`due${client}`, taken)]),
    theft: update(false, (client) => [lease(`stolen${client}`, live), lease(`stolen${client}`, taken)]),
    'ConfigMap of 100 KiB': update(true, (client) => [
      configMap(`record${client}`, expired, 100 * kib),
      configMap(`record${client}`, taken, 100 * kib),
    ]),
    'ConfigMap of 1 MiB': update(true, (client) => [
      configMap(`large${client}`, expired, 1_000 * kib),
      configMap(`large${client}`, taken, 1_000 * kib),
    ]),
  };
}
