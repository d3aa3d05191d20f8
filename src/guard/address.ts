/** Where the API server finds this process, and so which names its certificate needs. */
import type { ServeConfig } from '../config.ts';
import type { WebhookAddress } from '../kube/webhook-configuration.ts';

/** Name of lockwarden's Service, and the port that it offers. */
const serviceName = 'lockwarden';
const servicePort = 443;

/** The address to register. `port` is the one that is really listened on. */
export function webhookAddress(config: ServeConfig, port: number, path: string): WebhookAddress {
  if (config.webhookUrl === null) {
    return { kind: 'service', namespace: config.namespace, name: serviceName, port: servicePort, path };
  }
  const url = new URL(config.webhookUrl);
  // With `--port 0` only now is it known which one it has become.
  if (config.port === 0) url.port = String(port);
  return { kind: 'url', url: url.href };
}

/** The names for the certificate. The API server asks a Service for `<name>.<namespace>.svc`. */
export function webhookHosts({ webhookUrl, namespace }: ServeConfig): readonly string[] {
  if (webhookUrl !== null) return [webhookUrl.hostname.replace(/^\[(.*)\]$/, '$1')];
  const service = `${serviceName}.${namespace}.svc`;
  return [service, `${service}.cluster.local`];
}
