import { request } from 'node:https';

import type { Peer } from './peer.ts';

/** Whether a webhook allows what one review is about. */
export function answerTo({ url, caPem }: Peer, body: string): Promise<boolean> {
  return new Promise((resolve, reject) => {
    const headers = { 'content-type': 'application/json', 'content-length': Buffer.byteLength(body) };
    const asking = request(url, { method: 'POST', ca: caPem, headers, agent: false }, (response) => {
      const chunks: Buffer[] = [];
      response.on('data', (chunk: Buffer) => chunks.push(chunk));
      response.on('end', () => {
        const review = JSON.parse(Buffer.concat(chunks).toString()) as { response: { allowed: boolean } };
        resolve(review.response.allowed);
      });
    });
    asking.on('error', reject).end(body);
  });
}
