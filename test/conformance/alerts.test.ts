/** Alerts fire and stay silent on samples, as Prometheus itself evaluates them: promtool, built once from Go modules. */
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { parse } from 'yaml';
import { ensureGoProgram } from '../../src/sandbox/go-program.ts';
import { runCommand } from '../../src/sandbox/run-command.ts';
import { takeApart } from '../monitoring/promql.ts';
import { cases, healthy, type Case } from '../monitoring/samples.ts';
import { read, root } from '../style/tree.ts';

const rulesFile = join(root, 'manifests/monitoring/rules.yaml');
const rules = parse(read('manifests/monitoring/rules.yaml')) as {
  groups: { rules: { alert: string; expr: string }[] }[];
};
const alerts = rules.groups.flatMap((group) => group.rules);
let promtool = '';
let folder = '';

/** LIMIT: measured on two cores that did other things as well: twelve minutes; three and a half of processor time. */
const buildTimeoutMs = 1_200_000;

beforeAll(async () => {
  // Without what finds targets in clouds, of which nothing is tested here and most of the build would be.
  const env = { ...process.env, GOFLAGS: '-tags=remove_all_sd' };
  const moduleDir = fileURLToPath(new URL('../promtool', import.meta.url));
  const packagePath = 'github.com/prometheus/prometheus/cmd/promtool';
  promtool = await ensureGoProgram({ name: 'promtool', moduleDir, packagePath }, { env });
  folder = await mkdtemp(join(tmpdir(), 'lockwarden-alerts-'));
}, buildTimeoutMs);

afterAll(async () => {
  if (folder !== '') await rm(folder, { recursive: true });
});

/** A test as promtool takes it. NB: `ALERTS` instead of its tests of alerts, which would have every annotation repeated. */
function testOf({ title, changed, moments }: Case): object {
  return {
    name: title,
    interval: '30s',
    input_series: Object.entries({ ...healthy, ...changed }).map(([series, values]) => ({ series, values })),
    promql_expr_test: moments.map(({ at, fires }) => ({
      expr: 'group by (alertname) (ALERTS{alertstate="firing"})',
      eval_time: `${String(at)}m`,
      exp_samples: fires.map((alertname) => ({ labels: `{alertname="${alertname}"}`, value: 1 })),
    })),
  };
}

async function run(
  ...args: readonly string[]
): Promise<{ readonly exitCode: number | null; readonly output: string }> {
  const { exitCode, stdout, lastLines } = await runCommand(promtool, [...args], { env: process.env });
  return { exitCode, output: [stdout, ...lastLines].join('\n') };
}

async function tried(each: Case): Promise<{ readonly exitCode: number | null; readonly output: string }> {
  const file = join(folder, 'test.yaml');
  const suite = { rule_files: [rulesFile], evaluation_interval: '30s', tests: [testOf(each)] };
  await writeFile(file, JSON.stringify(suite));
  return run('test', 'rules', file);
}

describe('the alerts', () => {
  test('are rules that Prometheus takes, templates and all', async () => {
    const { exitCode, output } = await run('check', 'rules', '--lint=all', '--lint-fatal', rulesFile);
    expect(exitCode, output).toBe(0);
  });

  test.each(cases)('on $title fire as they should, and no others', async (each) => {
    const { exitCode, output } = await tried(each);
    expect(exitCode, output).toBe(0);
  });

  test('are each made to fire', () => {
    const fired = new Set(cases.flatMap(({ moments }) => moments.flatMap(({ fires }) => fires)));
    expect(alerts.map(({ alert }) => alert).filter((alert) => !fired.has(alert))).toEqual([]);
  });

  test('find samples of all that they ask for while all is well, so that silence means something', () => {
    const sampled = Object.keys(healthy).map((series) => series.replace(/\{.*/u, ''));
    const asked = alerts.flatMap(({ expr }) => takeApart(expr).selectors.map(({ metric }) => metric));
    expect(asked.filter((metric) => !sampled.includes(metric))).toEqual([]);
  });

  test('that do not fire as a case says are found out', async () => {
    const wrong: Case = {
      title: 'wrong',
      changed: {},
      moments: [{ at: 20, fires: ['LockwardenNotCalled'] }],
    };
    expect((await tried(wrong)).exitCode).not.toBe(0);
  });
});
