import type { PemPair } from './credentials.ts';

/** What a kubeconfig says: one cluster, one user, one context, all called `name`. */
export interface KubeconfigContent {
  readonly name: string;
  readonly server: string;
  readonly authority: string;
  readonly user: PemPair | { readonly token: string };
}

/** A kubeconfig as text. It is JSON, which every reader of YAML takes. */
export function formatKubeconfig({ name, server, authority, user }: KubeconfigContent): string {
  const base64 = (pem: string): string => Buffer.from(pem).toString('base64');
  const credentials =
    'token' in user
      ? { token: user.token }
      : { 'client-certificate-data': base64(user.certificate), 'client-key-data': base64(user.key) };
  const config = {
    apiVersion: 'v1',
    kind: 'Config',
    'current-context': name,
    clusters: [{ name, cluster: { server, 'certificate-authority-data': base64(authority) } }],
    users: [{ name, user: credentials }],
    contexts: [{ name, context: { cluster: name, user: name } }],
  };
  return `${JSON.stringify(config, null, 2)}\n`;
}
