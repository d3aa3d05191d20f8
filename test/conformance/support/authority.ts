/** The authority of a cluster, as somebody with rights on its Secret and configuration sees it. */
import { vi } from 'vitest';

import { splitBundle } from '../../../src/certs/bundle.ts';
import { readChain } from '../../../src/certs/certificate.ts';
import type { KubeClient } from '../../../src/kube/client.ts';
import { objectAt, stringAt, type JsonObject } from '../../../src/kube/json.ts';
import { bundlesIn } from '../../../src/replica/observed-bundle.ts';
import { authoritySecretName, rotateAnnotation, secretsOf } from '../../../src/replica/secret-store.ts';
import { failureOf } from '../../kube/support/cluster.ts';
import { ownNamespace } from './replica-set.ts';

export const secretPath = `${secretsOf(ownNamespace)}/${authoritySecretName}`;
export const configurationPath =
  '/apis/admissionregistration.k8s.io/v1/validatingwebhookconfigurations/lockwarden';

/** LIMIT: a rotation with a leader that dies in the middle takes some ten seconds; a busy machine three times that. */
const patience = { timeout: 60_000, interval: 50 };

/** A rotation that was asked for. */
export interface Rotation {
  /** By which the state tells that it was honoured. */
  readonly token: string;
  untilDone(): Promise<void>;
}

export class ClusterAuthority {
  readonly #client: KubeClient;
  #tokens = 0;

  constructor(client: KubeClient) {
    this.#client = client;
  }

  async secret(): Promise<JsonObject> {
    const { body } = await this.#client.request({ method: 'GET', path: secretPath });
    return body as JsonObject;
  }

  /** What a key of the Secret holds, decoded; empty where there is none. */
  async text(key: string): Promise<string> {
    return Buffer.from(stringAt(objectAt(await this.secret(), 'data'), key), 'base64').toString('utf8');
  }

  async state(): Promise<JsonObject> {
    return JSON.parse((await this.text('state.json')) || '{}') as JsonObject;
  }

  /** SHA-256 of the leaf in the Secret. */
  async leaf(): Promise<string> {
    return readChain(await this.text('tls.crt'))?.[0].fingerprint ?? '';
  }

  async configuration(): Promise<JsonObject> {
    const { body } = await this.#client.request({ method: 'GET', path: configurationPath });
    return body as JsonObject;
  }

  /** How many authorities each entry of the configuration trusts. */
  async trusted(): Promise<readonly number[]> {
    return (bundlesIn(await this.configuration()) ?? []).map((bundle) => splitBundle(bundle).length);
  }

  /** Asks for a rotation, and resolves to what tells whether it is over. */
  async rotate(what: 'leaf' | 'authority'): Promise<Rotation> {
    this.#tokens += 1;
    const token = `test-${String(this.#tokens)}`;
    await this.#client.request({
      method: 'PATCH',
      path: secretPath,
      contentType: 'application/merge-patch+json',
      body: { metadata: { annotations: { [rotateAnnotation]: `${what}:${token}` } } },
    });
    return {
      token,
      untilDone: () =>
        vi.waitFor(async () => {
          const { rotatedFor, prepared, confirmed } = await this.state();
          // NB: what was confirmed may be the authority before, as long as the next one is only prepared.
          if (rotatedFor !== token || prepared !== null || typeof confirmed !== 'string') {
            throw new Error(`${what} not rotated`);
          }
          const trusted = await this.trusted();
          if (trusted.length === 0 || trusted.some((count) => count !== 1)) {
            throw new Error(`the configuration trusts ${trusted.join()} authorities`);
          }
        }, patience),
    };
  }

  /** Resolves once the configuration has entries of which every one trusts somebody. */
  async untilRegistered(): Promise<void> {
    await vi.waitFor(async () => {
      const failure = await failureOf(this.configuration());
      if (failure !== null) throw failure;
      const trusted = await this.trusted();
      if (trusted.length === 0 || trusted.includes(0)) throw new Error('not registered');
    }, patience);
  }
}
