/** `lockwarden lint`: what people get wrong in policies, with file and line. */
import { glob, readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { LockwardenError, messageOf, systemCodeOf } from '../errors.ts';
import type { Finding } from '../lint/finding.ts';
import { lint as lintFiles, type LintResult } from '../lint/lint.ts';
import type { SourceFile } from '../lint/subject.ts';

/** What `lint` is told. */
export interface LintOptions {
  /** Files, folders, or `-` for standard input. */
  readonly files: readonly string[];
  /** `text` or `json`. */
  readonly output: string;
  /** lockwarden's own namespace, which no policy covers. */
  readonly namespace: string;
}

/** What `lint` reads from and writes to besides files. */
export interface LintIo {
  readonly readStandardInput: () => Promise<string>;
  readonly write: (text: string) => void;
}

/** The input and output of this process. */
export const processIo: LintIo = {
  readStandardInput: () => text(process.stdin),
  write: (line) => {
    process.stdout.write(line);
  },
};

/**
 * Looks at the policies of files and folders. Resolves to the exit code: 0, also with warnings, or 1 with errors.
 *
 * @throws LockwardenError `UsageInvalid` for a file that cannot be read
 */
export async function lint(options: LintOptions, io: LintIo = processIo): Promise<number> {
  const render = renderers[options.output];
  if (render === undefined)
    throw new LockwardenError('UsageInvalid', `--output cannot be \`${options.output}\`: give text or json`);
  if (options.files.length === 0) {
    const advice = 'name files or folders with policies, or give `-` for standard input';
    throw new LockwardenError('UsageInvalid', `there is nothing to look at: ${advice}`);
  }
  const files = await readAll(options.files, io);
  const result = lintFiles(files, options.namespace);
  io.write(render(result, files.length));
  return countOf(result, 'error') === 0 ? 0 : 1;
}

async function readAll(names: readonly string[], io: LintIo): Promise<readonly SourceFile[]> {
  const files = new Map<string, SourceFile>();
  for (const name of names) for (const file of await filesOf(name, io)) files.set(file.name, file);
  return [...files.values()];
}

async function filesOf(name: string, io: LintIo): Promise<readonly SourceFile[]> {
  if (name === '-') return [{ name: '<standard input>', text: await io.readStandardInput() }];
  const found = await readable(name, stat(name));
  return found.isDirectory() ? filesIn(name) : [await fileAt(name, found.size)];
}

/** The files of a folder that hold policies; not its policy tests, which `lockwarden test` reads. */
async function filesIn(folder: string): Promise<readonly SourceFile[]> {
  const exclude = (name: string): boolean => name === 'node_modules';
  const files: SourceFile[] = [];
  for await (const path of glob('**/*.{yaml,yml,json}', { cwd: folder, exclude })) {
    if (/\.locktest\.ya?ml$/.test(path)) continue;
    const file = await fileAt(join(folder, path), (await stat(join(folder, path))).size);
    if (policyVersion.test(file.text)) files.push(file);
  }
  if (files.length > 0) return files.sort((a, b) => (a.name < b.name ? -1 : 1));
  throw new LockwardenError('UsageInvalid', `\`${folder}\` holds no policies: name files, or another folder`);
}

/** What stands in every policy. Of a folder, other files are other programs' business. */
const policyVersion = /\bapiVersion["']?\s*:\s*["']?lockwarden\.dev\//;

/** LIMIT: ten times five thousand policies of the usual size. */
const bytesMax = 16 * 2 ** 20;

async function fileAt(path: string, bytes: number): Promise<SourceFile> {
  if (bytes > bytesMax)
    throw new LockwardenError('UsageInvalid', `\`${path}\` is larger than 16 MiB: split it`);
  return { name: path, text: await readable(path, readFile(path, 'utf8')) };
}

const sentences: Readonly<Partial<Record<string, string>>> = {
  ENOENT: 'there is no such file or folder',
  EACCES: 'it is not ours to read',
  EISDIR: 'it is a folder',
};

async function readable<T>(path: string, reading: Promise<T>): Promise<T> {
  try {
    return await reading;
  } catch (error) {
    const why = sentences[systemCodeOf(error) ?? ''] ?? messageOf(error);
    throw new LockwardenError('UsageInvalid', `\`${path}\` cannot be read: ${why}`, { cause: error });
  }
}

type Render = (result: LintResult, files: number) => string;

const renderers: Readonly<Partial<Record<string, Render>>> = { text: renderText, json: renderJson };

function renderText(result: LintResult, files: number): string {
  const lines = result.findings.map(
    ({ file, line, column, severity, rule, message, suggestion }) =>
      `${file}:${String(line)}:${String(column)}: ${severity}: ${message} [${rule}]\n  ${suggestion}\n`,
  );
  const looked = `${counted(result.policies, 'policy', 'policies')} in ${counted(files, 'file')}`;
  const found = `${counted(countOf(result, 'error'), 'error')}, ${counted(countOf(result, 'warning'), 'warning')}`;
  return `${lines.join('')}${looked}: ${found}\n`;
}

function renderJson(result: LintResult, files: number): string {
  const errors = countOf(result, 'error');
  const warnings = countOf(result, 'warning');
  const { findings, policies } = result;
  return `${JSON.stringify({ findings, files, policies, errors, warnings }, null, 2)}\n`;
}

function countOf({ findings }: LintResult, severity: Finding['severity']): number {
  return findings.filter((finding) => finding.severity === severity).length;
}

function counted(count: number, one: string, many = `${one}s`): string {
  return `${String(count)} ${count === 1 ? one : many}`;
}
