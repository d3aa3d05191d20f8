/**
 * How what lockwarden needs grows with the number of locks, and of policies: a whole process of it, as the image runs it, on an embedded
 * control plane. By step: from the start of the process until it is ready; memory at rest, and heap once garbage is collected; lawful
 * takeovers, in turns with the same writes that it is not asked about; how long it takes to be in step again after all its
 * connections were cut, and after a crash of the API server. Then, of the most locks: what a watch event costs, and what counting the
 * locks of a policy costs. From these, what a cluster of 5,000 nodes and 100,000 locks would.
 *
 *   node bench/scale.ts [--locks 100,316,1000,3162,10000] [--policies 0,1,10,100,1000] [--policy-locks 1000]
 *                       [--starts 3] [--idle 10] [--takeovers 300] [--events 15]
 *   node bench/scale.ts --draw     draws docs/performance-scale.svg, and calculates, from bench/results/scale.json as it is
 *
 * `--starts`, `--takeovers`: how many a step; `--idle`, `--events`: seconds of rest, and of renewals. A series whose list is empty stays as
 * the run before had it.
 */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { parseArgs } from 'node:util';

import { buildProgram } from '../tools/image/program.ts';
import { root } from '../test/style/tree.ts';
import { program } from './support/replica.ts';
import { writeResult } from './support/result.ts';
import { clusterCost, describeCost, largeCluster } from './support/scale/cost.ts';
import { describeAtMost, describeRow, figuresOf } from './support/scale/figures.ts';
import { Ground } from './support/scale/ground.ts';
import { growPolicies, Locks } from './support/scale/locks.ts';
import { drawPicture } from './support/scale/picture.ts';
import { measureAtMost, measureStep, type AtMost, type Effort, type Row } from './support/scale/steps.ts';

const { values: flags } = parseArgs({
  options: {
    locks: { type: 'string', default: '100,316,1000,3162,10000' },
    policies: { type: 'string', default: '0,1,10,100,1000' },
    'policy-locks': { type: 'string', default: '1000' },
    starts: { type: 'string', default: '3' },
    idle: { type: 'string', default: '10' },
    takeovers: { type: 'string', default: '300' },
    events: { type: 'string', default: '15' },
    draw: { type: 'boolean', default: false },
  },
});
const stepsIn = (list: string): readonly number[] =>
  list
    .split(',')
    .filter((each) => each !== '')
    .map(Number);
const effort: Effort = {
  ...{ starts: Number(flags.starts), idleSeconds: Number(flags.idle) },
  ...{ takeovers: Number(flags.takeovers), eventSeconds: Number(flags.events) },
};
/** LIMIT: as many as are taken over within a second or two, so that few rounds are enough. */
const dueMax = 250;

/** What is kept of a run. */
interface Result {
  readonly locks: readonly Row[];
  readonly policies: readonly Row[];
  /** Null: no series of locks was measured. */
  readonly atMost: AtMost | null;
}

async function onGround<T>(work: (ground: Ground, locks: Locks) => Promise<T>): Promise<T> {
  const ground = await Ground.open();
  try {
    return await work(ground, new Locks(ground.client, dueMax));
  } finally {
    await ground.close();
  }
}

/** Says how a step came out, as soon as it has. */
function told(row: Row): Row {
  process.stdout.write(`${describeRow(row)}\n`);
  return row;
}

function measureLocks(steps: readonly number[]): Promise<Pick<Result, 'locks' | 'atMost'>> {
  return onGround(async (ground, locks) => {
    const rows: Row[] = [];
    let atMost: AtMost | null = null;
    for (const count of steps) {
      await locks.grow(count);
      const [row, more] = await measureStep(ground, locks, 0, effort, {
        restarts: true,
        andThen: (replica, idle) =>
          count === steps.at(-1)
            ? measureAtMost(ground, replica, locks, { busy: idle.busy, seconds: effort.eventSeconds })
            : Promise.resolve(null),
      });
      rows.push(told(row));
      atMost = more;
    }
    return { locks: rows, atMost };
  });
}

function measurePolicies(steps: readonly number[]): Promise<readonly Row[]> {
  return onGround(async (ground, locks) => {
    await locks.grow(Number(flags['policy-locks']));
    const rows: Row[] = [];
    let present = 0;
    for (const count of steps) {
      await growPolicies(ground.client, present, count);
      present = count;
      const [row] = await measureStep(ground, locks, count, effort, {
        restarts: false,
        andThen: () => Promise.resolve(null),
      });
      rows.push(told(row));
    }
    return rows;
  });
}

/** A series that is left out stays as the run before had it. */
async function measure(): Promise<Result> {
  await buildProgram(program);
  const [lockSteps, policySteps] = [stepsIn(flags.locks), stepsIn(flags.policies)];
  const before = lockSteps.length === 0 || policySteps.length === 0 ? await kept() : null;
  const ofLocks = lockSteps.length > 0 ? await measureLocks(lockSteps) : before;
  const ofPolicies = policySteps.length > 0 ? await measurePolicies(policySteps) : before?.policies;
  return { locks: ofLocks?.locks ?? [], atMost: ofLocks?.atMost ?? null, policies: ofPolicies ?? [] };
}

/** What the last run came to; nothing where there was none. */
async function kept(): Promise<Result> {
  const nothing = '{"locks":[],"policies":[],"atMost":null}';
  const text = await readFile(join(root, 'bench/results/scale.json'), 'utf8').catch(() => nothing);
  return JSON.parse(text) as Result;
}

const { locks, policies, atMost } = flags.draw ? await kept() : await measure();
const figures = atMost === null || locks.length < 2 ? null : figuresOf(locks, atMost);
const cost = figures === null ? null : clusterCost(figures, largeCluster);
if (!flags.draw) await writeResult('scale', { effort, locks, policies, atMost, figures, cost });
if (atMost !== null) process.stdout.write(`${describeAtMost(atMost)}\n`);
if (cost !== null) process.stdout.write(`${describeCost(cost).join('\n')}\n`);
process.stdout.write(`${await drawPicture({ locks, policies })}\n`);
