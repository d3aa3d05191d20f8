/** `lockwarden lint`: what people get wrong in policies, with file and line. */
import { text } from 'node:stream/consumers';
import { LockwardenError } from '../errors.ts';
import type { Finding } from '../lint/finding.ts';
import { lint as lintFiles, type LintResult } from '../lint/lint.ts';
import { policyFiles } from './policy-files.ts';

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
  const files = await policyFiles(options.files, io.readStandardInput);
  const result = lintFiles(files, options.namespace);
  io.write(render(result, files.length));
  return countOf(result, 'error') === 0 ? 0 : 1;
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
