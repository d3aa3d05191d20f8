/** The alerts and the dashboard ask for nothing that is not exported, and in a way that makes sense of it. */
import { describe, expect, it } from 'vitest';
import { parse } from 'yaml';
import { reasons } from '../../src/core/reasons.ts';
import { monitoring } from '../../tools/generate.ts';
import { read } from '../style/tree.ts';
import { exported, type Exported } from './exported.ts';
import { takeApart, type Selector } from './promql.ts';

interface Rule {
  readonly alert: string;
  readonly expr: string;
  readonly for?: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly annotations: Readonly<Record<string, string>>;
}

interface Panel {
  readonly title: string;
  readonly type: string;
  readonly gridPos: { readonly x: number; readonly y: number; readonly w: number; readonly h: number };
  readonly targets?: readonly { readonly expr: string; readonly legendFormat: string }[];
}

const folder = 'manifests/monitoring';
const rulesFile = parse(read(`${folder}/rules.yaml`)) as { groups: { name: string; rules: Rule[] }[] };
const alerts = rulesFile.groups.flatMap(({ rules }) => rules);
const dashboard = JSON.parse(read(`${folder}/dashboard.json`)) as {
  readonly panels: readonly Panel[];
  readonly templating: {
    readonly list: readonly { readonly name: string; readonly type: string; readonly definition?: string }[];
  };
};
const targets = dashboard.panels.flatMap(({ title, targets = [] }) =>
  targets.map((each) => ({ title, ...each })),
);
/** What Grafana puts in the place of its variables: an interval, or something of a regular expression within a string. */
const asAsked = (expr: string): string => expr.replaceAll('$__rate_interval', '5m');

const queries: readonly (readonly [string, string])[] = [
  ...alerts.map(({ alert, expr }) => [alert, expr] as const),
  ...targets.map(({ title, expr }) => [`${title}: ${expr}`, asAsked(expr)] as const),
];
const metrics = await exported();
/** What Prometheus itself adds to what it scrapes. */
const ofTargets = ['job', 'instance', 'cluster'];
const documented = read('docs/metrics.md');

/** The metric behind a selector: of a histogram, its parts are selected. */
function metricOf({ metric }: Selector): Exported | undefined {
  const part = /^(.*)_(bucket|sum|count)$/.exec(metric);
  const whole = metrics.find(({ name }) => name === metric);
  if (whole !== undefined && whole.type !== 'histogram') return whole;
  return metrics.find(({ name, type }) => name === part?.[1] && type === 'histogram');
}

const labelsOf = (selector: Selector): readonly string[] => [
  ...(metricOf(selector)?.labels ?? []),
  ...(selector.metric.endsWith('_bucket') ? ['le'] : []),
  ...ofTargets,
];

describe('a query', () => {
  it('is there for each panel and each alert', () => {
    expect(alerts.length).toBeGreaterThan(12);
    expect(targets.length).toBeGreaterThan(30);
  });

  it.each(queries)('%s names metrics and labels that are exported', (_, expr) => {
    const { selectors, grouping } = takeApart(expr);
    expect(selectors.length).toBeGreaterThan(0);
    for (const selector of selectors) {
      expect(metricOf(selector), selector.metric).toBeDefined();
      for (const { label } of selector.matchers) expect(labelsOf(selector)).toContain(label);
    }
    const known = new Set(selectors.flatMap(labelsOf));
    expect(grouping.filter((label) => !known.has(label))).toEqual([]);
  });

  it.each(queries)('%s takes rates of counters, and only of counters', (_, expr) => {
    for (const selector of takeApart(expr).selectors) {
      const isRate = selector.functions.some((name) => name === 'rate' || name === 'increase');
      expect(isRate, selector.metric).toBe(metricOf(selector)?.type !== 'gauge');
    }
  });

  it.each(queries)('%s compares labels with values that they have', (_, expr) => {
    for (const { matchers } of takeApart(expr).selectors)
      for (const { label, value } of matchers.filter((each) => !ofTargets.includes(each.label))) {
        const row = documented
          .split('\n')
          .filter((line) => line.startsWith(`| \`${label}\` | `))
          .join('\n');
        for (const each of value.split('|'))
          expect(each in reasons || row.includes(`\`${each}\``), `${label}=${each}`).toBe(true);
      }
  });

  it('that is none is found out', () => {
    expect(() => takeApart('sum by (kind (lockwarden_ready)')).toThrow('not PromQL');
    expect(takeApart('sum by (kind) (rate(x_total{outcome!="Deny"}[5m]))')).toEqual({
      selectors: [
        {
          metric: 'x_total',
          matchers: [{ label: 'outcome', operator: '!=', value: 'Deny' }],
          functions: ['rate'],
        },
      ],
      grouping: ['kind'],
    });
  });
});

describe('an alert', () => {
  it.each(alerts)('$alert says what to do, how bad it is, and where to read on', (alert) => {
    const { summary = '', description = '', runbook_url: runbook = '' } = alert.annotations;
    expect(alert.labels['severity']).toMatch(/^(critical|warning|info)$/u);
    expect(summary).toMatch(/^[^{]+\.$/u);
    expect(description.length).toBeGreaterThan(80);
    expect(runbook).toMatch(new RegExp(`/docs/alerts\\.md#${alert.alert.toLowerCase()}$`, 'u'));
    const section = read('docs/alerts.md')
      .split(/^### /mu)
      .find((each) => each.startsWith(`${alert.alert}\n`));
    expect(section).toMatch(/^At night: /mu);
  });

  it('has a name of its own, and each section of the runbook has its alert', () => {
    const names = alerts.map(({ alert }) => alert);
    expect(new Set(names).size).toBe(names.length);
    const sections = [...read('docs/alerts.md').matchAll(/^### (.*)$/gmu)].map(([, name]) => name ?? '');
    expect(sections.sort()).toEqual(names.sort());
  });

  it.each(alerts)('$alert uses only labels that its expression leaves', ({ alert, expr, annotations }) => {
    const used = [
      ...Object.values(annotations)
        .join(' ')
        .matchAll(/\$labels\.(\w+)/gu),
    ].map(([, label]) => label ?? '');
    const { selectors, grouping } = takeApart(expr);
    const left = grouping.length > 0 ? grouping : selectors.flatMap(labelsOf);
    expect(
      used.filter((label) => !left.includes(label)),
      alert,
    ).toEqual([]);
  });
});

describe('what is made from the same source', () => {
  it.each(['prometheus-rule.yaml', 'dashboard.json'])(
    '%s is what `npm run generate` writes',
    async (name) => {
      expect((await monitoring()).get(`${folder}/${name}`)).toBe(read(`${folder}/${name}`));
    },
  );

  it('the PrometheusRule has the groups of the rules file', () => {
    const manifest = parse(read(`${folder}/prometheus-rule.yaml`)) as Record<string, unknown>;
    expect(manifest).toMatchObject({ apiVersion: 'monitoring.coreos.com/v1', kind: 'PrometheusRule' });
    expect(manifest['spec']).toEqual(rulesFile);
  });
});

describe('the dashboard', () => {
  it('lets its data source be chosen, and uses no other', () => {
    const [first, ...others] = dashboard.templating.list;
    expect(first).toMatchObject({ name: 'datasource', type: 'datasource', query: 'prometheus' });
    const uids = [...read(`${folder}/dashboard.json`).matchAll(/"uid": "(\$[^"]*|prom[^"]*)"/gu)].map(
      ([, uid]) => uid,
    );
    expect(new Set(uids)).toEqual(new Set(['${datasource}']));
    for (const { definition = '' } of others) {
      const [, selector = ''] = /^label_values\((.*), \w+\)$/u.exec(definition) ?? [];
      expect(takeApart(selector).selectors.map(metricOf)).not.toContain(undefined);
    }
  });

  it('names in its legends only labels that its queries leave', () => {
    for (const { expr, legendFormat } of targets) {
      const { grouping } = takeApart(asAsked(expr));
      const used = [...legendFormat.matchAll(/\{\{(\w+)\}\}/gu)].map(([, label]) => label ?? '');
      expect(
        used.filter((label) => !grouping.includes(label)),
        legendFormat,
      ).toEqual([]);
    }
  });

  it('has panels that lie within the grid and not upon each other', () => {
    const taken = new Set<string>();
    for (const { gridPos } of dashboard.panels)
      for (let x = gridPos.x; x < gridPos.x + gridPos.w; x += 1)
        for (let y = gridPos.y; y < gridPos.y + gridPos.h; y += 1) {
          expect(x).toBeLessThan(24);
          expect(taken).not.toContain(`${String(x)},${String(y)}`);
          taken.add(`${String(x)},${String(y)}`);
        }
  });
});
