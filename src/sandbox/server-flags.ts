import type { Credentials } from './credentials.ts';
import { loopback } from './free-port.ts';

/** The loopback ports of one control plane. */
export interface ControlPlanePorts {
  readonly apiserver: number;
  readonly etcd: number;
  readonly etcdPeer: number;
}

/** Flags of an etcd of one member that only holders of the sandbox's certificates can speak to. */
export function etcdFlags(folder: string, ports: ControlPlanePorts, { files }: Credentials): string[] {
  const client = `https://${loopback}:${ports.etcd}`;
  const peer = `https://${loopback}:${ports.etcdPeer}`;
  const tls = {
    'cert-file': files.serving,
    'key-file': files.servingKey,
    'trusted-ca-file': files.authority,
  };
  return toFlags({
    name: 'sandbox',
    'data-dir': `${folder}/etcd`,
    'listen-client-urls': client,
    'advertise-client-urls': client,
    'listen-peer-urls': peer,
    'initial-advertise-peer-urls': peer,
    'initial-cluster': `sandbox=${peer}`,
    ...tls,
    'client-cert-auth': 'true',
    ...Object.fromEntries(Object.entries(tls).map(([name, path]) => [`peer-${name}`, path])),
    'peer-client-cert-auth': 'true',
    // NB: nothing in a sandbox outlives the machine, and a laptop's fsync costs milliseconds a write.
    'unsafe-no-fsync': 'true',
    'log-level': 'warn',
  });
}

/** Flags of a kube-apiserver that stands alone: RBAC, client certificates, bound ServiceAccount tokens, no controllers. */
export function apiserverFlags(
  ports: ControlPlanePorts,
  { files }: Credentials,
  { auditPolicy, auditLog }: { auditPolicy?: string | undefined; auditLog?: string | undefined },
): string[] {
  const issuer = `https://${loopback}:${ports.apiserver}`;
  const audit =
    auditLog === undefined ? {} : { 'audit-policy-file': auditPolicy, 'audit-log-path': auditLog };
  return toFlags({
    'bind-address': loopback,
    'advertise-address': loopback,
    'secure-port': String(ports.apiserver),
    // NB: an Endpoints object may not hold a loopback address, and nobody here asks for the Service `kubernetes`.
    'endpoint-reconciler-type': 'none',
    'service-cluster-ip-range': '10.0.0.0/24',
    'tls-cert-file': files.serving,
    'tls-private-key-file': files.servingKey,
    'client-ca-file': files.authority,
    'anonymous-auth': 'false',
    'etcd-servers': `https://${loopback}:${ports.etcd}`,
    'etcd-cafile': files.authority,
    'etcd-certfile': files.serving,
    'etcd-keyfile': files.servingKey,
    'authorization-mode': 'RBAC',
    'service-account-issuer': issuer,
    'api-audiences': issuer,
    'service-account-signing-key-file': files.serviceAccountKey,
    'service-account-key-file': files.serviceAccountPublicKey,
    // NB: without a controller manager no namespace gets its ServiceAccount `default`, and every Pod would be refused.
    'disable-admission-plugins': 'ServiceAccount',
    'enable-admission-plugins': 'ValidatingAdmissionWebhook',
    ...audit,
  });
}

/** Audit policy that records requests and answers about the kinds that locks are made of, and nothing else. */
export const lockAuditPolicy = `apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived]
rules:
  - level: RequestResponse
    verbs: [create, update, patch, delete, deletecollection]
    resources:
      - group: coordination.k8s.io
        resources: [leases]
      - group: ""
        resources: [configmaps, endpoints]
  - level: None
`;

function toFlags(flags: Readonly<Record<string, string | undefined>>): string[] {
  return Object.entries(flags).flatMap(([name, value]) =>
    value === undefined ? [] : [`--${name}=${value}`],
  );
}
