/**
 * What `serve` is told, checked. Flags, variables and defaults are the command line's business (src/cli); this is the
 * meaning of the values.
 */
import { isIP } from 'node:net';
import { hostname } from 'node:os';
import { defaultLifetimes, lifetimesProblem, type Lifetimes } from './certs/lifetimes.ts';
import { jitterFactor } from './election/timing.ts';
import { LockwardenError } from './errors.ts';
import { durationMs } from './policy/duration.ts';
import { logLevels, type LogLevel } from './review/log-level.ts';

/** When a leader is replaced. Milliseconds, with the meaning that client-go gives them. */
export interface ElectionConfig {
  readonly leaseDurationMs: number;
  readonly renewDeadlineMs: number;
  readonly retryPeriodMs: number;
}

/**
 * Where the serving certificate comes from: issued and rotated by lockwarden, or brought by somebody else in a Secret of
 * lockwarden's namespace or in a folder, as `tls.crt`, `tls.key` and `ca.crt`.
 */
export type CertificateSource =
  | { readonly kind: 'own'; readonly lifetimes: Lifetimes }
  | { readonly kind: 'secret'; readonly name: string; readonly publishDwellMs: number }
  | { readonly kind: 'folder'; readonly path: string; readonly publishDwellMs: number };

/** The settings of a serving process. */
export interface ServeConfig {
  /** Path of a kubeconfig, or null for the usual chain ($KUBECONFIG, ~/.kube/config, in-cluster). */
  readonly kubeconfig: string | null;
  /** Context of the kubeconfig, or null for its current one. */
  readonly context: string | null;
  /** lockwarden's own namespace: that of its Service, never guarded by itself. */
  readonly namespace: string;
  /** 1 to 65535, or 0 for any free port. */
  readonly port: number;
  readonly healthPort: number;
  /** Of the read API; null: there is none. */
  readonly readPort: number | null;
  readonly bindAddress: string;
  /** Where the API server reaches this process, or null to register the Service. Always https. */
  readonly webhookUrl: URL | null;
  /** Register without the condition that keeps plain renewals off the wire. */
  readonly inspectRenewals: boolean;
  /** Have the API server itself refuse premature takeovers while lockwarden is down. */
  readonly standIn: boolean;
  /** Have the leader write the policies by which it does; false where others apply what `lockwarden render` prints. */
  readonly generatePolicies: boolean;
  /** How the replicas elect the one that owns certificates and registration; null: this process is alone. */
  readonly election: ElectionConfig | null;
  /** How this replica calls itself: the name of its pod. */
  readonly replicaName: string;
  readonly certificates: CertificateSource;
  /** How long callers may take to leave at the end, in milliseconds. */
  readonly shutdownGraceMs: number;
  readonly logLevel: LogLevel;
}

/** The values as the command line hands them over: strings, and undefined where nothing was said. */
export interface ServeOptions {
  readonly kubeconfig?: string;
  readonly context?: string;
  readonly namespace: string;
  readonly port: string;
  readonly healthPort: string;
  readonly readPort?: string;
  readonly bindAddress: string;
  readonly webhookUrl?: string;
  readonly inspectRenewals: boolean;
  readonly standIn?: boolean;
  readonly generatePolicies?: boolean;
  readonly leaderElect?: boolean;
  readonly leaderElectLeaseDuration?: string;
  readonly leaderElectRenewDeadline?: string;
  readonly leaderElectRetryPeriod?: string;
  readonly replicaName?: string;
  readonly caValidity?: string;
  readonly certificateValidity?: string;
  readonly publishDwell?: string;
  readonly retireAfter?: string;
  readonly tlsSecret?: string;
  readonly tlsDir?: string;
  readonly shutdownGracePeriod?: string;
  readonly logLevel: string;
}

/** Path on which reviews are taken, when the URL names none. */
export const reviewPath = '/validate';

/**
 * Checks the values.
 * @throws LockwardenError `UsageInvalid` naming the flag
 */
export function serveConfigOf(options: ServeOptions): ServeConfig {
  const election = electionOf(options);
  return {
    kubeconfig: options.kubeconfig ?? null,
    context: options.context ?? null,
    namespace: namespaceOf(options.namespace),
    port: portOf('--port', options.port),
    healthPort: portOf('--health-port', options.healthPort),
    readPort: options.readPort === undefined ? null : portOf('--read-port', options.readPort),
    bindAddress: addressOf(options.bindAddress),
    webhookUrl: options.webhookUrl === undefined ? null : webhookUrlOf(options.webhookUrl),
    inspectRenewals: options.inspectRenewals,
    standIn: options.standIn ?? true,
    generatePolicies: options.generatePolicies ?? true,
    election,
    replicaName: replicaNameOf(options.replicaName ?? hostname()),
    certificates: certificatesOf(options),
    shutdownGraceMs: durationOf(
      '--shutdown-grace-period',
      options.shutdownGracePeriod,
      election === null ? graceAloneMs : graceOfReplicasMs,
    ),
    logLevel: logLevelOf(options.logLevel),
  };
}

/** LIMIT: client-go's defaults, which Kubernetes' own components elect by. */
const electionDefault: ElectionConfig = {
  leaseDurationMs: 15_000,
  renewDeadlineMs: 10_000,
  retryPeriodMs: 2_000,
};
/** LIMIT: API servers keep idle connections for 90 s; whoever still calls after that has opened one meanwhile. */
const graceOfReplicasMs = 100_000;
/** LIMIT: with the registration gone no call comes any more; one that is under way takes two seconds at most. */
const graceAloneMs = 2_500;

/** LIMIT: a third of the time that a leader has for a renewal, which begins with a third of the leaf's life left. */
const breakGlassPart = 1 / 9;

/** Whoever registers a URL is usually alone; whoever registers the Service usually is not. */
function electionOf(options: ServeOptions): ElectionConfig | null {
  if (!(options.leaderElect ?? options.webhookUrl === undefined)) return null;
  const election = {
    leaseDurationMs: durationOf(
      '--leader-elect-lease-duration',
      options.leaderElectLeaseDuration,
      electionDefault.leaseDurationMs,
    ),
    renewDeadlineMs: durationOf(
      '--leader-elect-renew-deadline',
      options.leaderElectRenewDeadline,
      electionDefault.renewDeadlineMs,
    ),
    retryPeriodMs: durationOf(
      '--leader-elect-retry-period',
      options.leaderElectRetryPeriod,
      electionDefault.retryPeriodMs,
    ),
  };
  // The elector checks the rest; what it refuses is a defect by then, so the usual mistakes are told here.
  if (election.leaseDurationMs < 1_000 || election.leaseDurationMs % 1_000 !== 0) {
    throw invalid(
      '--leader-elect-lease-duration',
      options.leaderElectLeaseDuration ?? '',
      'give whole seconds',
    );
  }
  if (election.leaseDurationMs <= election.renewDeadlineMs) {
    throw invalid(
      '--leader-elect-lease-duration',
      options.leaderElectLeaseDuration ?? '',
      'give more than the renew deadline',
    );
  }
  if (election.renewDeadlineMs <= jitterFactor * election.retryPeriodMs || election.retryPeriodMs < 1) {
    throw invalid(
      '--leader-elect-renew-deadline',
      options.leaderElectRenewDeadline ?? '',
      `give more than ${jitterFactor} times the retry period`,
    );
  }
  return election;
}

function certificatesOf(options: ServeOptions): CertificateSource {
  const { tlsSecret, tlsDir } = options;
  if (tlsSecret !== undefined && tlsDir !== undefined)
    throw invalid('--tls-dir', tlsDir, 'there can be only one source, and --tls-secret is given too');
  const publishDwellMs = durationOf('--publish-dwell', options.publishDwell, defaultLifetimes.publishDwellMs);
  if (tlsSecret !== undefined) return { kind: 'secret', name: secretNameOf(tlsSecret), publishDwellMs };
  if (tlsDir !== undefined) return { kind: 'folder', path: tlsDir, publishDwellMs };
  const leafValidityMs = durationOf(
    '--certificate-validity',
    options.certificateValidity,
    defaultLifetimes.leafValidityMs,
  );
  const lifetimes: Lifetimes = {
    ...defaultLifetimes,
    caValidityMs: durationOf('--ca-validity', options.caValidity, defaultLifetimes.caValidityMs),
    leafValidityMs,
    breakGlassMs: Math.min(defaultLifetimes.breakGlassMs, leafValidityMs * breakGlassPart),
    publishDwellMs,
    retireAfterMs: durationOf('--retire-after', options.retireAfter, defaultLifetimes.retireAfterMs),
  };
  const problem = lifetimesProblem(lifetimes);
  if (problem !== null) throw new LockwardenError('UsageInvalid', `these lifetimes cannot work: ${problem}`);
  return { kind: 'own', lifetimes };
}

function durationOf(flag: string, value: string | undefined, byDefaultMs: number): number {
  if (value === undefined) return byDefaultMs;
  const ms = durationMs(value);
  if (ms !== null) return ms;
  throw invalid(flag, value, 'give a duration such as 500ms, 30s, 10m or 720h');
}

/** SOURCE: names of pods, and keys of a ConfigMap, which this becomes */
function replicaNameOf(value: string): string {
  if (/^[a-zA-Z0-9][-.a-zA-Z0-9]{0,252}$/.test(value)) return value;
  throw invalid('--replica-name', value, 'give letters, digits, dots and dashes, as in the name of a pod');
}

function secretNameOf(value: string): string {
  if (/^[a-z0-9]([-.a-z0-9]{0,251}[a-z0-9])?$/.test(value)) return value;
  throw invalid('--tls-secret', value, 'give the name of a Secret in lockwarden’s namespace');
}

function portOf(flag: string, value: string): number {
  const port = /^\d{1,5}$/.test(value) ? Number(value) : NaN;
  if (port >= 0 && port <= 65_535) return port;
  throw invalid(flag, value, 'give a port from 0 (any free one) to 65535');
}

/**
 * The name of a namespace.
 * SOURCE: https://www.rfc-editor.org/rfc/rfc1123 (labels), as the API server checks them
 * @throws LockwardenError `UsageInvalid`
 */
export function namespaceOf(value: string): string {
  if (/^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$/.test(value)) return value;
  throw invalid('--namespace', value, 'give the name of a namespace');
}

function addressOf(value: string): string {
  if (isIP(value) !== 0) return value;
  throw invalid('--bind-address', value, 'give an IP address of this machine, such as 127.0.0.1');
}

function webhookUrlOf(value: string): URL {
  const url = URL.canParse(value) ? new URL(value) : null;
  if (url?.protocol !== 'https:' || url.username !== '' || url.search !== '' || url.hash !== '') {
    throw invalid(
      '--webhook-url',
      value,
      'give a URL such as https://127.0.0.1:9443, without user, query or fragment',
    );
  }
  if (url.pathname === '/') url.pathname = reviewPath;
  if (url.pathname !== reviewPath) {
    throw invalid('--webhook-url', value, `reviews are taken on ${reviewPath}: leave the path out`);
  }
  return url;
}

function logLevelOf(value: string): LogLevel {
  const level = logLevels.find((each) => each === value);
  if (level !== undefined) return level;
  throw invalid('--log-level', value, `give one of ${logLevels.join(', ')}`);
}

function invalid(flag: string, value: string, advice: string): LockwardenError {
  return new LockwardenError('UsageInvalid', `${flag} does not take \`${value}\`: ${advice}`);
}
