/**
 * `lockwarden replay`: what lockwarden would have said of the writes in an audit log under given policies: what would have been refused,
 * by whom, how often. It asks no cluster and writes nothing.
 */
import { text } from 'node:stream/consumers';
import { namespaceOf } from '../config.ts';
import { enforcements } from '../core/reasons.ts';
import { LockwardenError } from '../errors.ts';
import type { PolicyStore } from '../policy/store.ts';
import type { ReadCounts } from '../replay/audit-reader.ts';
import { policiesIn } from '../replay/policies.ts';
import { Replay } from '../replay/replay.ts';
import { replayReport } from '../replay/report.ts';
import type { ProgressStream } from '../sandbox/progress.ts';
import { choiceOf, choicesOf } from './choice.ts';
import { exitFound } from './locks-told.ts';
import { policyFiles } from './policy-files.ts';
import { Progress } from './progress.ts';
import { ReplayFiles } from './replay-files.ts';
import { recordLines, renderReplay } from './replay-table.ts';
import { reviewFormats } from './review-table.ts';
import { takesColour } from './terminal.ts';

/** What `replay` is told. */
export interface ReplayOptions {
  /** Audit logs; `-` is standard input. */
  readonly files: readonly string[];
  /** Files and folders with policies; empty: the built-in defaults alone. */
  readonly policies: readonly string[];
  /** By default all. */
  readonly namespace?: string;
  readonly output: string;
  /** Prints the records as lines of a log instead. */
  readonly records: boolean;
  /** Enforcements, separated by commas, or `any`. */
  readonly failOn?: string;
  /** lockwarden's own namespace, of which nothing is judged. */
  readonly lockwardenNamespace: string;
}

/** Surroundings of the command. */
export interface ReplayIo {
  readonly stdout: ProgressStream;
  readonly stderr: ProgressStream;
  readonly stdin: () => AsyncIterable<Buffer>;
  readonly env: Readonly<Partial<Record<string, string>>>;
}

/**
 * Prints the report. Resolves to the exit code: 3 where `--fail-on` found something, 0 otherwise.
 *
 * @throws LockwardenError for logs and policies that cannot be used
 */
export async function replay(options: ReplayOptions, io: ReplayIo = processIo()): Promise<number> {
  const format = choiceOf('--output', options.output, reviewFormats);
  const failOn = choicesOf('--fail-on', options.failOn, [...enforcements, 'any'], enforcements);
  const namespace = options.namespace === undefined ? null : namespaceOf(options.namespace);
  const ownNamespace = namespaceOf(options.lockwardenNamespace);
  if (options.files.includes('-') && options.policies.includes('-'))
    throw usage('standard input cannot be both the log and the policies: give one of them as a file');
  const store = await storeOf(options.policies, ownNamespace, io);
  const seen = new Replay({ store, ownNamespace, namespace });
  const files = new ReplayFiles(options.files, io.stdin);
  await readAll(files, seen, io);
  requireEvents(files.names, files.counts, seen);
  const report = replayReport(seen, { files: files.names, read: files.counts, store });
  const { stdout, stderr, env } = io;
  if (options.records) {
    stdout.write(recordLines(report.records));
    for (const limit of report.limits) stderr.write(`lockwarden: ${limit}\n`);
  } else stdout.write(renderReplay(report, format, takesColour(stdout, env)));
  return failOn.some((enforcement) => seen.findings.writes[enforcement] > 0) ? exitFound : 0;
}

function processIo(): ReplayIo {
  const { stdout, stderr, env } = process;
  return { stdout, stderr, stdin: () => process.stdin, env };
}

async function storeOf(
  names: readonly string[],
  ownNamespace: string,
  { stdin }: ReplayIo,
): Promise<PolicyStore> {
  const read = policiesIn(await policyFiles(names, () => text(stdin())), ownNamespace);
  if ('faults' in read) {
    const advice = 'mend what `lockwarden lint` finds, or leave the file out';
    throw usage(`the policies cannot be used: ${read.faults.join('; ')}: ${advice}`);
  }
  if (names.length > 0 && read.policies === 0)
    throw usage(
      `there is no policy in ${names.map((name) => `\`${name}\``).join(', ')}: name other files, or leave --policies out`,
    );
  return read.store;
}

async function readAll(files: ReplayFiles, seen: Replay, { stderr }: ReplayIo): Promise<void> {
  const progress = new Progress(stderr, 'replaying');
  progress.begin(() => {
    const { judged } = seen.counts;
    return `${sharePast(files.progress)}, ${String(files.counts.lines)} lines, ${String(seen.locks)} locks, ${String(judged)} writes judged`;
  });
  try {
    for await (const batch of files.read()) for (const told of batch) await seen.take(told);
  } finally {
    progress.end();
  }
}

/** `512 of 1024 MiB (50 %)`. */
function sharePast({ read, all }: { readonly read: number; readonly all: number | null }): string {
  const mebibytes = (bytes: number): string => String(Math.round(bytes / 2 ** 20));
  if (all === null || all === 0) return `${mebibytes(read)} MiB`;
  return `${mebibytes(read)} of ${mebibytes(all)} MiB (${String(Math.floor((100 * read) / all))} %)`;
}

/** @throws LockwardenError `StorageFailed`, saying what to do */
function requireEvents(names: readonly string[], read: ReadCounts, seen: Replay): void {
  const { lines, notEvents, tooLong, cut, withoutObjects } = read;
  const { judged, firstSeen, unguarded } = seen.counts;
  if (lines === 0)
    throw unusable(names, 'there is nothing in it; give a log of a time in which elections ran');
  if (notEvents + tooLong + cut >= lines)
    throw unusable(names, 'it holds no audit events, one JSON object of audit.k8s.io/v1 a line');
  if (judged + firstSeen + unguarded === 0 && withoutObjects.size > 0)
    throw unusable(
      names,
      'writes to locks are in it without their objects; record leases, configmaps and endpoints at the level RequestResponse (docs/replay.md has a policy)',
    );
}

function unusable(names: readonly string[], why: string): LockwardenError {
  const shown = names.map((name) => `\`${name}\``).join(', ');
  return new LockwardenError('StorageFailed', `the audit log ${shown} cannot be used: ${why}`);
}

function usage(message: string): LockwardenError {
  return new LockwardenError('UsageInvalid', message);
}
