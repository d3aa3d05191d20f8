/**
 * Where containers run: a Docker engine that answers, or one that a lab brings up where no container registry is in reach.
 *
 * A lab is a program with two commands that are used here: `up nodejs` starts a Docker engine and puts into it a node image for
 * kind and a base image with Node.js, and `env` prints shell code that exports how to reach it.
 */
import { access, constants } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { LockwardenError } from '../../src/errors.ts';
import { withElapsed, type Progress } from '../../src/sandbox/progress.ts';
import { runCommand } from '../../src/sandbox/run-command.ts';

export const root = fileURLToPath(new URL('../..', import.meta.url));

/** How to reach the engine, and what it has. */
export interface Engine {
  /** For docker and kind. */
  readonly env: NodeJS.ProcessEnv;
  /** Base image of what is built; null: the Dockerfile's own. */
  readonly base: string | null;
  /** Image of kind's nodes; null: kind's own. */
  readonly nodeImage: string | null;
}

/** What a person may set. */
interface Settings {
  readonly env: NodeJS.ProcessEnv;
  readonly progress: Progress;
  /** Called before a lab is brought up that was not up before: it has to be taken down again. */
  readonly onLab: (lab: string) => Promise<void>;
}

/** What a lab provides, by the names that it gives its images. */
const labBase = 'localhost/node:24';
const labNodeImages = 'kindlab/node';

/** Finds an engine, or has a lab bring one up, which takes a quarter of an hour the first time. @throws LockwardenError `ToolMissing`, `ToolFailed` */
export async function findEngine({ env, progress, onLab }: Settings): Promise<Engine> {
  const chosen = { base: env['BASE'] ?? null, nodeImage: env['LOCKWARDEN_KIND_NODE_IMAGE'] ?? null };
  const lab = await labOf(env);
  const labEnv = lab === null ? null : await environmentOf(lab, env);
  const host = env['DOCKER_HOST'];
  const isLabs = host !== undefined && labEnv?.['DOCKER_HOST'] === host;
  if (!isLabs && (await dockerAnswers(env))) return { env, ...chosen };
  if (lab === null || labEnv === null) {
    throw new LockwardenError(
      'ToolMissing',
      'no Docker engine answers; start one, or let `LOCKWARDEN_KIND_LAB` name a program that brings one up',
    );
  }
  if (!(await dockerAnswers(labEnv))) await onLab(lab);
  await withElapsed(`bringing up a Docker engine with \`${lab} up\``, { progress }, () =>
    run(lab, ['up', 'nodejs'], env),
  );
  return {
    env: labEnv,
    base: chosen.base ?? labBase,
    nodeImage: chosen.nodeImage ?? (await nodeImageIn(labEnv)),
  };
}

/** The lab that is named, or that stands beside this checkout; null where there is none. */
export async function labOf(env: NodeJS.ProcessEnv): Promise<string | null> {
  const lab = env['LOCKWARDEN_KIND_LAB'] ?? join(root, '../shared/kind/kind-lab');
  if (lab === '') return null;
  try {
    await access(lab, constants.X_OK);
    return lab;
  } catch {
    return null;
  }
}

/** Whether a Docker engine answers. */
export async function dockerAnswers(env: NodeJS.ProcessEnv): Promise<boolean> {
  try {
    return (await runCommand('docker', ['info'], { env })).exitCode === 0;
  } catch {
    return false;
  }
}

/** Runs a command. @returns what it printed. @throws LockwardenError `ToolFailed`, with its last lines */
export async function run(command: string, args: readonly string[], env: NodeJS.ProcessEnv): Promise<string> {
  const { exitCode, stdout, lastLines } = await runCommand(command, args, { env });
  if (exitCode === 0) return stdout;
  const line = [command, ...args].join(' ');
  throw new LockwardenError('ToolFailed', `\`${line}\` failed: ${lastLines.join('\n')}`);
}

async function environmentOf(lab: string, env: NodeJS.ProcessEnv): Promise<NodeJS.ProcessEnv> {
  const printed = await run('bash', ['-c', 'eval "$("$0" env)" && env -0', lab], env);
  const entries = printed.split('\0').filter((each) => each.includes('='));
  return Object.fromEntries(
    entries.map((each) => [each.slice(0, each.indexOf('=')), each.slice(each.indexOf('=') + 1)]),
  );
}

async function nodeImageIn(env: NodeJS.ProcessEnv): Promise<string> {
  const listed = await run('docker', ['images', '--format', '{{.Repository}}:{{.Tag}}', labNodeImages], env);
  const [image] = listed.trim().split('\n');
  if (image === undefined || image === '') {
    throw new LockwardenError(
      'ToolFailed',
      `the lab has no image \`${labNodeImages}\`; set LOCKWARDEN_KIND_NODE_IMAGE`,
    );
  }
  return image;
}
