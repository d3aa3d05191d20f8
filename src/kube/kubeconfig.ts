/**
 * Which cluster, and as whom. The rules are kubectl's: an explicit file, else every file of `KUBECONFIG`, else the
 * home directory's, else the ServiceAccount of the pod. Nothing else is guessed, so no cluster is touched by accident.
 */
import { existsSync } from 'node:fs';
import { homedir } from 'node:os';
import { delimiter, join } from 'node:path';
import { KubeConfig, type User } from '@kubernetes/client-node';
import { LockwardenError } from '../errors.ts';

/** Where a kubeconfig is looked for. `environment` and `home` default to those of the process. */
export interface KubeconfigSource {
  /** `--kubeconfig`: this file and no other. */
  readonly file?: string | undefined;
  /** `--context`, else the file's current context. */
  readonly context?: string | undefined;
  readonly environment?: Readonly<Partial<Record<string, string>>>;
  readonly home?: string;
}

// SOURCE: https://kubernetes.io/docs/tasks/run-application/access-api-from-pod/
const podTokenFile = '/var/run/secrets/kubernetes.io/serviceaccount/token';

/**
 * Loads the configuration and checks that it can be used as far as that shows without a request.
 *
 * @throws LockwardenError `KubeconfigMissing` or `KubeconfigUnsupported`
 */
export function loadKubeconfig(source: KubeconfigSource = {}): KubeConfig {
  const environment = source.environment ?? process.env;
  const files = kubeconfigFiles(source, environment);
  const inPod = environment['KUBERNETES_SERVICE_HOST'] !== undefined && existsSync(podTokenFile);
  const config = files.length === 0 && inPod ? ofPod() : merged(files);
  if (source.context !== undefined) config.setCurrentContext(source.context);
  check(config);
  return config;
}

function kubeconfigFiles(
  source: KubeconfigSource,
  environment: Readonly<Partial<Record<string, string>>>,
): readonly string[] {
  if (source.file !== undefined) {
    if (existsSync(source.file)) return [source.file];
    throw missing(`the kubeconfig \`${source.file}\` does not exist; check --kubeconfig`);
  }
  const listed = (environment['KUBECONFIG'] ?? '').split(delimiter).filter((each) => each !== '');
  if (listed.length > 0) {
    const existing = listed.filter((each) => existsSync(each));
    if (existing.length > 0) return existing;
    throw missing(
      `no file of KUBECONFIG=\`${listed.join(delimiter)}\` exists; correct it or give --kubeconfig`,
    );
  }
  const ofHome = join(source.home ?? homedir(), '.kube', 'config');
  return existsSync(ofHome) ? [ofHome] : [];
}

function ofPod(): KubeConfig {
  const config = new KubeConfig();
  config.loadFromCluster();
  return config;
}

function merged(files: readonly string[]): KubeConfig {
  const [first, ...rest] = files;
  if (first === undefined) {
    throw missing(
      'no cluster is given: neither --kubeconfig nor KUBECONFIG nor ~/.kube/config names one, and this is no pod; give --kubeconfig',
    );
  }
  const config = parsed(first);
  for (const file of rest) addTo(config, parsed(file));
  return config;
}

function parsed(file: string): KubeConfig {
  const config = new KubeConfig();
  try {
    config.loadFromFile(file);
  } catch (error) {
    const why = error instanceof Error ? (error.message.split('\n')[0] ?? '') : String(error);
    throw new LockwardenError('KubeconfigMissing', `the kubeconfig \`${file}\` cannot be read: ${why}`, {
      cause: error,
    });
  }
  return config;
}

/** As in kubectl, what an earlier file defines stays. */
function addTo(config: KubeConfig, more: KubeConfig): void {
  const isNew = (known: readonly { readonly name: string }[], each: { readonly name: string }): boolean =>
    known.every((one) => one.name !== each.name);
  for (const each of more.clusters) if (isNew(config.clusters, each)) config.addCluster(each);
  for (const each of more.users) if (isNew(config.users, each)) config.addUser(each);
  for (const each of more.contexts) if (isNew(config.contexts, each)) config.addContext(each);
  // NB: client-node types the current context as always present; a file may well lack it.
  if (!config.currentContext) config.setCurrentContext(more.currentContext);
}

function check(config: KubeConfig): void {
  const name = config.currentContext;
  if (!name) throw missing('the kubeconfig has no current context; give --context');
  const context = config.getContextObject(name);
  if (context === null) {
    const known = config.contexts.map((each) => `\`${each.name}\``).join(', ');
    throw missing(`the kubeconfig has no context \`${name}\`; it has ${known === '' ? 'none' : known}`);
  }
  const cluster = config.getCurrentCluster();
  if (!cluster?.server) {
    throw missing(`the context \`${name}\` names the cluster \`${context.cluster}\`, which has no server`);
  }
  if (!cluster.server.startsWith('https:') && !cluster.skipTLSVerify) {
    throw unsupported(
      `the cluster \`${cluster.name}\` is not served over https; use an https server, or set insecure-skip-tls-verify to send credentials in the clear`,
    );
  }
  const user = config.getCurrentUser();
  if (user === null) {
    throw missing(`the context \`${name}\` names the user \`${context.user}\`, which the kubeconfig lacks`);
  }
  checkUser(user);
}

/** NB: client-node sends requests of a user whose provider it does not know without any credentials. */
function checkUser(user: User): void {
  const provider: unknown = user.authProvider;
  if (typeof provider !== 'object' || provider === null || !('name' in provider)) return;
  const { name } = provider;
  // The gcp and azure providers left kubectl in 1.26; client-node runs their commands synchronously.
  if (name === 'oidc' || name === 'exec' || name === 'tokenFile') return;
  throw unsupported(
    `the user \`${user.name}\` authenticates through \`${String(name)}\`, which is not supported; use an exec plugin, a token or a client certificate`,
  );
}

function missing(message: string): LockwardenError {
  return new LockwardenError('KubeconfigMissing', message);
}

function unsupported(message: string): LockwardenError {
  return new LockwardenError('KubeconfigUnsupported', message);
}
