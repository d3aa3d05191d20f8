/**
 * What `lockwarden replay` takes for a large audit log: `node bench/replay.ts [MiB] [locks] [share of other events, percent] [gzip]`.
 * Default: 1,024 MiB, 500 locks, half of the events about other things. The log is made as it is read, so that it takes no disk, in the
 * API server's own format at the level RequestResponse: each lock is created, renewed every two seconds, and robbed once in a hundred
 * renewals. Prints throughput, and the most memory that was held; `made` is what making the log alone takes.
 */
import { createGzip } from 'node:zlib';
import { Readable } from 'node:stream';

import { replay } from '../src/cli/replay.ts';
import { writeResult } from './support/result.ts';

const [mebibytes = 1_024, locks = 500, others = 50] = process.argv.slice(2, 5).map(Number);
const isPacked = process.argv[5] === 'gzip';
const startMs = Date.parse('2026-03-01T00:00:00Z');
const robbedEvery = 100;
const chunkBytes = 256 * 1024;

function time(ms: number): string {
  return new Date(ms).toISOString().replace('Z', '000Z');
}

function lease(index: number, turn: number, atMs: number, version: number): object {
  const reign = Math.floor(turn / robbedEvery);
  const name = `lock-${String(index)}`;
  const renewTime = time(atMs);
  const spec = {
    'f:acquireTime': {},
    'f:holderIdentity': {},
    'f:leaseDurationSeconds': {},
    'f:renewTime': {},
  };
  const stamp = {
    ...{ manager: 'operator', operation: 'Update', apiVersion: 'coordination.k8s.io/v1' },
    ...{ time: `${renewTime.slice(0, 19)}Z`, fieldsType: 'FieldsV1', fieldsV1: { 'f:spec': spec } },
  };
  return {
    kind: 'Lease',
    apiVersion: 'coordination.k8s.io/v1',
    metadata: {
      ...{ name, namespace: `team-${String(index % 50)}`, uid: `uid-${String(index)}` },
      ...{ resourceVersion: String(version), creationTimestamp: '2026-03-01T00:00:00Z' },
      managedFields: [stamp],
    },
    spec: {
      ...{ holderIdentity: `pod-${String(index)}-${String(reign)}_5c1e`, leaseDurationSeconds: 15 },
      ...{ acquireTime: time(startMs), renewTime, leaseTransitions: reign },
    },
  };
}

function write(index: number, turn: number): object {
  const atMs = startMs + turn * 2_000 + (index % 2_000);
  const version = 1_000 + turn * locks + index;
  const [sent, stored] = [version - locks, version].map((each) => lease(index, turn, atMs, each));
  const reign = Math.floor(turn / robbedEvery);
  const account = `system:serviceaccount:team-${String(index % 50)}:operator`;
  const pod = (key: string, value: string): object => ({ [`authentication.kubernetes.io/${key}`]: [value] });
  const name = `pod-${String(index)}-${String(reign)}`;
  return {
    ...{ kind: 'Event', apiVersion: 'audit.k8s.io/v1', level: 'RequestResponse' },
    ...{ auditID: `audit-${String(index)}-${String(turn)}`, stage: 'ResponseComplete' },
    requestURI: `/apis/coordination.k8s.io/v1/namespaces/team-${String(index % 50)}/leases/lock-${String(index)}?timeout=5s`,
    verb: turn === 0 ? 'create' : 'update',
    user: {
      username: account,
      groups: ['system:serviceaccounts', 'system:authenticated'],
      extra: { ...pod('pod-name', name), ...pod('pod-uid', `${name}-uid`) },
    },
    sourceIPs: ['10.0.0.7'],
    userAgent: 'operator/v1.2.3 (linux/amd64) kubernetes/abcdef0 leader-election',
    objectRef: {
      ...{ resource: 'leases', namespace: `team-${String(index % 50)}`, name: `lock-${String(index)}` },
      ...{ apiGroup: 'coordination.k8s.io', apiVersion: 'v1' },
    },
    responseStatus: { metadata: {}, code: turn === 0 ? 201 : 200 },
    ...{ requestObject: sent, responseObject: stored },
    ...{ requestReceivedTimestamp: time(atMs), stageTimestamp: time(atMs + 4) },
    annotations: { 'authorization.k8s.io/decision': 'allow', 'authorization.k8s.io/reason': 'RBAC: allowed' },
  };
}

const other = JSON.stringify(write(0, 1)).replaceAll('leases', 'pods').replaceAll('Lease', 'Pod');

let bytes = 0;
let events = 0;
let foreign = 0;
let peakRss = 0;
let peakHeap = 0;

function* log(): Generator<Buffer, void, void> {
  let chunk: string[] = [];
  let length = 0;
  const add = (line: string): void => {
    chunk.push(line);
    length += line.length + 1;
    events += 1;
  };
  for (let turn = 0; bytes < mebibytes * 2 ** 20; turn += 1) {
    for (let index = 0; index < locks && bytes < mebibytes * 2 ** 20; index += 1) {
      add(JSON.stringify(write(index, turn)));
      for (; foreign < (events * others) / 100; foreign += 1) add(other);
      if (length < chunkBytes) continue;
      bytes += length;
      const { rss, heapUsed } = process.memoryUsage();
      peakRss = Math.max(peakRss, rss);
      peakHeap = Math.max(peakHeap, heapUsed);
      yield Buffer.from(`${chunk.join('\n')}\n`);
      chunk = [];
      length = 0;
    }
  }
}

function processorSeconds(): number {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1e6;
}

const shown = (value: number): string => value.toFixed(1);
const madeFrom = processorSeconds();
let chunks = 0;
for (const chunk of log()) chunks += Math.sign(chunk.length);
const made = processorSeconds() - madeFrom;
const whole = { bytes, events };
[bytes, events, foreign, peakRss, peakHeap] = [0, 0, 0, 0, 0];
let text = '';
const begun = performance.now();
const from = processorSeconds();
const source = Readable.from(log());
await replay(
  { files: ['-'], policies: [], output: 'json', records: false, lockwardenNamespace: 'lockwarden-system' },
  {
    stdout: { write: (part) => (text += part) },
    stderr: process.stderr,
    stdin: () => (isPacked ? (source.pipe(createGzip({ level: 1 })) as AsyncIterable<Buffer>) : source),
    env: process.env,
  },
);
const took = processorSeconds() - from - made;
const elapsed = (performance.now() - begun) / 1_000;
const { judged, wouldBe } = JSON.parse(text) as { judged: number; wouldBe: { refused: number } };
process.stdout.write(
  [
    `log:     ${shown(whole.bytes / 2 ** 20)} MiB, ${String(whole.events)} events, ${String(judged)} writes judged, ${String(wouldBe.refused)} would be refused`,
    `made:    ${shown(made)} s of a processor, ${String(chunks)} chunks`,
    `replay:  ${shown(took)} s of a processor (${shown(whole.bytes / 2 ** 20 / took)} MiB/s), ${shown((1e6 * took) / judged)} us a write judged; ${shown(elapsed)} s in all`,
    `memory:  rss ${shown(peakRss / 2 ** 20)} MiB, heap ${shown(peakHeap / 2 ** 20)} MiB at most`,
    '',
  ].join('\n'),
);
await writeResult('replay', {
  ...{ mebibytes, locks, othersPercent: others, isPacked, events: whole.events, judged },
  ...{ madeSeconds: made, replaySeconds: took, elapsedSeconds: elapsed },
  ...{ peakRssMiB: peakRss / 2 ** 20, peakHeapMiB: peakHeap / 2 ** 20 },
});
