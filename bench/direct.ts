/**
 * What an answer costs the webhook itself: `node bench/direct.ts [seconds]`. Reviews by HTTPS over connections that are kept, to lockwarden's
 * edge and to a webhook of controller-runtime that decodes both objects and allows, in turns; first as fast as they answer, and
 * then at one rate for both. Each in a process of its own, with the load on the same machine. Default: 5 s each.
 */
import { attack, type AttackResult } from './support/attack.ts';
import { bodies, type Body } from './support/bodies.ts';
import { median } from './support/figures.ts';
import { startControllerRuntime, startLockwarden, type Peer } from './support/peer.ts';
import { answerTo } from './support/question.ts';
import { writeResult } from './support/result.ts';

const [seconds = 5] = process.argv.slice(2).map(Number);
const rounds = 3;

/** How a body is sent. */
interface Load {
  readonly connections: readonly number[];
  /** Requests a second that either webhook answers with time to spare. */
  readonly rate: number;
}

const loads: Readonly<Record<string, Load>> = {
  'ConfigMap of 100 KiB': { connections: [1, 16, 256], rate: 100 },
  // More at once are more than lockwarden holds in memory: it answers 503, and the API server tries again.
  'ConfigMap of 1 MiB': { connections: [1, 16], rate: 10 },
};
const loadDefault: Load = { connections: [1, 16, 256], rate: 1_000 };

interface Row extends AttackResult {
  readonly webhook: string;
  readonly body: string;
  readonly connections: number;
  readonly rate: number | null;
}

const peers: Readonly<Record<string, Peer>> = {
  lockwarden: await startLockwarden(),
  'controller-runtime': await startControllerRuntime(),
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
  const results = new Map<string, AttackResult[]>();
  for (let round = 0; round < rounds; round += 1) {
    for (const [webhook, peer] of Object.entries(peers)) {
      const { text, isAllowed } = make();
      const expected = webhook === 'lockwarden' ? isAllowed : true;
      if ((await answerTo(peer, text)) !== expected) throw new Error(`${webhook} judged a ${name} otherwise`);
      const result = await attack(peer, { body: text, connections: count, seconds, rate });
      results.set(webhook, [...(results.get(webhook) ?? []), result]);
    }
  }
  return [...results].map(([webhook, list]) => ({
    ...{ webhook, body: name, connections: count, rate },
    ...middle(list),
  }));
}

const rows: Row[] = [];
try {
  for (const [name, make] of Object.entries(bodies())) {
    const { connections, rate } = loads[name] ?? loadDefault;
    const runs = [...connections.map((count) => ({ count, at: null })), { count: 16, at: rate }];
    for (const { count, at } of runs) {
      const [own, other] = await measured(name, make, count, at);
      if (own === undefined || other === undefined) throw new Error('nothing was measured');
      rows.push(own, other);
      const ratio = own.perCpuSecond / other.perCpuSecond;
      process.stdout.write(
        `${name.padEnd(20)} ${String(count).padStart(3)} connections${at === null ? '' : `, ${String(at)}/s`}: ${own.perCpuSecond.toFixed(0)} to ${other.perCpuSecond.toFixed(0)} a CPU second (${ratio.toFixed(2)}), p99 ${own.p99Ms.toFixed(2)} to ${other.p99Ms.toFixed(2)} ms, ${own.residentMiB.toFixed(0)} to ${other.residentMiB.toFixed(0)} MiB\n`,
      );
    }
  }
} finally {
  for (const peer of Object.values(peers)) await peer.stop();
}
await writeResult('direct', { seconds, rounds, rows });
