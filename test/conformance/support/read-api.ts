/** The read API as a program in the cluster uses it: a token of the cluster's, and the bundle that the webhook configuration has. */
import { request } from 'node:https';

import type { KubeClient } from '../../../src/kube/client.ts';
import { arrayAt, objectAt, stringAt, type JsonObject } from '../../../src/kube/json.ts';
import { configurationPath } from '../../../src/kube/webhook-configuration.ts';

/** Where it listens, and who vouches for it (PEM text). */
export interface ReadApi {
  readonly port: number;
  readonly ca: string;
}

/** An answer. */
export interface Reply {
  readonly status: number;
  readonly body: JsonObject;
}

/** A token of a ServiceAccount for `audiences`. */
export async function issueToken(
  client: KubeClient,
  of: { readonly namespace: string; readonly name: string; readonly audiences: readonly string[] },
): Promise<string> {
  const { body } = await client.request({
    method: 'POST',
    path: `/api/v1/namespaces/${of.namespace}/serviceaccounts/${of.name}/token`,
    body: { spec: { audiences: of.audiences, expirationSeconds: 3_600 } },
  });
  return stringAt(objectAt(body, 'status'), 'token');
}

/** The bundle in the webhook configuration, as PEM text. */
export async function publishedBundle(client: KubeClient): Promise<string> {
  const { body } = await client.request({ method: 'GET', path: configurationPath });
  const bundle = stringAt(objectAt(arrayAt(body, 'webhooks')[0], 'clientConfig'), 'caBundle');
  return Buffer.from(bundle, 'base64').toString();
}

/** Asks, with a token or without. */
export async function readApi({ port, ca }: ReadApi, path: string, token: string | null): Promise<Reply> {
  return new Promise((resolve, reject) => {
    const headers = token === null ? {} : { authorization: `Bearer ${token}` };
    request({ host: '127.0.0.1', port, path, headers, ca, agent: false }, (response) => {
      let text = '';
      response.setEncoding('utf8').on('data', (chunk: string) => (text += chunk));
      response.on('end', () => {
        resolve({ status: response.statusCode ?? 0, body: JSON.parse(text) as JsonObject });
      });
    })
      .on('error', reject)
      .end();
  });
}
