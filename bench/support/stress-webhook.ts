/** bench/stress.ts: the webhook by itself, beside one of controller-runtime. */
import type { Vitals } from '../peers/vitals.ts';
import { median, quantile } from './figures.ts';
import { describeOthers, othersOf, type Others } from './others.ts';
import { startControllerRuntime, type WatchedPeer } from './peer.ts';
import { besidesAt, siege, type Beside, type Phase, type Rates } from './siege.ts';

/** How long, and how much. */
export interface Stress {
  readonly rounds: number;
  readonly seconds: number;
  readonly rates: Rates;
}

/** What came of all rounds of one kind. Of times: of all requests together, and round by round. */
interface Row extends Beside, Others {
  readonly webhook: string;
  /** Share of the others' requests that could be sent at their rate: less where all connections wait. */
  readonly sent: number;
  readonly takeoverP99sMs: readonly number[];
  readonly renewalP99sMs: readonly number[];
  readonly besidePerSecond: number;
  readonly besideP99Ms: number;
  readonly cpu: number;
  readonly peakResidentMiB: number;
  /** Of lockwarden's process, round by round. */
  readonly vitals: readonly Vitals[];
}

const names = ['lockwarden', 'controller-runtime'] as const;
type Name = (typeof names)[number];

/** Has both asked in turns, in the quiet and not, and prints what came of it. */
export async function stressWebhook(own: WatchedPeer, stress: Stress): Promise<readonly Row[]> {
  const peers = { lockwarden: own, 'controller-runtime': await startControllerRuntime() };
  const phases = new Map<string, { phase: Phase; vitals: Vitals }[]>();
  const key = (name: Name, { what, rate }: Beside): string => `${name}, ${what} at ${String(rate)}`;
  const besides = besidesAt(stress.rates);
  const once = async (name: Name, beside: Beside, seconds: number): Promise<void> => {
    await own.vitals();
    const judges = name === 'lockwarden';
    const phase = await siege(peers[name], beside, { rates: stress.rates, seconds, judges });
    const measured = { phase, vitals: await own.vitals() };
    phases.set(key(name, beside), [...(phases.get(key(name, beside)) ?? []), measured]);
  };
  try {
    // Code that has not run yet is slow, and connections that are not there yet are too.
    for (const name of names) for (const beside of besides) await once(name, beside, 1);
    phases.clear();
    for (let round = 0; round < stress.rounds; round += 1) {
      const order = round % 2 === 0 ? names : names.toReversed();
      for (const name of order) for (const beside of besides) await once(name, beside, stress.seconds);
    }
  } finally {
    await peers['controller-runtime'].stop();
  }
  const rows = names.flatMap((name) =>
    besides.map((beside) => rowOf(stress, [name, beside], phases.get(key(name, beside)) ?? [])),
  );
  for (const row of rows) report(row, rows);
  return rows;
}

function rowOf(
  { rates, seconds }: Stress,
  [webhook, beside]: readonly [Name, Beside],
  measured: readonly { readonly phase: Phase; readonly vitals: Vitals }[],
): Row {
  const phases = measured.map(({ phase }) => phase);
  const others = phases.reduce((sum, phase) => sum + phase.takeovers.length + phase.renewals.length, 0);
  return {
    ...{ ...beside, webhook },
    sent: others / (2 * rates.others * seconds * phases.length),
    ...othersOf(phases),
    takeoverP99sMs: phases.map((phase) => quantile(phase.takeovers, 0.99)),
    renewalP99sMs: phases.map((phase) => quantile(phase.renewals, 0.99)),
    besidePerSecond: median(phases.map((phase) => phase.besidePerSecond)),
    besideP99Ms: median(phases.map((phase) => phase.besideP99Ms)),
    cpu: median(phases.map((phase) => phase.cpu)),
    peakResidentMiB: Math.max(...phases.map((phase) => phase.peakResidentMiB)),
    vitals: webhook === 'lockwarden' ? measured.map(({ vitals }) => vitals) : [],
  };
}

function report(row: Row, rows: readonly Row[]): void {
  const quiet = rows.find(({ webhook, what }) => webhook === row.webhook && what === 'nothing') ?? row;
  const loop = (key: 'loopP50Ms' | 'loopP99Ms' | 'loopMaxMs'): string =>
    median(row.vitals.map((each) => each[key])).toFixed(2);
  const columns = [
    `${row.webhook.padEnd(18)} beside ${row.what.padEnd(13)} at ${row.besidePerSecond.toFixed(0).padStart(4)}/s`,
    ...(row.sent < 0.95 ? [`only ${(100 * row.sent).toFixed(0)} % could be sent`] : []),
    describeOthers(row, quiet),
    `CPU ${row.cpu.toFixed(2)}, at most ${row.peakResidentMiB.toFixed(0)} MiB`,
    ...(row.vitals.length === 0
      ? []
      : [`event loop p50 ${loop('loopP50Ms')}, p99 ${loop('loopP99Ms')}, max ${loop('loopMaxMs')} ms late`]),
  ];
  process.stdout.write(`${columns.join('; ')}\n`);
}
