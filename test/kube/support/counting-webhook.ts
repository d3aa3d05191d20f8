/** A webhook that counts and allows, for tests of what reaches it. */
import { createServer } from 'node:https';
import type { AddressInfo } from 'node:net';

import { issueServingCertificate } from '../../support/serving-certificate.ts';

/** What one call was about. */
export interface Call {
  readonly path: string;
  readonly operation: string;
  readonly namespace: string;
  readonly name: string;
}

export interface CountingWebhook {
  readonly url: string;
  /** PEM text of the authority that vouches for it. */
  readonly caBundle: string;
  /** Every call since the last `take`, and forgets them. */
  take(): readonly Call[];
  close(): Promise<void>;
}

interface Review {
  readonly request: {
    readonly uid: string;
    readonly operation: string;
    readonly namespace?: string;
    readonly name?: string;
    readonly oldObject?: { readonly metadata?: { readonly name?: string } } | null;
  };
}

export async function startCountingWebhook(): Promise<CountingWebhook> {
  const certificate = await issueServingCertificate({
    hosts: ['127.0.0.1'],
    nowMs: Date.now(),
    validityMs: 3_600_000,
    backdateMs: 3_600_000,
  });
  let calls: Call[] = [];
  const server = createServer({ key: certificate.keyPem, cert: certificate.certPem }, (request, response) => {
    const chunks: Buffer[] = [];
    request.on('data', (chunk: Buffer) => chunks.push(chunk));
    request.on('end', () => {
      const { request: asked } = JSON.parse(Buffer.concat(chunks).toString('utf8')) as Review;
      const { uid, operation, namespace = '' } = asked;
      const name = asked.name ?? asked.oldObject?.metadata?.name ?? '';
      calls.push({ path: request.url ?? '', operation, namespace, name });
      const review = {
        apiVersion: 'admission.k8s.io/v1',
        kind: 'AdmissionReview',
        response: { uid, allowed: true },
      };
      response.setHeader('content-type', 'application/json').end(JSON.stringify(review));
    });
  });
  server.keepAliveTimeout = 120_000;
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  return {
    url: `https://127.0.0.1:${String(port)}`,
    caBundle: certificate.caPem,
    take: () => {
      const taken = calls;
      calls = [];
      return taken;
    },
    close: () =>
      new Promise((resolve) => {
        server.close(() => {
          resolve();
        });
        server.closeAllConnections();
      }),
  };
}
