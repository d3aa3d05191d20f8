/** Suites for tests. */
import { guardedBy } from '../../src/suite/guarded.ts';
import { readSuite, type FileFault, type ReadFile } from '../../src/suite/read.ts';
import type { Suite } from '../../src/suite/suite.ts';
import { runOffline, type TestResult } from '../../src/suite/test-run.ts';

const head = 'apiVersion: lockwarden.dev/v1alpha1\nkind: LockTest\n';
const noFiles: ReadFile = (path) => ({ why: `there is no ${path}` });

/** A suite of the text that follows its first two lines. */
export function suiteOf(text: string, readFile: ReadFile = noFiles): Suite {
  const read = readSuite('/suites/orders.locktest.yaml', `${head}${text}`, readFile);
  if (!read.ok) throw new Error(told(read.faults).join('\n'));
  return read.suite;
}

/** What is wrong with a suite, as `line: message`. The text begins on line 3. */
export function faultsIn(text: string, readFile: ReadFile = noFiles): readonly string[] {
  const read = readSuite('/suites/orders.locktest.yaml', `${head}${text}`, readFile);
  return read.ok ? [] : told(read.faults);
}

/** What came of the one test of a suite. */
export async function resultOf(text: string, readFile: ReadFile = noFiles): Promise<TestResult> {
  const suite = suiteOf(text, readFile);
  return runOffline(suite.tests[0]!, suite, guardedBy(suite), () => 0);
}

/** A suite with one test of these steps, each `[at, actor, action, expect, more]`. */
export function stepsText(
  steps: readonly (readonly [at: string, actor: string, action: string, expect: string, more?: string])[],
  more = '',
): string {
  const lines = steps.map(
    ([at, actor, action, expect, also = '']) =>
      `      - { at: ${at}, actor: ${actor}, action: ${action}, expect: ${expect}${also === '' ? '' : `, ${also}`} }`,
  );
  return `${more}tests:\n  - name: a test\n    lock: { start: { holder: a } }\n    steps:\n${lines.join('\n')}\n`;
}

function told(faults: readonly FileFault[]): readonly string[] {
  return faults.map(({ file, line, message }) =>
    file.endsWith('orders.locktest.yaml')
      ? `${String(line)}: ${message}`
      : `${file}:${String(line)}: ${message}`,
  );
}
