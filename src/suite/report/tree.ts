/** Results as a tree for people. */
import { styleText } from 'node:util';
import { printable } from '../../review/text.ts';
import { describeExpectation, describeOutcome } from '../outcome.ts';
import type { StepResult } from '../run.ts';
import { countOf, type SuiteResult } from '../suite-run.ts';
import type { TestResult } from '../test-run.ts';
import { describeMs, describeStep } from './words.ts';

/** How a tree is shown. */
export interface TreeOptions {
  /** Whether it may be coloured. */
  readonly colour: boolean;
  readonly tookMs: number;
}

type Paint = (style: 'green' | 'red' | 'bold' | 'dim', text: string) => string;

/** Where what belongs to a step begins. */
const under = ' '.repeat(11);
/** LIMIT: a sentence of lockwarden's has at most 1,024 characters. */
const textMax = 1_100;

/** The tree, with a line end. */
export function treeOf(results: readonly SuiteResult[], { colour, tookMs }: TreeOptions): string {
  const paint: Paint = colour
    ? (style, text) => styleText(style, text, { validateStream: false })
    : (_style, text) => text;
  const lines = results.flatMap((result) => [...suiteLines(result, paint), '']);
  const { passed, failed } = countOf(results);
  const counted = failed === 0 ? paint('green', `${passed} passed`) : `${passed} passed`;
  const summary = failed === 0 ? counted : `${paint('red', `${failed} failed`)}, ${counted}`;
  return `${[...lines, `${summary} in ${tookOf(tookMs)}`].join('\n')}\n`;
}

function suiteLines({ suite, tests }: SuiteResult, paint: Paint): readonly string[] {
  const title = `${paint('bold', shown(suite.name))} ${paint('dim', shown(suite.path))}`;
  return [
    title,
    ...tests.flatMap((test, index) => {
      const isLast = index === tests.length - 1;
      const [first = '', ...others] = testLines(test, suite.path, paint);
      return [
        `${isLast ? '└─' : '├─'} ${first}`,
        ...others.map((line) => `${isLast ? '  ' : '│ '} ${line}`.trimEnd()),
      ];
    }),
  ];
}

function testLines(result: TestResult, path: string, paint: Paint): readonly string[] {
  const { test, passed, why, steps } = result;
  const mark = passed ? paint('green', 'ok') : paint('red', 'FAILED');
  const about = aboutOf(result);
  const width = Math.max(...steps.map((step) => headOf(step).length), 0);
  const left = test.steps.length - steps.length;
  const wrong = steps.some((step) => !step.passed);
  return [
    `${mark} ${shown(test.name)}${about === '' ? '' : paint('dim', ` (${about})`)}`,
    ...steps.flatMap((step) => stepLines(step, width, path, paint)),
    ...(left > 0 && wrong ? [paint('dim', `   ${left} more not played`)] : []),
    ...(why === null ? [] : [`   ${paint('red', shown(why))}`, paint('dim', `   at ${path}:${test.line}`)]),
  ];
}

/** What covers the lock, and in what part of its time the test was played. */
function aboutOf({ coveredBy, scale }: TestResult): string {
  const covered = coveredBy ?? ['not guarded'];
  return [...covered, ...(scale === 1 ? [] : [`in ${scale.toFixed(2)} of its time`])].join(', ');
}

function stepLines(result: StepResult, width: number, path: string, paint: Paint): readonly string[] {
  const { step, outcome, passed } = result;
  const head = `   ${headOf(result).padEnd(width)}  `;
  if (passed) {
    return [paint('dim', `${head}${describeOutcome(outcome)}${remarkOn(result)}`)];
  }
  const message = 'message' in outcome ? [`${under}${shown(outcome.message)}`] : [];
  return [
    `${head}${paint('red', 'not as expected')}`,
    paint('green', `${under}- expected: ${describeExpectation(step.expect)}`),
    paint('red', `${under}+ got:      ${describeOutcome(outcome)}`),
    ...message,
    paint('dim', `${under}at ${path}:${step.line}`),
  ];
}

function remarkOn({ step, outcome }: StepResult): string {
  if (outcome.kind !== 'allow') return '';
  if (outcome.asked === false) return ' (lockwarden is not asked)';
  return step.expect === 'allow' ? '' : ' (whether it was recorded cannot be seen)';
}

function headOf({ step }: StepResult): string {
  return `${describeMs(step.atMs).padStart(6)}  ${shown(describeStep(step))}`;
}

function shown(text: string): string {
  return printable(text, textMax);
}

function tookOf(ms: number): string {
  return ms < 1_000 ? `${Math.round(ms)} ms` : `${(ms / 1_000).toFixed(1)} s`;
}
