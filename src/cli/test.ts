/** `lockwarden test`: runs suites of policy tests, offline or on a cluster. */
import { readFileSync, statSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import type { Clock } from '../clock.ts';
import { LockwardenError, messageOf, systemCodeOf } from '../errors.ts';
import { showProgress } from '../sandbox/progress.ts';
import { findSuites, standardInput } from '../suite/find.ts';
import { runSuitesLive } from '../suite/live/session.ts';
import { readSuite, type FileFault, type ReadFile } from '../suite/read.ts';
import { jsonOf } from '../suite/report/json.ts';
import { junitOf } from '../suite/report/junit.ts';
import { treeOf } from '../suite/report/tree.ts';
import { countOf, runSuiteOffline, type SuiteResult } from '../suite/suite-run.ts';
import type { Suite, Test } from '../suite/suite.ts';
import { FileWatch } from '../suite/watch-files.ts';
import { takesColour } from './terminal.ts';

/** The values as the command line hands them over. */
export interface TestOptions {
  /** Files and folders, `-` for standard input; none: the current folder. */
  readonly paths: readonly string[];
  /** Only tests in whose `SUITE/NAME` this regular expression finds something. */
  readonly run?: string;
  /** `tree`, `json` or `junit`. */
  readonly output: string;
  /** Runs again when files change, until the signal. */
  readonly watch: boolean;
  /** Runs on a cluster that lockwarden guards, which `kubeconfig` and `context` name as they do for kubectl. */
  readonly cluster: boolean;
  readonly kubeconfig?: string;
  readonly context?: string;
  /** On a cluster: at least in what part of its time a test is played, above 0 and at most 1. */
  readonly scale: string;
}

/** Where the command reads and writes. */
export interface TestIo {
  readonly stdin: AsyncIterable<string | Uint8Array>;
  readonly stdout: Writable;
  readonly stderr: Writable;
  readonly env: Readonly<Partial<Record<string, string>>>;
  readonly clock: Pick<Clock, 'monotonicMs'>;
  /** Ends a watch, or a run on a cluster, in good order. */
  readonly signal: AbortSignal;
}

interface Writable {
  readonly isTTY?: boolean | undefined;
  write(text: string): unknown;
}

interface Run {
  readonly options: TestOptions;
  readonly io: TestIo;
  readonly format: (results: readonly SuiteResult[], tookMs: number) => string;
  readonly wanted: (suite: Suite) => (test: Test) => boolean;
  readonly scale: number;
}

/** What a run came to. `files` are those whose change may change that. */
interface Ran {
  readonly code: 0 | 1 | 2;
  readonly files: readonly string[];
}

/**
 * Runs the tests. Resolves to the exit code: 0 where all passed, 1 where some failed, 2 where a suite cannot be read.
 *
 * @throws LockwardenError `UsageInvalid`
 */
export async function test(options: TestOptions, io: TestIo): Promise<number> {
  const format = formatOf(options.output, io);
  const run = { options, io, format, wanted: selectionOf(options.run), scale: scaleOf(options.scale) };
  requireSense(options);
  if (options.watch) return runOnChanges(run);
  try {
    return (await runOnce(run)).code;
  } catch (error) {
    if (!io.signal.aborted) throw error;
    io.stderr.write(
      'lockwarden: called off before all tests were played; what was made for them is removed\n',
    );
    return 1;
  }
}

function requireSense({ watch, paths, cluster, kubeconfig, context, scale }: TestOptions): void {
  if (watch && paths.includes(standardInput)) throw misused('--watch', 'standard input cannot be watched');
  if (watch && cluster) throw misused('--watch', 'suites are run on a cluster once; leave out --cluster');
  if (cluster) return;
  if (kubeconfig !== undefined)
    throw misused('--kubeconfig', 'it needs --cluster, without which no cluster is used');
  if (context !== undefined)
    throw misused('--context', 'it needs --cluster, without which no cluster is used');
  if (Number(scale) !== 1) throw misused('--scale', 'it needs --cluster, without which nothing waits');
}

async function runOnce(run: Run): Promise<Ran> {
  const { options, io, format } = run;
  const { suites, faults, files } = await readSuites(pathsOf(options), io);
  if (faults.length > 0) {
    for (const { file, line, column, message } of faults) {
      io.stderr.write(`${file}:${line}:${column}: ${message}\n`);
    }
    return { code: 2, files };
  }
  const begunMs = io.clock.monotonicMs();
  const results = (await runSuites(suites, run)).filter(({ tests }) => tests.length > 0);
  if (results.length === 0)
    throw misused('--run', `\`${options.run ?? ''}\` finds nothing in the name of any test`);
  io.stdout.write(format(results, io.clock.monotonicMs() - begunMs));
  return { code: countOf(results).failed === 0 ? 0 : 1, files };
}

async function runSuites(suites: readonly Suite[], run: Run): Promise<readonly SuiteResult[]> {
  const { options, io, wanted } = run;
  if (options.cluster) return runOnCluster(suites, run);
  const results: SuiteResult[] = [];
  for (const suite of suites) {
    results.push(await runSuiteOffline(suite, wanted(suite), () => io.clock.monotonicMs()));
  }
  return results;
}

async function runOnCluster(
  suites: readonly Suite[],
  { options, io, wanted, scale }: Run,
): Promise<readonly SuiteResult[]> {
  const { kubeconfig, context } = options;
  const { progress, done, intervalMs } = showProgress(io.stderr);
  const tell = (line: string): void => {
    progress(`lockwarden: ${line}`);
  };
  try {
    const { clock, signal } = io;
    return await runSuitesLive(suites, wanted, {
      kubeconfig,
      context,
      scale,
      clock,
      signal,
      tell,
      tellEveryMs: intervalMs,
    });
  } finally {
    done();
  }
}

async function runOnChanges(run: Run): Promise<number> {
  const { io, options } = run;
  const watched = new FileWatch(io.signal);
  for (const path of pathsOf(options)) {
    if (statSync(path, { throwIfNoEntry: false })?.isDirectory() === true) watched.followFolder(path);
  }
  for (let isFirst = true; ; isFirst = false) {
    const ran = await runOrTell(run);
    watched.followFiles(ran.files);
    if (isFirst) io.stderr.write('lockwarden: watching for changes; Ctrl-C ends it\n');
    if (!(await watched.changed())) return ran.code;
    io.stdout.write('\n');
  }
}

/** What is wrong now may be mended in a moment. */
async function runOrTell(run: Run): Promise<Ran> {
  try {
    return await runOnce(run);
  } catch (error) {
    if (!(error instanceof LockwardenError)) throw error;
    run.io.stderr.write(`lockwarden: ${error.message}\n`);
    return { code: 2, files: [] };
  }
}

interface ReadSuites {
  readonly suites: readonly Suite[];
  readonly faults: readonly FileFault[];
  readonly files: readonly string[];
}

async function readSuites(paths: readonly string[], io: TestIo): Promise<ReadSuites> {
  const suites: Suite[] = [];
  const faults: FileFault[] = [];
  const files: string[] = [];
  for (const path of await findSuites(paths)) {
    const read = readSuite(path, await textAt(path, io), readPolicyFile);
    if (read.ok) suites.push(read.suite);
    else faults.push(...read.faults);
    files.push(...(read.ok ? read.suite.files : read.files));
  }
  return { suites, faults, files };
}

async function textAt(path: string, io: TestIo): Promise<string> {
  if (path === standardInput) {
    const chunks: Buffer[] = [];
    for await (const chunk of io.stdin) chunks.push(Buffer.from(chunk));
    return Buffer.concat(chunks).toString();
  }
  try {
    return await readFile(path, 'utf8');
  } catch (error) {
    throw new LockwardenError('UsageInvalid', `\`${path}\` cannot be read: ${whyOf(error)}`, {
      cause: error,
    });
  }
}

const readPolicyFile: ReadFile = (path) => {
  try {
    return { text: readFileSync(path, 'utf8') };
  } catch (error) {
    return { why: whyOf(error) };
  }
};

function whyOf(error: unknown): string {
  const code = systemCodeOf(error);
  if (code === 'ENOENT') return 'it does not exist';
  if (code === 'EACCES') return 'it may not be read';
  return code === 'EISDIR' ? 'it is a folder' : String(error);
}

function pathsOf({ paths }: TestOptions): readonly string[] {
  return paths.length === 0 ? ['.'] : paths;
}

function formatOf(output: string, { stdout, env }: TestIo): Run['format'] {
  const colour = takesColour(stdout, env);
  switch (output) {
    case 'tree':
      return (results, tookMs) => treeOf(results, { colour, tookMs });
    case 'json':
      return jsonOf;
    case 'junit':
      return junitOf;
    default:
      throw new LockwardenError(
        'UsageInvalid',
        `--output does not take \`${output}\`: give tree, json or junit`,
      );
  }
}

function selectionOf(run: string | undefined): Run['wanted'] {
  if (run === undefined) return () => () => true;
  try {
    const pattern = new RegExp(run, 'u');
    return (suite) => (each) => pattern.test(`${suite.name}/${each.name}`);
  } catch (error) {
    const why = messageOf(error);
    throw new LockwardenError('UsageInvalid', `--run does not take \`${run}\`: ${why}`, { cause: error });
  }
}

function scaleOf(scale: string): number {
  const value = /^\d*\.?\d+$/.test(scale) ? Number(scale) : NaN;
  if (value > 0 && value <= 1) return value;
  throw new LockwardenError(
    'UsageInvalid',
    `--scale does not take \`${scale}\`: give a number above 0 and at most 1`,
  );
}

function misused(flag: string, advice: string): LockwardenError {
  return new LockwardenError('UsageInvalid', `${flag} cannot be used like this: ${advice}`);
}
