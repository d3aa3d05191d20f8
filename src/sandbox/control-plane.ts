/**
 * The embedded control plane: an etcd and a kube-apiserver on loopback ports, in a temporary folder, for one scene or one
 * test run. No controllers, no scheduler, no kubelets: what is written stays as it was written.
 */
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { LockwardenError } from '../errors.ts';
import { createApiProbe } from './api-probe.ts';
import { createComponent, type Component } from './component.ts';
import type { ControlPlaneBinaries } from './control-plane-binaries.ts';
import { createCredentials, type Credentials } from './credentials.ts';
import { freePorts, loopback } from './free-port.ts';
import { formatKubeconfig } from './kubeconfig.ts';
import { removeWithParent } from './parent-watch.ts';
import { apiserverFlags, etcdFlags, lockAuditPolicy, type ControlPlanePorts } from './server-flags.ts';

/** What to start. Extra flags come last and win over the sandbox's own. */
export interface StartControlPlaneOptions {
  readonly binaries: ControlPlaneBinaries;
  /** Writes an audit log of requests and answers about Leases, ConfigMaps and Endpoints. */
  readonly audit?: boolean;
  readonly apiserverFlags?: readonly string[];
  readonly etcdFlags?: readonly string[];
  readonly env?: NodeJS.ProcessEnv;
}

/** A running control plane. */
export interface ControlPlane {
  /** Path of the administrator's kubeconfig (mode 0600). */
  readonly kubeconfig: string;
  /** URL of the API server. */
  readonly server: string;
  /** The API server's authority, as PEM text. */
  readonly authority: string;
  /** Version of kube-apiserver, such as `1.36.3`. */
  readonly version: string;
  /** Path of the audit log, when one was asked for: one JSON event a line. */
  readonly auditLog: string | null;
  readonly apiserver: Component;
  readonly etcd: Component;
  /** Ends both processes and removes every file. May be called more than once. */
  stop(): Promise<void>;
}

/** LIMIT: a port is lost to another process between choosing and binding once in a great while; thrice is another fault. */
const attempts = 3;

/**
 * Starts a control plane and resolves once the API server is ready and has its own namespaces.
 *
 * @throws LockwardenError `ToolFailed`, with the last lines of the process that failed.
 */
export async function startControlPlane(options: StartControlPlaneOptions): Promise<ControlPlane> {
  for (let attempt = 1; ; attempt += 1) {
    try {
      return await startOnce(options);
    } catch (error) {
      if (attempt === attempts || !isPortTaken(error)) throw error;
    }
  }
}

async function startOnce(options: StartControlPlaneOptions): Promise<ControlPlane> {
  const folder = await mkdtemp(join(tmpdir(), 'lockwarden-'));
  const callOff = removeWithParent(folder);
  const removeFolder = async (): Promise<void> => {
    await rm(folder, { recursive: true, force: true });
    callOff();
  };
  try {
    const plane = await describe(folder, options);
    const stop = async (): Promise<void> => {
      await plane.apiserver.stop();
      await plane.etcd.stop();
      await removeFolder();
    };
    try {
      await plane.etcd.start();
      await plane.apiserver.start();
    } catch (error) {
      await stop();
      throw error;
    }
    return { ...plane, stop };
  } catch (error) {
    await removeFolder();
    throw error;
  }
}

async function describe(
  folder: string,
  options: StartControlPlaneOptions,
): Promise<Omit<ControlPlane, 'stop'>> {
  const { binaries, audit = false } = options;
  const credentials = await createCredentials(folder);
  const ports = await choosePorts();
  const server = `https://${loopback}:${ports.apiserver}`;
  const { authority, admin } = credentials;
  const kubeconfig = join(folder, 'kubeconfig');
  const content = formatKubeconfig({ name: 'lockwarden-sandbox', server, authority, user: admin });
  await writeFile(kubeconfig, content, { mode: 0o600 });
  const auditPolicy = join(folder, 'audit-policy.yaml');
  await writeFile(auditPolicy, lockAuditPolicy);
  const auditLog = audit ? join(folder, 'audit.log') : null;
  return {
    kubeconfig,
    server,
    authority,
    version: binaries.version,
    auditLog,
    etcd: describeEtcd(folder, ports, credentials, options),
    apiserver: describeApiserver(folder, ports, credentials, { ...options, auditPolicy, auditLog }),
  };
}

function describeEtcd(
  folder: string,
  ports: ControlPlanePorts,
  credentials: Credentials,
  { binaries, env = process.env, etcdFlags: extra = [] }: StartControlPlaneOptions,
): Component {
  const probe = createApiProbe(ports.etcd, credentials);
  return createComponent({
    name: 'etcd',
    command: binaries.etcd,
    args: [...etcdFlags(folder, ports, credentials), ...extra],
    cwd: folder,
    env: withoutEtcdSettings(env),
    isReady: async () => (await probe.status('/readyz')) === 200,
  });
}

function describeApiserver(
  folder: string,
  ports: ControlPlanePorts,
  credentials: Credentials,
  options: StartControlPlaneOptions & { auditPolicy: string; auditLog: string | null },
): Component {
  const probe = createApiProbe(ports.apiserver, credentials);
  const { auditPolicy, auditLog, binaries, env = process.env, apiserverFlags: extra = [] } = options;
  const audit = auditLog === null ? {} : { auditPolicy, auditLog };
  return createComponent({
    name: 'kube-apiserver',
    command: binaries.kubeApiserver,
    args: [...apiserverFlags(ports, credentials, audit), ...extra],
    cwd: folder,
    env,
    // NB: the API server creates its namespaces after it has become ready, and a first write to them would be refused.
    isReady: async () =>
      (await probe.status('/readyz')) === 200 && (await probe.status('/api/v1/namespaces/default')) === 200,
  });
}

async function choosePorts(): Promise<ControlPlanePorts> {
  const [apiserver = 0, etcd = 0, etcdPeer = 0] = await freePorts(3);
  return { apiserver, etcd, etcdPeer };
}

/** NB: etcd takes each `ETCD_*` variable for a flag. */
function withoutEtcdSettings(env: NodeJS.ProcessEnv): NodeJS.ProcessEnv {
  return Object.fromEntries(Object.entries(env).filter(([name]) => !name.startsWith('ETCD_')));
}

function isPortTaken(error: unknown): boolean {
  return error instanceof LockwardenError && error.message.includes('address already in use');
}
