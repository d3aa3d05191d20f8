/**
 * The composition root of the command: arguments in, exit code out, and one sentence for whatever goes wrong.
 */
import { CommanderError, type Command } from 'commander';
import { buildProgram, type Actions } from './cli/program.ts';
import { exitCodeOf, LockwardenError, systemCodeOf } from './errors.ts';
import { asLockwardenError, KubeError } from './kube/errors.ts';
import { version } from './version.ts';

/** Loaded when they are called for: help and wrong usage need not wait for a Kubernetes client. */
const actions: Actions = {
  serve: async (options) => (await import('./cli/serve.ts')).serve(options),
  start: async (options) => (await import('./cli/start.ts')).start(options),
  preflight: async (options) => (await import('./cli/preflight.ts')).preflight(options),
  replay: async (options) => (await import('./cli/replay.ts')).replay(options),
  explain: async (options) => (await import('./cli/explain.ts')).explain(options),
  locks: async (options) => (await import('./cli/locks.ts')).locks(options),
  lint: async (options) => (await import('./cli/lint.ts')).lint(options),
  test: async (options) => {
    const [{ test }, { processIo }] = await Promise.all([
      import('./cli/test.ts'),
      import('./cli/test-io.ts'),
    ]);
    return test(options, processIo());
  },
  render: async (options) => (await import('./cli/render.ts')).render(options),
  review: async (options) => (await import('./cli/review.ts')).review(options),
  reviewShow: async (options) => (await import('./cli/review-show.ts')).reviewShow(options),
  reviewTimeline: async (options) => (await import('./cli/review-timeline.ts')).reviewTimeline(options),
  certsStatus: async (options) => (await import('./cli/certs-status.ts')).certsStatus(options),
  certsRotate: async (options) => (await import('./cli/certs-rotate.ts')).certsRotate(options),
  completion: async (shell) => (await import('./cli/completion-script.ts')).completion(shell),
  complete: async (program, words) => (await import('./cli/completion.ts')).complete(program, words),
};

/** Runs the command. Resolves to the exit code: 0 done, 1 failed, 2 called wrongly. Never rejects. */
export async function main(args: readonly string[]): Promise<number> {
  let exitCode = 0;
  for (const stream of [process.stdout, process.stderr]) stream.on('error', ignoreGoneReader);
  const program = buildProgram(actions, version(), (code) => {
    exitCode = code;
  });
  for (const command of withSubcommands(program)) command.exitOverride();
  try {
    await program.parseAsync(args, { from: 'user' });
    return exitCode;
  } catch (error) {
    return tell(error);
  }
}

function withSubcommands(command: Command): readonly Command[] {
  return [command, ...command.commands.flatMap(withSubcommands)];
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
