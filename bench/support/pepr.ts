/**
 * Pepr's admission controller, to measure beside, with no cluster. Its image installs the package the same way, and runs such a process:
 * what its container begins with unpacks the module from a Secret, checks its hash, and forks it.
 */
import { randomUUID } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { request } from 'node:https';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

import type { JsonObject } from '../../src/kube/json.ts';
import { failure, kubeconfigText, startFakeApiServer } from '../../test/kube/support/fake-api-server.ts';
import type { Asked, FakeApiServer } from '../../test/kube/support/fake-api-server.ts';
import { bodies } from './bodies.ts';
import { ensureNpmProgram } from './npm-program.ts';
import { peerFile, startPeer, type Peer, type Place } from './peer.ts';
import { answerTo } from './question.ts';

/** A module of one rule that looks at both objects and allows. Installed the first time, which takes half a minute. */
export async function startPepr(): Promise<Peer> {
  const progress = (line: string): unknown => process.stderr.write(`${line}\n`);
  const folder = await ensureNpmProgram('pepr-peer', peerFile('pepr'), progress);
  const api = await startFakeApiServer();
  void keepStores(api);
  const token = randomUUID();
  const peer = await startPeer('127.0.0.1', (place) => ({
    program: process.execPath,
    args: [join(folder, 'module.js')],
    env: environment(place, api.url, token),
    path: `/validate/${token}`,
  }));
  const stop = async (): Promise<void> => {
    await peer.stop();
    await api.close();
  };
  try {
    await untilReady(peer);
    await checkThatItJudges(peer);
  } catch (error) {
    await stop();
    throw error;
  }
  return { ...peer, stop };
}

/**
 * What Pepr's deployment gives its container. NB: it listens on all addresses, and cannot be told otherwise.
 * SOURCE: `genEnv` of pepr 1.1.4. The certificate and the token are files of Secrets there.
 */
function environment({ port, certDir }: Place, apiServer: string, token: string): NodeJS.ProcessEnv {
  const kubeconfig = join(certDir, 'kubeconfig');
  writeFileSync(kubeconfig, kubeconfigText(apiServer));
  return {
    ...process.env,
    ...{ NODE_ENV: 'production', LOG_LEVEL: 'info', PEPR_PRETTY_LOG: 'false', PEPR_WATCH_MODE: 'false' },
    ...{ SSL_CERT_PATH: join(certDir, 'tls.crt'), SSL_KEY_PATH: join(certDir, 'tls.key') },
    ...{ KUBECONFIG: kubeconfig, PEPR_API_PATH: token, PORT: String(port) },
  };
}

/**
 * Answers as an API server does about PeprStores. Pepr binds its endpoints only when it has its store, which it makes, lists and then
 * watches; reviews do not need it.
 */
async function keepStores(api: FakeApiServer): Promise<never> {
  const stores = new Map<string, JsonObject>();
  for (;;) answerAboutStores(await api.next(), stores);
}

function answerAboutStores(asked: Asked, stores: Map<string, JsonObject>): void {
  const { method, url, body } = asked;
  const name = /\/peprstores\/(?<name>[^/]+)$/u.exec(url.pathname)?.groups?.['name'];
  if (name !== undefined && method === 'PATCH') {
    const applied = body as JsonObject & { readonly metadata: JsonObject };
    const store = { ...applied, metadata: { ...applied.metadata, uid: name, resourceVersion: '1' } };
    stores.set(name, store);
    asked.reply(200, store);
  } else if (name !== undefined) {
    const store = stores.get(name);
    if (store === undefined) asked.reply(404, failure(404, 'NotFound'));
    else asked.reply(200, store);
  } else if (url.searchParams.has('watch')) {
    asked.stream();
  } else {
    const wanted = url.searchParams.get('fieldSelector')?.replace('metadata.name=', '') ?? '';
    const items = [...stores].filter(([each]) => each === wanted).map(([, store]) => store);
    asked.reply(200, { kind: 'PeprStoreList', metadata: { resourceVersion: '1' }, items });
  }
}

/** It listens before it knows any path. What it calls ready is what its deployment probes. */
async function untilReady({ url, caPem }: Peer): Promise<void> {
  // LIMIT: it waits up to three seconds before it asks for its store.
  const deadline = AbortSignal.timeout(15_000);
  while ((await statusOf(new URL('/healthz', url), caPem)) !== 200) {
    if (deadline.aborted) throw new Error('Pepr does not become ready');
    await sleep(50);
  }
}

function statusOf(url: URL, ca: string): Promise<number> {
  return new Promise((resolve, reject) => {
    const asking = request(url, { ca, agent: false }, (response) => {
      response.resume().on('end', () => {
        resolve(response.statusCode ?? NaN);
      });
    });
    asking.on('error', reject).end();
  });
}

/** Pepr allows what no rule is about, too; an object called `refused` is refused by the rule (bench/peers/pepr/module.js). */
async function checkThatItJudges(peer: Peer): Promise<void> {
  for (const [name, make] of Object.entries(bodies())) {
    const review = JSON.parse(make().text) as { request: { object: { metadata: { name: string } } } };
    review.request.object.metadata.name = 'refused';
    if (await answerTo(peer, JSON.stringify(review)))
      throw new Error(`Pepr's rule is not asked about a ${name}`);
  }
}
