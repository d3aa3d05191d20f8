/**
 * What an answer costs the webhook itself: `node bench/direct.ts [seconds]`. Reviews by HTTPS over connections that are kept, to lockwarden's
 * edge, to a webhook of controller-runtime that decodes both objects and allows, and to a module of Pepr that does the same, in turns;
 * first as fast as they answer, and then at one rate for all. Each in a process of its own, lockwarden's with the flags and variables that
 * its image gives Node, and the load on the same machine. What it takes to connect is left out. Default: 5 s each, and at a rate three times as
 * long.
 */
import { attack, type AttackResult } from './support/attack.ts';
import { bodies, type Body } from './support/bodies.ts';
import { median } from './support/figures.ts';
import { inAnyOrder } from './support/order.ts';
import { startControllerRuntime, startLockwarden, type Peer } from './support/peer.ts';
import { startPepr } from './support/pepr.ts';
import { answerTo } from './support/question.ts';
import { writeResult } from './support/result.ts';

const [seconds = 5] = process.argv.slice(2).map(Number);
const rounds = 3;
/** LIMIT: 256 handshakes take up to half a second; what waits for one would be the slowest hundredth. */
const leadMs = 1_000;
/** LIMIT: the system tells CPU time to the hundredth of a second, and at a rate a webhook uses a fourth of one each second. */
const longer = 3;

/** How a body is sent. */
interface Load {
  readonly connections: readonly number[];
  /** Requests a second that each webhook answers with time to spare, and over how many connections. */
  readonly rate: number;
  readonly rated: readonly number[];
}

const loads: Readonly<Record<string, Load>> = {
  'ConfigMap of 100 KiB': { connections: [1, 16, 256], rate: 100, rated: [16] },
  // More at once are more than lockwarden holds in memory: it answers 503, and the API server tries again.
  'ConfigMap of 1 MiB': { connections: [1, 16], rate: 10, rated: [16] },
};
const loadDefault: Load = { connections: [1, 16, 256], rate: 1_000, rated: [16, 256] };

interface Row extends AttackResult {
  readonly webhook: string;
  readonly body: string;
  readonly connections: number;
  readonly rate: number | null;
}

const peers: Readonly<Record<string, Peer>> = {
  lockwarden: await startLockwarden(),
  'controller-runtime': await startControllerRuntime(),
  Pepr: await startPepr(),
};

/** The middle one of several runs, figure by figure. */
function middle(results: readonly AttackResult[]): AttackResult {
  const of = (key: keyof AttackResult): number => median(results.map((each) => each[key]));
  return {
    ...{ requests: of('requests'), perSecond: of('perSecond'), perCpuSecond: of('perCpuSecond') },
    ...{ p50Ms: of('p50Ms'), p99Ms: of('p99Ms'), p999Ms: of('p999Ms'), residentMiB: of('residentMiB') },
  };
}

async function measured(name: string, make: () => Body, count: number, rate: number | null): Promise<Row[]> {
  const results = new Map<string, AttackResult[]>(Object.keys(peers).map((webhook) => [webhook, []]));
  for (let round = 0; round < rounds; round += 1) {
    for (const [webhook, peer] of inAnyOrder(Object.entries(peers))) {
      const { text, isAllowed } = make();
      const expected = webhook === 'lockwarden' ? isAllowed : true;
      if ((await answerTo(peer, text)) !== expected) throw new Error(`${webhook} judged a ${name} otherwise`);
      const lasts = rate === null ? seconds : seconds * longer;
      const load = { body: text, connections: count, seconds: lasts, rate, isAllowed: expected, leadMs };
      results.get(webhook)?.push(await attack(peer, load));
    }
  }
  return [...results].map(([webhook, list]) => ({
    ...{ webhook, body: name, connections: count, rate },
    ...middle(list),
  }));
}

/** One line: each webhook's figures, and lockwarden's requests a CPU second to those of each other. */
function lineOf([own, ...others]: readonly Row[]): string {
  if (own === undefined) throw new Error('nothing was measured');
  const { body, connections, rate } = own;
  const figures = (row: Row): string =>
    `${row.perCpuSecond.toFixed(0)} a CPU second, p99 ${row.p99Ms.toFixed(2)} ms, ${row.residentMiB.toFixed(0)} MiB`;
  const each = [own, ...others].map((row) => {
    const ratio = row === own ? '' : ` (${(own.perCpuSecond / row.perCpuSecond).toFixed(2)})`;
    return `${row.webhook} ${figures(row)}${ratio}`;
  });
  const at = rate === null ? '' : `, ${String(rate)}/s`;
  return `${body.padEnd(20)} ${String(connections).padStart(3)} connections${at}: ${each.join('; ')}\n`;
}

const rows: Row[] = [];
try {
  for (const [name, make] of Object.entries(bodies())) {
    const { connections, rate, rated } = loads[name] ?? loadDefault;
    const runs = [
      ...connections.map((count) => ({ count, at: null })),
      ...rated.map((count) => ({ count, at: rate })),
    ];
    for (const { count, at } of runs) {
      const of = await measured(name, make, count, at);
      rows.push(...of);
      process.stdout.write(lineOf(of));
    }
  }
} finally {
  for (const peer of Object.values(peers)) await peer.stop();
}
await writeResult('direct', { seconds, rounds, rows });
