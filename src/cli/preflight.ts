/**
 * `lockwarden preflight`: looks at a cluster's locks before lockwarden is installed, by a watch or in an audit log, and says which policy
 * to start with and who would be denied. It writes nothing.
 */
import { createReadStream } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';
import { systemClock, type Clock } from '../clock.ts';
import { namespaceOf } from '../config.ts';
import { span } from '../core/span.ts';
import { LockwardenError } from '../errors.ts';
import { createKubeClient } from '../kube/client.ts';
import { loadKubeconfig } from '../kube/kubeconfig.ts';
import { durationMs } from '../policy/duration.ts';
import { PolicyStore } from '../policy/store.ts';
import { AuditLog, type AuditCounts } from '../preflight/audit-log.ts';
import { Preflight } from '../preflight/preflight.ts';
import { reportOf, type PreflightReport } from '../preflight/report.ts';
import type { ProgressStream } from '../sandbox/progress.ts';
import { choiceOf } from './choice.ts';
import { readPolicies, watchLocks } from './cluster-locks.ts';
import { logLines } from './log-lines.ts';
import { limitsOfAuditLog, limitsOfWatch, requireEvents } from './preflight-limits.ts';
import { Progress } from './progress.ts';
import { renderPreflight, type PreflightFormat } from './preflight-table.ts';
import { untilSignalled } from './signals.ts';
import { takesColour } from './terminal.ts';
import { unreadable } from './unreadable.ts';

/** What `preflight` is told. */
export interface PreflightOptions {
  readonly kubeconfig?: string;
  readonly context?: string;
  /** By default all. */
  readonly namespace?: string;
  /** How long to watch: a duration such as `1m`. */
  readonly for: string;
  /** A file, or `-` for standard input; then no cluster is asked. */
  readonly auditLog?: string;
  readonly output: string;
  /** lockwarden's own namespace, of which nothing is judged. */
  readonly lockwardenNamespace: string;
}

/** Surroundings of the command. */
export interface PreflightIo {
  readonly stdout: ProgressStream;
  readonly stderr: ProgressStream;
  readonly stdin: () => AsyncIterable<Buffer>;
  readonly env: Readonly<Partial<Record<string, string>>>;
  readonly clock: Clock;
  /** Resolves after so many milliseconds, or when `signal` aborts. */
  readonly sleep: (ms: number, signal: AbortSignal) => Promise<unknown>;
  /** Resolves when somebody has seen enough. */
  readonly interrupted: () => Promise<unknown>;
}

/** Exit code for a preflight that found writes that would be denied. */
export const exitDenied = 3;

/**
 * Prints the report. Resolves to the exit code: 0 where nothing would be denied, 3 where something would be.
 *
 * @throws LockwardenError for an audit log that cannot be used; KubeError where the cluster cannot be watched
 */
export async function preflight(options: PreflightOptions, io: PreflightIo = processIo()): Promise<number> {
  const format = choiceOf('--output', options.output, formats);
  const namespace = options.namespace === undefined ? null : namespaceOf(options.namespace);
  const ownNamespace = namespaceOf(options.lockwardenNamespace);
  const report =
    options.auditLog === undefined
      ? await fromCluster(options, { namespace, ownNamespace }, io)
      : await fromAuditLog(options.auditLog, { namespace, ownNamespace }, io);
  const { stdout, env } = io;
  const colour = takesColour(stdout, env);
  stdout.write(renderPreflight(report, { format, colour }));
  return report.conclusion.denied === 0 ? 0 : exitDenied;
}

function processIo(): PreflightIo {
  return {
    stdout: process.stdout,
    stderr: process.stderr,
    stdin: () => process.stdin,
    env: process.env,
    clock: systemClock(),
    sleep: (ms, signal) => delay(ms, undefined, { signal }).catch(() => undefined),
    interrupted: () => untilSignalled().first,
  };
}

interface Places {
  readonly namespace: string | null;
  readonly ownNamespace: string;
}

async function fromCluster(
  options: PreflightOptions,
  { namespace, ownNamespace }: Places,
  io: PreflightIo,
): Promise<PreflightReport> {
  const forMs = watchTimeOf(options.for);
  const client = createKubeClient(loadKubeconfig({ file: options.kubeconfig, context: options.context }));
  const ending = new AbortController();
  const begunMs = io.clock.monotonicMs();
  const elapsedMs = (): number => io.clock.monotonicMs() - begunMs;
  const progress = new Progress(io.stderr, 'looking at locks');
  try {
    const { store, limits } = await readPolicies(client, namespace, ownNamespace);
    const seen = new Preflight({ store, ownNamespace, namespace });
    const until = Promise.race([io.sleep(forMs, ending.signal), io.interrupted()]);
    progress.begin(() => {
      const [locks, writes] = [String(seen.locks), String(seen.writes)];
      return `${span(elapsedMs())} of ${span(forMs)}, ${locks} locks, ${writes} writes; Ctrl-C ends it early`;
    });
    const { clock } = io;
    const watched = await watchLocks({ client, observer: seen, clock, namespace, until });
    const source = {
      kind: 'watch',
      server: client.server,
      namespace,
      watchedMs: Math.round(elapsedMs()),
      kinds: watched.kinds,
    } as const;
    const all = [...limitsOfWatch, ...limits, ...watched.limits];
    return reportOf(seen, { source, store, ownNamespace, limits: all });
  } finally {
    ending.abort();
    progress.end();
    client.close();
  }
}

async function fromAuditLog(
  file: string,
  { namespace, ownNamespace }: Places,
  io: PreflightIo,
): Promise<PreflightReport> {
  const store = new PolicyStore(ownNamespace);
  const seen = new Preflight({ store, ownNamespace, namespace });
  const log = new AuditLog(seen);
  const name = file === '-' ? 'standard input' : file;
  const progress = new Progress(io.stderr, 'looking at locks');
  progress.begin(
    () => `${String(log.counts().lines)} lines, ${String(seen.locks)} locks, ${String(seen.writes)} writes`,
  );
  let counts: AuditCounts;
  try {
    const chunks: AsyncIterable<Buffer> = file === '-' ? io.stdin() : createReadStream(file);
    for await (const line of logLines(chunks)) log.take(line);
  } catch (error) {
    throw unreadable(`the audit log \`${name}\``, error, readSentences);
  } finally {
    counts = log.counts();
    progress.end();
  }
  requireEvents(name, counts);
  const { lines, firstAt: from, lastAt: to } = counts;
  const source = { kind: 'audit-log', name, namespace, lines, from, to } as const;
  return reportOf(seen, { source, store, ownNamespace, limits: limitsOfAuditLog(counts, seen) });
}

const readSentences: Readonly<Partial<Record<string, string>>> = {
  ENOENT: 'there is no such file; check --audit-log',
  EACCES: 'it is not ours to read; run as somebody who may, or give a copy',
  EISDIR: 'it is a folder; give a file, or `-` for standard input',
};

/** LIMIT: what timers take; and who looks for longer than three weeks wants `Audit` and the log. */
const forMsMax = 21 * 24 * 3_600_000;

function watchTimeOf(text: string): number {
  const ms = durationMs(text);
  if (ms !== null && ms > 0 && ms <= forMsMax) return ms;
  const advice = 'give a duration such as 30s, 5m or 24h, of 504h at most';
  throw new LockwardenError('UsageInvalid', `--for does not take \`${text}\`: ${advice}`);
}

const formats: readonly PreflightFormat[] = ['table', 'wide', 'json', 'yaml'];
