import { spawn } from 'node:child_process';
import { createWriteStream } from 'node:fs';
import { finished } from 'node:stream/promises';

/** How a command ended. `exitCode` is null when a signal ended it; `lastLines` are the end of what it printed. */
export interface CommandResult {
  readonly exitCode: number | null;
  readonly stdout: string;
  readonly lastLines: readonly string[];
}

/** How to run a command. What it prints also goes to `logFile`, when given. */
export interface CommandOptions {
  readonly env: NodeJS.ProcessEnv;
  readonly cwd?: string | undefined;
  readonly logFile?: string | undefined;
  readonly signal?: AbortSignal | undefined;
}

/** LIMIT: a compiler's first error fits; the rest is in the log. */
const keptLines = 20;

/** Runs a command to its end. Rejects only when it cannot be started (`ENOENT`) or `signal` aborts it. */
export async function runCommand(
  command: string,
  args: readonly string[],
  options: CommandOptions,
): Promise<CommandResult> {
  const log =
    options.logFile === undefined ? null : createWriteStream(options.logFile, { flags: 'a', mode: 0o600 });
  // NB: a log that cannot be written costs the log; what fails for the same cause says so itself.
  log?.on('error', () => undefined);
  const child = spawn(command, args, {
    env: options.env,
    cwd: options.cwd,
    signal: options.signal,
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let stdout = '';
  let tail = '';
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    stdout += text;
  });
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding('utf8').on('data', (text: string) => {
      tail = `${tail}${text}`.slice(-8_192);
      log?.write(text);
    });
  }
  try {
    const exitCode = await new Promise<number | null>((resolve, reject) => {
      child.once('error', reject).once('close', resolve);
    });
    return { exitCode, stdout, lastLines: tail.trim().split('\n').slice(-keptLines) };
  } finally {
    if (log !== null) await finished(log.end()).catch(() => undefined);
  }
}
