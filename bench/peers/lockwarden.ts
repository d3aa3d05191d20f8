/**
 * lockwarden's own edge in a process by itself, with all that a judgement needs, and no cluster behind it:
 * `node bench/peers/lockwarden.ts --port PORT --cert-dir FOLDER`. Its log is written to standard output, as in a cluster.
 */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';

import { LockMemories } from '../../src/admission/lock-memories.ts';
import { systemClock } from '../../src/clock.ts';
import { createEdge } from '../../src/guard/edge.ts';
import { GuardReviews } from '../../src/guard/reviews.ts';
import { KubeError } from '../../src/kube/errors.ts';
import { PolicyStore } from '../../src/policy/store.ts';
import { createLogging } from '../../src/review/logger.ts';
import { createMetrics } from '../../src/server/metrics.ts';
import { Readiness } from '../../src/server/readiness.ts';

const { values: flags } = parseArgs({
  options: {
    address: { type: 'string', default: '127.0.0.1' },
    port: { type: 'string', default: '9443' },
    'cert-dir': { type: 'string', default: '.' },
  },
});
const namespace = 'lockwarden-system';
const clock = systemClock();
const metrics = createMetrics(clock, { processMetrics: true });
const { log } = createLogging({ level: 'info', fd: 1, pretty: false });
const store = new PolicyStore(namespace);
const nobodyToAsk = (): Promise<never> =>
  Promise.reject(new KubeError('unreachable', 'there is no API server'));
const reviews = new GuardReviews({
  ...{ instance: 'bench', clock, log, nowMs: () => clock.wallMs() },
  recordEvent: () => undefined,
  countRejection: () => undefined,
  onDrop: (record) => {
    metrics.reviewsDropped.inc({ record });
  },
});
reviews.start();
const edge = createEdge({
  ...{ namespace, memories: new LockMemories(), reviews, metrics, clock, log },
  policies: { settingsFor: (lock) => store.effectiveFor(lock)?.settings ?? null },
  client: { server: '', request: nobodyToAsk, stream: nobodyToAsk, close: () => undefined },
  readiness: new Readiness(['serving']),
});
const read = (file: string): string => readFileSync(join(flags['cert-dir'], file), 'utf8');
edge.reload({ certPem: read('tls.crt'), keyPem: read('tls.key') });
await edge.listen(Number(flags.port), flags.address);
