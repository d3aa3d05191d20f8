import { mkdir, rm } from 'node:fs/promises';
import { dirname } from 'node:path';

import { LockwardenError } from '../errors.ts';
import { oldestGo } from './pins.ts';
import { reasonOf } from './reason-of.ts';
import { runCommand, type CommandResult } from './run-command.ts';

/** A Go that is new enough, with its version (`go1.26.8`) and the folders in which it keeps what it downloads and compiles. */
export interface GoToolchain {
  readonly version: string;
  readonly buildCache: string;
  readonly moduleCache: string;
}

/** One program of a committed module. `linkerFlags` are those of `go tool link`. */
export interface GoBuild {
  readonly moduleDir: string;
  readonly packagePath: string;
  readonly output: string;
  readonly linkerFlags: string;
  readonly logFile: string;
}

/** The environment of the caller, what to advise when Go is no way, and a signal that gives up. */
export interface GoContext {
  readonly env: NodeJS.ProcessEnv;
  readonly advice: string;
  readonly signal?: AbortSignal | undefined;
}

/**
 * Finds Go in `PATH`. It is asked inside the module, so that a toolchain which Go fetches by itself counts.
 *
 * @throws LockwardenError `ToolMissing` when there is none or it is too old.
 */
export async function findGo(moduleDir: string, context: GoContext): Promise<GoToolchain> {
  const answer = await askGo(moduleDir, context);
  const [version = '', buildCache = '', moduleCache = ''] = answer.stdout.split('\n');
  const [, major, minor] = /^go(\d+)\.(\d+)/.exec(version) ?? [];
  if (answer.exitCode !== 0 || major === undefined || minor === undefined) {
    throw new LockwardenError('ToolMissing', `\`go env\` failed (${lastOf(answer)}); ${context.advice}`);
  }
  if (Number(major) === oldestGo.major && Number(minor) < oldestGo.minor) {
    throw new LockwardenError('ToolMissing', `Go is too old (\`${version}\`); ${context.advice}`);
  }
  return { version, buildCache, moduleCache };
}

/**
 * Builds one program, verified against the module's go.sum whatever `GOFLAGS` and `GOPROXY` say.
 *
 * @throws LockwardenError `ToolFailed`, with the last line that the compiler printed and the path of its log.
 */
export async function buildGoProgram(build: GoBuild, context: GoContext): Promise<void> {
  await mkdir(dirname(build.logFile), { recursive: true });
  await rm(build.logFile, { force: true });
  const args = ['build', '-mod=readonly', '-trimpath', '-buildvcs=false', `-ldflags=${build.linkerFlags}`];
  const result = await runCommand('go', [...args, '-o', build.output, build.packagePath], {
    env: hostEnvironment(context.env),
    cwd: build.moduleDir,
    logFile: build.logFile,
    signal: context.signal,
  });
  if (result.exitCode !== 0) {
    throw new LockwardenError(
      'ToolFailed',
      `building \`${build.packagePath}\` failed (${lastOf(result)}; log in \`${build.logFile}\`); ${context.advice}`,
    );
  }
}

async function askGo(moduleDir: string, { env, advice, signal }: GoContext): Promise<CommandResult> {
  const args = ['env', 'GOVERSION', 'GOCACHE', 'GOMODCACHE'];
  try {
    return await runCommand('go', args, { env: hostEnvironment(env), cwd: moduleDir, signal });
  } catch (error) {
    if (signal?.aborted === true) throw error;
    throw new LockwardenError('ToolMissing', `Go was not found (${reasonOf(error)}); ${advice}`, {
      cause: error,
    });
  }
}

/** The caller's environment, without what would build for another machine, another workspace or with a C compiler. */
function hostEnvironment(env: NodeJS.ProcessEnv): NodeJS.ProcessEnv {
  return { ...env, CGO_ENABLED: '0', GO111MODULE: 'on', GOOS: '', GOARCH: '', GOWORK: 'off' };
}

function lastOf(result: CommandResult): string {
  return result.lastLines.at(-1)?.trim() ?? `exit code ${String(result.exitCode)}`;
}
