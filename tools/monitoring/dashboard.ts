/**
 * The Grafana dashboard: rows of panels, from the question asked first to the one asked last. It imports anywhere: the data source is a
 * variable, and there are no plugins but Grafana's own.
 */

/** Units as Grafana calls them. */
type Unit = 'short' | 's' | 'percentunit' | 'bytes' | 'cps' | 'dtdurations';

interface Query {
  readonly expr: string;
  readonly legend: string;
}

interface Panel {
  readonly title: string;
  readonly description: string;
  readonly type: 'stat' | 'timeseries';
  readonly unit: Unit;
  readonly width: number;
  readonly queries: readonly Query[];
  /** From which value on it is red, and whether below it instead. */
  readonly red?: { readonly at: number; readonly below?: boolean };
}

interface Row {
  readonly title: string;
  readonly panels: readonly Panel[];
}

/** LIMIT: Grafana's grid has 24 columns. */
const columns = 24;
const height = { stat: 4, timeseries: 8 };
const chosen = 'job=~"$job", instance=~"$instance"';

function stat(title: string, description: string, unit: Unit, expr: string, red?: Panel['red']): Panel {
  const queries = [{ expr, legend: '' }];
  return { title, description, type: 'stat', unit, width: 4, queries, ...(red && { red }) };
}

function graph(title: string, description: string, unit: Unit, ...queries: readonly Query[]): Panel {
  return { title, description, type: 'timeseries', unit, width: 8, queries };
}

function query(expr: string, legend: string): Query {
  return { expr, legend };
}

function quantiles(metric: string, ...by: readonly string[]): readonly Query[] {
  const labels = ['le', ...by].join(', ');
  const legend = by.map((label) => ` {{${label}}}`).join('');
  return [0.5, 0.99].map((quantile) =>
    query(
      `histogram_quantile(${String(quantile)}, sum by (${labels}) (rate(${metric}_bucket{${chosen}}[$__rate_interval])))`,
      `p${String(quantile * 100)}${legend}`,
    ),
  );
}

const rows: readonly Row[] = [
  {
    title: 'Is it well?',
    panels: [
      stat('Ready replicas', 'Replicas that may be asked.', 'short', `sum(lockwarden_ready{${chosen}})`, {
        at: 1,
        below: true,
      }),
      stat(
        'Asked by the API server',
        '1: each replica has its canary refused. 0: locks change hands unjudged.',
        'short',
        `min(lockwarden_canary_proven{${chosen}})`,
        { at: 1, below: true },
      ),
      stat(
        'Leaders',
        'Exactly one.',
        'short',
        `sum(leader_election_master_status{name="lockwarden", ${chosen}})`,
        { at: 2 },
      ),
      stat(
        'Leaf ends in',
        'Renewed when a third of its life is left.',
        'dtdurations',
        `min(lockwarden_certificate_expiration_timestamp_seconds{certificate="leaf", ${chosen}}) - time()`,
        { at: 604_800, below: true },
      ),
      stat(
        'Refused in 24 hours',
        'Writes to locks that were refused.',
        'short',
        `sum(increase(lockwarden_admission_decisions_total{outcome="Deny", ${chosen}}[24h]))`,
      ),
      stat(
        'Flapping locks',
        'Locks that changed hands four times or more within ten minutes.',
        'short',
        `sum(max by (kind) (lockwarden_flapping_locks{${chosen}}))`,
        { at: 1 },
      ),
    ],
  },
  {
    title: 'What is decided',
    panels: [
      graph(
        'Refusals by reason',
        'Each reason is a clause of docs/semantics.md.',
        'cps',
        query(
          `sum by (reason) (rate(lockwarden_admission_decisions_total{outcome="Deny", ${chosen}}[$__rate_interval])) > 0`,
          '{{reason}}',
        ),
      ),
      graph(
        'Warned of and recorded',
        'What would be refused under a stricter policy.',
        'cps',
        query(
          `sum by (reason, enforcement) (rate(lockwarden_admission_decisions_total{enforcement=~"Warn|Audit", ${chosen}}[$__rate_interval])) > 0`,
          '{{reason}} ({{enforcement}})',
        ),
      ),
      graph(
        'Decisions',
        'All decisions, by kind of lock and outcome.',
        'cps',
        query(
          `sum by (kind, outcome) (rate(lockwarden_admission_decisions_total{${chosen}}[$__rate_interval])) > 0`,
          '{{kind}} {{outcome}}',
        ),
      ),
      graph(
        'Evidence',
        'What decisions rest on. Much of `recorded`, or of `doubt`, means that little is known of the locks.',
        'cps',
        query(
          `sum by (source, verdict) (rate(lockwarden_admission_evidence_total{${chosen}}[$__rate_interval]))`,
          '{{source}}: {{verdict}}',
        ),
      ),
      graph(
        'Takeovers let pass',
        'Changes from one holder to another.',
        'cps',
        query(
          `sum by (kind, source) (rate(lockwarden_takeovers_allowed_total{${chosen}}[$__rate_interval]))`,
          '{{kind}} ({{source}})',
        ),
      ),
      graph(
        'Not judged',
        'Let pass because judging failed or took too long, and requests that were no review.',
        'cps',
        query(
          `sum by (cause) (rate(lockwarden_admission_unjudged_total{${chosen}}[$__rate_interval]))`,
          'unjudged: {{cause}}',
        ),
        query(
          `sum by (cause) (rate(lockwarden_admission_malformed_total{${chosen}}[$__rate_interval]))`,
          'malformed: {{cause}}',
        ),
      ),
    ],
  },
  {
    title: 'How fast',
    panels: [
      graph('Decisions', 'The decision alone.', 's', ...quantiles('lockwarden_decision_duration_seconds')),
      graph(
        'Requests',
        'From the headers of a request to its answer.',
        's',
        ...quantiles('lockwarden_admission_duration_seconds'),
      ),
      graph(
        'In flight',
        'Requests that are being read or judged.',
        'short',
        query(`sum by (instance) (lockwarden_admission_requests_in_flight{${chosen}})`, '{{instance}}'),
      ),
    ],
  },
  {
    title: 'What it sees',
    panels: [
      graph(
        'Locks',
        'Seen, held, and by how many.',
        'short',
        query(`max by (kind) (lockwarden_tracked_locks{${chosen}})`, '{{kind}}: seen'),
        query(`max by (kind) (lockwarden_held_locks{${chosen}})`, '{{kind}}: held'),
        query(`max by (kind) (lockwarden_lock_holders{${chosen}})`, '{{kind}}: holders'),
      ),
      graph(
        'Watch lag',
        'How late writes are seen, at least.',
        's',
        ...quantiles('lockwarden_watch_lag_seconds', 'kind'),
      ),
      graph(
        'Watches',
        'Silence of the watches (a bookmark comes about every minute), and how often they began anew.',
        's',
        query(`max by (kind) (lockwarden_watch_last_event_age_seconds{${chosen}})`, '{{kind}}: silent for'),
        query(
          `sum by (kind) (increase(lockwarden_watch_restarts_total{${chosen}}[$__rate_interval]))`,
          '{{kind}}: restarts',
        ),
      ),
      graph(
        'Flapping locks',
        'By kind.',
        'short',
        query(`max by (kind) (lockwarden_flapping_locks{${chosen}})`, '{{kind}}'),
      ),
      graph(
        'Facts among replicas',
        'How long others take to learn who wrote what, and what they were not told.',
        's',
        ...quantiles('lockwarden_shared_facts_window_seconds'),
        query(
          `sum by (cause) (increase(lockwarden_shared_facts_dropped_total{${chosen}}[$__rate_interval]))`,
          'dropped: {{cause}}',
        ),
      ),
      graph(
        "The API server's clock",
        'Width of the interval in which its time is known to lie.',
        's',
        query(`max by (instance) (lockwarden_server_clock_width_seconds{${chosen}})`, '{{instance}}'),
      ),
    ],
  },
  {
    title: 'The process',
    panels: [
      graph(
        'Processor',
        'Cores used.',
        'short',
        query(
          `sum by (instance) (rate(process_cpu_seconds_total{${chosen}}[$__rate_interval]))`,
          '{{instance}}',
        ),
      ),
      graph(
        'Memory',
        'Resident, and the heap in use.',
        'bytes',
        query(`sum by (instance) (process_resident_memory_bytes{${chosen}})`, '{{instance}}'),
        query(`sum by (instance) (nodejs_heap_size_used_bytes{${chosen}})`, '{{instance}}: heap'),
      ),
      graph(
        'Event loop',
        'How long the process is kept from doing anything, at the 99th percentile.',
        's',
        query(`max by (instance) (nodejs_eventloop_lag_p99_seconds{${chosen}})`, '{{instance}}'),
      ),
      graph(
        'Lost',
        'Log lines, Events and records that were not written.',
        'short',
        query(
          `sum by (instance) (increase(lockwarden_log_lines_dropped_total{${chosen}}[$__rate_interval]))`,
          '{{instance}}: log lines',
        ),
        query(
          `sum by (instance, cause) (increase(lockwarden_events_dropped_total{${chosen}}[$__rate_interval]))`,
          '{{instance}}: Events ({{cause}})',
        ),
        query(
          `sum by (instance, record) (increase(lockwarden_reviews_dropped_total{${chosen}}[$__rate_interval]))`,
          '{{instance}}: records ({{record}})',
        ),
      ),
      graph(
        'Connections',
        'Handshakes that failed, and connections refused.',
        'cps',
        query(
          `sum by (instance) (rate(lockwarden_tls_handshake_failures_total{${chosen}}[$__rate_interval]))`,
          '{{instance}}: handshakes',
        ),
        query(
          `sum by (instance) (rate(lockwarden_connections_refused_total{${chosen}}[$__rate_interval]))`,
          '{{instance}}: refused',
        ),
      ),
      graph(
        'Certificates',
        'Steps of rotations, and those that failed.',
        'short',
        query(
          `sum by (step) (increase(lockwarden_certificate_steps_total{${chosen}}[$__rate_interval]))`,
          '{{step}}',
        ),
        query(
          `sum(increase(lockwarden_certificate_failures_total{${chosen}}[$__rate_interval]))`,
          'failures',
        ),
      ),
    ],
  },
];

/** The dashboard, as Grafana imports it. */
export function dashboard(): object {
  return {
    uid: 'lockwarden',
    title: 'lockwarden',
    description:
      'Leader-election locks under guard: what is refused and why, whether the guard is well, and what it costs.',
    tags: ['kubernetes', 'leader-election'],
    schemaVersion: 39,
    editable: true,
    graphTooltip: 1,
    refresh: '30s',
    time: { from: 'now-6h', to: 'now' },
    templating: { list: variables() },
    panels: laidOut(),
  };
}

function variables(): readonly object[] {
  const source = { type: 'prometheus', uid: '${datasource}' };
  const choice = (name: string, label: string, of: string): object => ({
    ...{ name, label, type: 'query', datasource: source, refresh: 2, multi: true, includeAll: true },
    ...{ query: { query: of, refId: name }, definition: of, current: { text: 'All', value: '$__all' } },
  });
  return [
    { name: 'datasource', label: 'Data source', type: 'datasource', query: 'prometheus' },
    choice('job', 'Job', 'label_values(lockwarden_ready, job)'),
    choice('instance', 'Replica', 'label_values(lockwarden_ready{job=~"$job"}, instance)'),
  ];
}

function laidOut(): readonly object[] {
  const panels: object[] = [];
  let y = 0;
  for (const row of rows) {
    panels.push({
      ...{ id: panels.length + 1, type: 'row', title: row.title },
      gridPos: { x: 0, y, w: columns, h: 1 },
    });
    y += 1;
    let x = 0;
    for (const [index, panel] of row.panels.entries()) {
      const h = height[panel.type];
      panels.push(panelOf(panel, panels.length + 1, { x, y, w: panel.width, h }));
      x += panel.width;
      if (x < columns && index < row.panels.length - 1) continue;
      x = 0;
      y += h;
    }
  }
  return panels;
}

function panelOf(panel: Panel, id: number, gridPos: object): object {
  const { title, description, type, unit, queries } = panel;
  const datasource = { type: 'prometheus', uid: '${datasource}' };
  return {
    ...{ id, type, title, description, gridPos, datasource },
    fieldConfig: { defaults: { unit, min: 0, thresholds: thresholds(panel) }, overrides: [] },
    targets: queries.map(({ expr, legend }, index) => ({
      ...{ refId: String.fromCharCode(65 + index), datasource, expr, legendFormat: legend },
    })),
  };
}

function thresholds({ red }: Panel): object {
  const [first, then] = red?.below === true ? ['red', 'green'] : ['green', 'red'];
  const steps = [
    { color: first, value: null },
    ...(red === undefined ? [] : [{ color: then, value: red.at }]),
  ];
  return { mode: 'absolute', steps };
}
