/** Samples of two replicas that are well, and what is changed about them, case by case: what alerts have to tell apart. */

/** Series by name and labels, each with its values in promtool's notation, a sample every half minute. */
export type Samples = Readonly<Record<string, string>>;

/** A moment of a case, in minutes, and the alerts that fire then. No others may. */
export interface Moment {
  readonly at: number;
  readonly fires: readonly string[];
}

/** One case: series that replace those of the replicas that are well, or come beside them. */
export interface Case {
  readonly title: string;
  readonly changed: Samples;
  readonly moments: readonly Moment[];
}

const day = 86_400;
const steady = (value: number): string => `${String(value)}x300`;
/** A value that becomes another after some samples. */
const then = (before: number, samples: number, after: number): string =>
  `${String(before)}x${String(samples - 1)} ${String(after)}x300`;
/** A counter that stands, and then grows by `step` with each sample. */
const grows = (from: number, step: number): string => `0x${String(from - 1)} 0+${String(step)}x300`;
const expiry = (certificate: string, instance = 'a'): string =>
  `lockwarden_certificate_expiration_timestamp_seconds{certificate="${certificate}", instance="${instance}"}`;
const leads = (instance: string): string =>
  `leader_election_master_status{name="lockwarden", instance="${instance}"}`;
const refused = (reason: string): string =>
  `lockwarden_admission_decisions_total{kind="Lease", outcome="Deny", reason="${reason}", enforcement="Deny", instance="a"}`;
const bucket = (name: string, le: string): string =>
  name === 'lockwarden_watch_lag_seconds'
    ? `${name}_bucket{kind="Lease", instance="a", le="${le}"}`
    : `${name}_bucket{instance="a", le="${le}"}`;
/** Ten observations with each sample, of which `slow` are beyond the second bound and below the third. */
const observed = (name: string, [quick, bound, top]: readonly string[], slow: number): Samples => ({
  [bucket(name, quick ?? '')]: grows(1, 1_000 - slow),
  [bucket(name, bound ?? '')]: grows(1, 1_000 - slow),
  [bucket(name, top ?? '')]: grows(1, 1_000),
  [bucket(name, '+Inf')]: grows(1, 1_000),
});
const lagBounds = ['0.1', '2.5', '5'];
const answerBounds = ['0.005', '0.5', '1'];

/** Two replicas, of which `a` leads, and nothing is wrong. */
export const healthy: Samples = {
  'lockwarden_canary_proven{instance="a"}': steady(1),
  'lockwarden_canary_proven{instance="b"}': steady(1),
  'lockwarden_ready{instance="a"}': steady(1),
  'lockwarden_ready{instance="b"}': steady(1),
  [expiry('leaf')]: steady(20 * day),
  [expiry('leaf', 'b')]: steady(20 * day),
  [expiry('authority')]: steady(200 * day),
  [leads('a')]: steady(1),
  [leads('b')]: steady(0),
  // One refusal every two and a half minutes.
  [refused('PrematureTakeover')]: '0+0.2x300',
  [refused('LiveLockDeleted')]: steady(0),
  'lockwarden_flapping_locks{kind="Lease", instance="a"}': steady(0),
  'lockwarden_watch_connected{kind="Lease", instance="a"}': steady(1),
  'lockwarden_watch_last_event_age_seconds{kind="Lease", instance="a"}': steady(55),
  'lockwarden_admission_unjudged_total{cause="late", instance="a"}': steady(0),
  'lockwarden_log_lines_dropped_total{instance="a"}': steady(0),
  'lockwarden_events_dropped_total{cause="noRoom", instance="a"}': steady(0),
  ...observed('lockwarden_watch_lag_seconds', lagBounds, 0),
  ...observed('lockwarden_admission_duration_seconds', answerBounds, 0),
};

/** What may go wrong, and what must not be told of. The sixtieth sample is that of minute 30. */
export const cases: readonly Case[] = [
  {
    title: 'two replicas that are well',
    changed: {},
    moments: [3, 20, 65, 120].map((at) => ({ at, fires: [] })),
  },
  {
    title: 'a replica that is not asked any more',
    changed: { 'lockwarden_canary_proven{instance="b"}': then(1, 60, 0) },
    moments: [
      { at: 31, fires: [] },
      { at: 33, fires: ['LockwardenNotCalled'] },
    ],
  },
  {
    title: 'a canary that was not proven for a minute',
    changed: { 'lockwarden_canary_proven{instance="b"}': '1x59 0x1 1x200' },
    moments: [31, 32, 33, 34].map((at) => ({ at, fires: [] })),
  },
  {
    title: 'a replica that does not become ready',
    changed: { 'lockwarden_ready{instance="b"}': then(1, 60, 0) },
    moments: [
      { at: 39, fires: [] },
      { at: 41, fires: ['LockwardenReplicaNotReady'] },
    ],
  },
  {
    title: 'replicas of which none is ready',
    changed: {
      'lockwarden_ready{instance="a"}': then(1, 60, 0),
      'lockwarden_ready{instance="b"}': then(1, 60, 0),
    },
    moments: [
      { at: 34, fires: [] },
      { at: 36, fires: ['LockwardenAbsent'] },
      { at: 41, fires: ['LockwardenAbsent', 'LockwardenReplicaNotReady'] },
    ],
  },
  {
    title: 'replicas of which none is scraped',
    changed: {
      'lockwarden_ready{instance="a"}': '1x59 stale',
      'lockwarden_ready{instance="b"}': '1x59 stale',
    },
    moments: [
      { at: 34, fires: [] },
      { at: 36, fires: ['LockwardenAbsent'] },
    ],
  },
  {
    title: 'a replica that is gone, and is got used to',
    changed: { 'lockwarden_ready{instance="b"}': '1x139 stale' },
    moments: [
      { at: 79, fires: [] },
      { at: 82, fires: ['LockwardenReplicaMissing'] },
      { at: 105, fires: [] },
    ],
  },
  {
    title: 'a roll-out, with a third replica for two minutes',
    changed: { 'lockwarden_ready{instance="c"}': '_x139 1x4 stale' },
    moments: [72, 75, 83, 90, 120].map((at) => ({ at, fires: [] })),
  },
  {
    title: 'a leaf that was not renewed',
    changed: { [expiry('leaf', 'b')]: steady(6 * day) },
    moments: [
      { at: 55, fires: [] },
      { at: 65, fires: ['LockwardenCertificateNearEnd'] },
    ],
  },
  {
    title: 'an authority that was not renewed',
    changed: { [expiry('authority')]: steady(29 * day) },
    moments: [{ at: 65, fires: ['LockwardenCertificateNearEnd'] }],
  },
  {
    title: 'an authority that has as long as a leaf that is not told of',
    changed: { [expiry('leaf')]: steady(9 * day), [expiry('authority')]: steady(31 * day) },
    moments: [{ at: 65, fires: [] }],
  },
  {
    title: 'a leaf that ends',
    changed: { [expiry('leaf')]: steady(day / 2) },
    moments: [
      { at: 4, fires: [] },
      { at: 6, fires: ['LockwardenCertificateEnds'] },
      { at: 65, fires: ['LockwardenCertificateEnds', 'LockwardenCertificateNearEnd'] },
    ],
  },
  {
    title: 'an election',
    changed: { [leads('a')]: '1x59 0x200', [leads('b')]: '0x61 1x200' },
    moments: [31, 33, 36].map((at) => ({ at, fires: [] })),
  },
  {
    title: 'replicas of which none leads',
    changed: { [leads('a')]: then(1, 60, 0) },
    moments: [
      { at: 34, fires: [] },
      { at: 36, fires: ['LockwardenNoLeader'] },
    ],
  },
  {
    title: 'a hand-over that one scrape shows as two leaders',
    changed: { [leads('a')]: '1x60 0x200', [leads('b')]: '0x59 1x200' },
    moments: [30, 31, 33].map((at) => ({ at, fires: [] })),
  },
  {
    title: 'two leaders',
    changed: { [leads('b')]: then(0, 60, 1) },
    moments: [
      { at: 31, fires: [] },
      { at: 33, fires: ['LockwardenTwoLeaders'] },
    ],
  },
  {
    title: 'a candidate that goes on and on',
    changed: { [refused('LiveLockDeleted')]: grows(60, 10) },
    moments: [
      { at: 29, fires: [] },
      { at: 33, fires: ['LockwardenRejectionsSpike'] },
    ],
  },
  {
    title: 'refusals by the dozen, of many reasons',
    changed: { [refused('LiveLockDeleted')]: '0+0.8x300', [refused('ForeignRelease')]: '0+0.8x300' },
    moments: [20, 65].map((at) => ({ at, fires: [] })),
  },
  {
    title: 'a lock that flaps, and one that stops in time',
    changed: {
      'lockwarden_flapping_locks{kind="Lease", instance="a"}': then(0, 60, 1),
      'lockwarden_flapping_locks{kind="ConfigMap", instance="a"}': '0x19 1x8 0x200',
    },
    moments: [
      { at: 15, fires: [] },
      { at: 34, fires: [] },
      { at: 36, fires: ['LockwardenLockFlapping'] },
    ],
  },
  {
    title: 'a watch that is late with one write in five',
    changed: observed('lockwarden_watch_lag_seconds', lagBounds, 200),
    moments: [{ at: 12, fires: ['LockwardenWatchLag'] }],
  },
  {
    title: 'a watch that is late with one write in twenty',
    changed: observed('lockwarden_watch_lag_seconds', lagBounds, 50),
    moments: [{ at: 12, fires: [] }],
  },
  {
    title: 'a watch that is cut',
    changed: { 'lockwarden_watch_connected{kind="Lease", instance="a"}': then(1, 60, 0) },
    moments: [
      { at: 31, fires: [] },
      { at: 33, fires: ['LockwardenWatchSilent'] },
    ],
  },
  {
    title: 'a watch that is silent',
    changed: { 'lockwarden_watch_last_event_age_seconds{kind="Lease", instance="a"}': '0+30x300' },
    moments: [
      { at: 4, fires: [] },
      { at: 7, fires: ['LockwardenWatchSilent'] },
    ],
  },
  {
    title: 'a review that was not judged',
    changed: { 'lockwarden_admission_unjudged_total{cause="late", instance="a"}': then(0, 60, 1) },
    moments: [
      { at: 29, fires: [] },
      { at: 31, fires: ['LockwardenUnjudged'] },
      { at: 45, fires: [] },
    ],
  },
  {
    title: 'one answer in fifty that is slow',
    changed: observed('lockwarden_admission_duration_seconds', answerBounds, 20),
    moments: [{ at: 15, fires: ['LockwardenSlow'] }],
  },
  {
    title: 'one answer in two hundred that is slow',
    changed: observed('lockwarden_admission_duration_seconds', answerBounds, 5),
    moments: [{ at: 15, fires: [] }],
  },
  {
    title: 'lines of the log that are lost',
    changed: { 'lockwarden_log_lines_dropped_total{instance="a"}': then(0, 60, 40) },
    moments: [
      { at: 29, fires: [] },
      { at: 31, fires: ['LockwardenLogLinesDropped'] },
      { at: 45, fires: [] },
    ],
  },
  {
    title: 'an Event that is lost',
    changed: { 'lockwarden_events_dropped_total{cause="noRoom", instance="a"}': then(0, 60, 1) },
    moments: [
      { at: 29, fires: [] },
      { at: 31, fires: ['LockwardenEventsDropped'] },
      { at: 65, fires: [] },
    ],
  },
];
