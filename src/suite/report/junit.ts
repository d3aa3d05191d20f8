/**
 * Results as JUnit XML, which CI systems show.
 * SOURCE: https://github.com/testmoapp/junitxml
 */
import { describeExpectation, describeOutcome } from '../outcome.ts';
import { countOf, type SuiteResult } from '../suite-run.ts';
import type { TestResult } from '../test-run.ts';
import { describeMs, describeStep } from './words.ts';

/** The report, with a line end. */
export function junitOf(results: readonly SuiteResult[], tookMs: number): string {
  const { passed, failed } = countOf(results);
  const counts = attributes({ tests: passed + failed, failures: failed, time: secondsOf(tookMs) });
  return [
    '<?xml version="1.0" encoding="UTF-8"?>',
    `<testsuites name="lockwarden"${counts}>`,
    ...results.flatMap(suiteLines),
    '</testsuites>',
    '',
  ].join('\n');
}

function suiteLines(result: SuiteResult): readonly string[] {
  const { suite, tests } = result;
  const { passed, failed } = countOf([result]);
  const time = secondsOf(tests.reduce((sum, test) => sum + test.tookMs, 0));
  const about = { name: suite.name, file: suite.path, tests: passed + failed, failures: failed, time };
  return [
    `  <testsuite${attributes(about)}>`,
    ...tests.flatMap((test) => testLines(test, suite.name, suite.path)),
    '  </testsuite>',
  ];
}

function testLines(result: TestResult, suiteName: string, file: string): readonly string[] {
  const { test, passed, tookMs } = result;
  const about = { name: test.name, classname: suiteName, file, line: test.line, time: secondsOf(tookMs) };
  if (passed) return [`    <testcase${attributes(about)}/>`];
  const [message, ...details] = failureOf(result, file);
  return [
    `    <testcase${attributes(about)}>`,
    `      <failure${attributes({ message: message ?? '' })}>${escaped(details.join('\n'))}</failure>`,
    '    </testcase>',
  ];
}

function failureOf({ why, steps, test }: TestResult, file: string): readonly string[] {
  const wrong = steps.find(({ passed }) => !passed);
  if (wrong === undefined) return [why ?? '', `at ${file}:${String(test.line)}`];
  const { step, outcome } = wrong;
  const [expected, got] = [describeExpectation(step.expect), describeOutcome(outcome)];
  return [
    `${describeMs(step.atMs)} ${describeStep(step)}: expected ${expected}, got ${got}`,
    ...('message' in outcome ? [outcome.message] : []),
    ...(why === null ? [] : [why]),
    `at ${file}:${String(step.line)}`,
  ];
}

function attributes(values: Readonly<Record<string, string | number>>): string {
  return Object.entries(values)
    .map(([name, value]) => ` ${name}="${escaped(String(value))}"`)
    .join('');
}

const entities: Readonly<Record<string, string>> = { '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;' };

/** NB: most control characters cannot stand in XML, not even escaped. */
function escaped(text: string): string {
  return text
    .toWellFormed()
    .replaceAll(/[^\t\n\r\x20-\uFFFD\u{10000}-\u{10FFFF}]/gu, '�')
    .replaceAll(/[&<>"]/g, (character) => entities[character] ?? '');
}

function secondsOf(ms: number): string {
  return (ms / 1_000).toFixed(3);
}
