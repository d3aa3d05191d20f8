/**
 * Under stress, in three parts:
 *
 *   webhook      lockwarden's edge by itself, and a webhook of controller-runtime that allows everything beside it, in turns: what takeovers
 *                and renewals of many clients take in the quiet, while one client has up to 2,000 takeovers a second refused, and while
 *                objects of 1 MiB come in; and how late lockwarden's event loop is meanwhile
 *   memory       what lockwarden holds at rest, at most in each of those, with as many of those objects as it can answer, and after
 *   api-server   through an embedded API server, which `lockwarden serve` is registered with: renewals, which lockwarden is not asked
 *                about, and takeovers, in the quiet, beside a client that lockwarden refuses, and beside one that a policy in the API
 *                server itself refuses
 *
 * lockwarden has the memory that it has in a cluster: the image's flags and variables, and the heap that Node allows itself within the limit of
 * manifests/base. LIMIT: without that limit itself, so what exceeds it is seen and not killed.
 *
 *   node bench/stress.ts [--only PART]... [--rounds 4] [--seconds 5] [--attacker 500,1000,2000] [--large 20] [--others 100] [--rest 20]
 *                        [--refused 300]
 *
 * The load comes from the same machine, so what the other webhook suffers is what the machine's part is.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { parseArgs } from 'node:util';

import { startWatchedLockwarden } from './support/peer.ts';
import { memoryLimitMiB, productionFlags } from './support/production.ts';
import { writeResult } from './support/result.ts';
import { stressApiServer } from './support/stress-api-server.ts';
import { Levels, stressMemory } from './support/stress-memory.ts';
import { stressWebhook } from './support/stress-webhook.ts';

const parts = ['webhook', 'memory', 'api-server'] as const;
const { values: flags } = parseArgs({
  options: {
    only: { type: 'string', multiple: true, default: [...parts] },
    rounds: { type: 'string', default: '4' },
    seconds: { type: 'string', default: '5' },
    attacker: { type: 'string', default: '500,1000,2000' },
    large: { type: 'string', default: '20' },
    others: { type: 'string', default: '100' },
    rest: { type: 'string', default: '20' },
    refused: { type: 'string', default: '300' },
  },
});
const [rounds, seconds] = [Number(flags.rounds), Number(flags.seconds)];
const rates = {
  ...{ others: Number(flags.others), large: Number(flags.large) },
  attacker: flags.attacker.split(',').map(Number),
};

const result: Record<string, unknown> = { rounds, seconds, rates };
if (flags.only.includes('webhook') || flags.only.includes('memory')) {
  const lockwarden = await startWatchedLockwarden();
  try {
    const levels = new Levels(lockwarden);
    await sleep(2_000);
    await levels.take('at rest, before anything');
    if (flags.only.includes('webhook')) {
      result['webhook'] = await stressWebhook(lockwarden, { rounds, seconds, rates });
      await levels.take('after all of those');
    }
    if (flags.only.includes('memory')) {
      await stressMemory(lockwarden, levels, { seconds: 2 * seconds, restSeconds: Number(flags.rest) });
      result['memory'] = { flags: productionFlags(), limitMiB: memoryLimitMiB(), levels: levels.taken };
    }
  } finally {
    await lockwarden.stop();
  }
}
if (flags.only.includes('api-server'))
  result['apiServer'] = await stressApiServer({ rounds, seconds, rate: Number(flags.refused) });
await writeResult('stress', result);
