/** `lockwarden test`: runs suites of policy tests. */
import { readFileSync, statSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { LockwardenError, systemCodeOf } from '../errors.ts';
import { findSuites, standardInput } from '../suite/find.ts';
import { readSuite, type FileFault, type ReadFile } from '../suite/read.ts';
import { jsonOf } from '../suite/report/json.ts';
import { junitOf } from '../suite/report/junit.ts';
import { treeOf } from '../suite/report/tree.ts';
import { countOf, runSuiteOffline, type SuiteResult } from '../suite/suite-run.ts';
import type { Suite, Test } from '../suite/suite.ts';
import { FileWatch } from '../suite/watch-files.ts';

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
}

/** Where the command reads and writes. */
export interface TestIo {
  readonly stdin: AsyncIterable<string | Uint8Array>;
  readonly stdout: Writable;
  readonly stderr: Writable;
  readonly env: Readonly<Partial<Record<string, string>>>;
  /** Reads a clock, in milliseconds, for how long things took. */
  readonly nowMs: () => number;
  /** Ends a watch in good order. */
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
  const run = { options, io, format, wanted: selectionOf(options.run) };
  if (!options.watch) return (await runOnce(run)).code;
  if (options.paths.includes(standardInput)) throw misused('--watch', 'standard input cannot be watched');
  return runOnChanges(run);
}

async function runOnce({ options, io, format, wanted }: Run): Promise<Ran> {
  const { suites, faults, files } = await readSuites(pathsOf(options), io);
  if (faults.length > 0) {
    for (const { file, line, column, message } of faults) {
      io.stderr.write(`${file}:${line}:${column}: ${message}\n`);
    }
    return { code: 2, files };
  }
  const begunMs = io.nowMs();
  const results: SuiteResult[] = [];
  for (const suite of suites) results.push(await runSuiteOffline(suite, wanted(suite), io.nowMs));
  const run = results.filter(({ tests }) => tests.length > 0);
  if (run.length === 0)
    throw misused('--run', `\`${options.run ?? ''}\` finds nothing in the name of any test`);
  io.stdout.write(format(run, io.nowMs() - begunMs));
  return { code: countOf(run).failed === 0 ? 0 : 1, files };
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
  // SOURCE: https://no-color.org
  const colour = stdout.isTTY === true && (env['NO_COLOR'] ?? '') === '' && env['TERM'] !== 'dumb';
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
    const why = error instanceof Error ? error.message : String(error);
    throw new LockwardenError('UsageInvalid', `--run does not take \`${run}\`: ${why}`, { cause: error });
  }
}

function misused(flag: string, advice: string): LockwardenError {
  return new LockwardenError('UsageInvalid', `${flag} cannot be used like this: ${advice}`);
}
