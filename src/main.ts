/**
 * The composition root of the command: arguments in, exit code out, and one sentence for whatever goes wrong.
 */
import { readFileSync } from 'node:fs';
import { CommanderError } from 'commander';
import { buildProgram, type Actions } from './cli/program.ts';
import { exitCodeOf, LockwardenError, systemCodeOf } from './errors.ts';
import { asLockwardenError, KubeError } from './kube/errors.ts';

/** Loaded when they are called for: help and wrong usage need not wait for a Kubernetes client. */
const actions: Actions = {
  serve: async (options) => (await import('./cli/serve.ts')).serve(options),
  start: async (options) => (await import('./cli/start.ts')).start(options),
  explain: async (options) => (await import('./cli/explain.ts')).explain(options),
  lint: async (options) => (await import('./cli/lint.ts')).lint(options),
  test: async (options) => {
    const [{ test }, { processIo }] = await Promise.all([
      import('./cli/test.ts'),
      import('./cli/test-io.ts'),
    ]);
    return test(options, processIo());
  },
};

/** Runs the command. Resolves to the exit code: 0 done, 1 failed, 2 called wrongly. Never rejects. */
export async function main(args: readonly string[]): Promise<number> {
  let exitCode = 0;
  for (const stream of [process.stdout, process.stderr]) stream.on('error', ignoreGoneReader);
  const program = buildProgram(actions, version(), (code) => {
    exitCode = code;
  });
  for (const command of [program, ...program.commands]) command.exitOverride();
  try {
    await program.parseAsync(args, { from: 'user' });
    return exitCode;
  } catch (error) {
    return tell(error);
  }
}

/** `lockwarden --help | head` is no failure, and a guard whose log nobody reads goes on guarding. */
function ignoreGoneReader(error: Error): void {
  if (systemCodeOf(error) !== 'EPIPE') throw error;
}

function tell(error: unknown): number {
  // Commander has told it already, and calls a request for help an error.
  if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : 2;
  const known = error instanceof KubeError ? asLockwardenError(error) : error;
  if (known instanceof LockwardenError) console.error(`lockwarden: ${known.message}`);
  else console.error('lockwarden: this is a defect; please report it with what follows\n', known);
  return exitCodeOf(known);
}

/** NB: the manifest stands beside `src` in a checkout and beside `dist` in a package. */
function version(): string {
  const manifest: unknown = JSON.parse(readFileSync(new URL('../package.json', import.meta.url), 'utf8'));
  const isManifest = typeof manifest === 'object' && manifest !== null && 'version' in manifest;
  return isManifest && typeof manifest.version === 'string' ? manifest.version : 'unknown';
}
