/**
 * What `serve` is told, checked. Flags, variables and defaults are the command line's business (src/cli); this is the
 * meaning of the values.
 */
import { isIP } from 'node:net';
import { LockwardenError } from './errors.ts';
import type { LogLevel } from './review/logger.ts';

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
  readonly bindAddress: string;
  /** Where the API server reaches this process, or null to register the Service. Always https. */
  readonly webhookUrl: URL | null;
  /** Register without the condition that keeps plain renewals off the wire. */
  readonly inspectRenewals: boolean;
  readonly logLevel: LogLevel;
}

/** The values as the command line hands them over: strings, and undefined where nothing was said. */
export interface ServeOptions {
  readonly kubeconfig?: string;
  readonly context?: string;
  readonly namespace: string;
  readonly port: string;
  readonly healthPort: string;
  readonly bindAddress: string;
  readonly webhookUrl?: string;
  readonly inspectRenewals: boolean;
  readonly logLevel: string;
}

/** Path on which reviews are taken, when the URL names none. */
export const reviewPath = '/validate';

/**
 * Checks the values.
 * @throws LockwardenError `UsageInvalid` naming the flag
 */
export function serveConfigOf(options: ServeOptions): ServeConfig {
  return {
    kubeconfig: options.kubeconfig ?? null,
    context: options.context ?? null,
    namespace: namespaceOf(options.namespace),
    port: portOf('--port', options.port),
    healthPort: portOf('--health-port', options.healthPort),
    bindAddress: addressOf(options.bindAddress),
    webhookUrl: options.webhookUrl === undefined ? null : webhookUrlOf(options.webhookUrl),
    inspectRenewals: options.inspectRenewals,
    logLevel: logLevelOf(options.logLevel),
  };
}

function portOf(flag: string, value: string): number {
  const port = /^\d{1,5}$/.test(value) ? Number(value) : NaN;
  if (port >= 0 && port <= 65_535) return port;
  throw invalid(flag, value, 'give a port from 0 (any free one) to 65535');
}

/** SOURCE: https://www.rfc-editor.org/rfc/rfc1123 (labels), as the API server checks the names of namespaces */
function namespaceOf(value: string): string {
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
  if (value === 'error' || value === 'warn' || value === 'info' || value === 'debug') return value;
  throw invalid('--log-level', value, 'give one of error, warn, info, debug');
}

function invalid(flag: string, value: string, advice: string): LockwardenError {
  return new LockwardenError('UsageInvalid', `${flag} does not take \`${value}\`: ${advice}`);
}
