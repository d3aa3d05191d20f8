/** Another webhook, which holds a lock's review back: so that a test decides what is stored while a write is judged. */
import { createServer } from 'node:https';
import type { AddressInfo } from 'node:net';

import { issueServingCertificate } from '../../../support/serving-certificate.ts';
import { objectAt, stringAt, type JsonObject } from '../../../../src/kube/json.ts';
import { messageOf, type Writer } from './writer.ts';

/** Locks with this label are shown to the gate. */
export const gateLabel = { 'lockwarden.test/gate': 'yes' };

/** One review. */
export interface Passage {
  readonly uid: string;
  readonly user: string;
  /** Resource version of the object that the review takes for the present one. */
  readonly oldVersion: string;
}

export interface Gate {
  /** Every review so far. */
  readonly passages: readonly Passage[];
  /** Holds the next review back. Resolves once it has arrived, to what lets it pass. */
  hold(): Promise<() => void>;
  close(): Promise<void>;
}

const path = '/apis/admissionregistration.k8s.io/v1/validatingwebhookconfigurations';
const name = 'gate';

/** Registers the gate. The API server takes that in within a second; `hold` waits for as long as it takes. */
export async function startGate(admin: Writer): Promise<Gate> {
  const certificate = await issueServingCertificate({
    hosts: ['127.0.0.1'],
    nowMs: Date.now(),
    validityMs: 3_600_000,
    backdateMs: 3_600_000,
  });
  const passages: Passage[] = [];
  const holds: ((pass: () => void) => void)[] = [];
  const server = createServer({ key: certificate.keyPem, cert: certificate.certPem }, (request, response) => {
    const chunks: Buffer[] = [];
    request.on('data', (chunk: Buffer) => chunks.push(chunk));
    request.on('end', () => {
      const asked = objectAt(JSON.parse(Buffer.concat(chunks).toString('utf8')), 'request');
      const uid = stringAt(asked, 'uid');
      const oldVersion = stringAt(objectAt(objectAt(asked, 'oldObject'), 'metadata'), 'resourceVersion');
      passages.push({ uid, user: stringAt(objectAt(asked, 'userInfo'), 'username'), oldVersion });
      const pass = (): void => {
        const answer = {
          apiVersion: 'admission.k8s.io/v1',
          kind: 'AdmissionReview',
          response: { uid, allowed: true },
        };
        response.setHeader('content-type', 'application/json').end(JSON.stringify(answer));
      };
      const held = holds.shift();
      if (held === undefined) pass();
      else held(pass);
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  const registered = await admin.send('POST', path, { body: configuration(port, certificate.caPem) });
  if (registered.status !== 201) throw new Error(`the gate is not registered: ${messageOf(registered)}`);
  return {
    passages,
    hold: () =>
      new Promise((resolve) => {
        holds.push(resolve);
      }),
    close: async () => {
      await admin.send('DELETE', `${path}/${name}`, {});
      server.close();
      server.closeAllConnections();
    },
  };
}

function configuration(port: number, caPem: string): JsonObject {
  return {
    metadata: { name },
    webhooks: [
      {
        name: 'gate.lockwarden.test',
        clientConfig: { url: `https://127.0.0.1:${String(port)}/`, caBundle: btoa(caPem) },
        rules: [
          {
            apiGroups: ['coordination.k8s.io'],
            apiVersions: ['v1'],
            operations: ['UPDATE'],
            resources: ['leases'],
          },
        ],
        objectSelector: { matchLabels: gateLabel },
        failurePolicy: 'Fail',
        sideEffects: 'None',
        timeoutSeconds: 20,
        admissionReviewVersions: ['v1'],
      },
    ],
  };
}
