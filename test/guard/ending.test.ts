/** In which order a guard ends, and what happens when something does not. */
import { setTimeout as sleep } from 'node:timers/promises';
import { describe, expect, it } from 'vitest';
import type { ServeConfig } from '../../src/config.ts';
import { Ending, type EndingParts } from '../../src/guard/ending.ts';
import { KubeError } from '../../src/kube/errors.ts';

type Election = ServeConfig['election'];

const among = {} as Election;
const never = new Promise<never>(() => undefined);

/** Parts that write down what they are told, and end at once. */
function scene(own: { readonly isLast?: boolean; readonly parts?: Partial<EndingParts> } = {}) {
  const told: string[] = [];
  const tell =
    <T>(what: string, answer: T) =>
    (): Promise<T> => {
      told.push(what);
      return Promise.resolve(answer);
    };
  const parts: EndingParts = {
    canary: { stop: tell('canary stops', undefined) },
    guardLease: {
      stop: tell('guard Lease stops', undefined),
      empty: tell('guard Lease is emptied', undefined),
    },
    hasBegun: () => true,
    replica: {
      leave: tell('replica leaves', own.isLast ?? true),
      resign: tell('replica resigns', undefined),
      unregister: tell('configuration is removed', undefined),
      stop: tell('replica stops', undefined),
    },
    switchKeeper: { remove: tell('switch is removed', undefined) },
    edge: { drain: tell('edge drains', undefined) },
    readApi: { close: tell('read API closes', undefined) },
    reviews: {
      stop: () => {
        told.push('reviews stop');
      },
    },
    others: [{ stop: tell('others stop', undefined) }],
    log: {
      error: ((fields: { reason: string }, message: string) => {
        told.push(`${message}: ${fields.reason}`);
      }) as EndingParts['log']['error'],
    },
    ...own.parts,
  };
  const end = (election: Election, shutdownGraceMs = 10_000): Ending =>
    new Ending({ election, shutdownGraceMs }, parts);
  return { told, end, parts };
}

describe('the end of a guard', () => {
  it('that is alone: the switch is awake before the registration goes, and that before nobody answers', async () => {
    const { told, end } = scene();
    await end(null).run();
    expect(told).toEqual([
      ...['read API closes', 'canary stops'],
      ...['guard Lease stops', 'replica leaves', 'guard Lease is emptied'],
      ...['replica resigns', 'configuration is removed', 'switch is removed', 'edge drains'],
      ...['reviews stop', 'replica stops', 'others stop'],
    ]);
  });

  it('of one among several hands over while it still answers, and leaves the registration', async () => {
    const { parts, told, end } = scene({ isLast: false });
    const drained = Promise.withResolvers<undefined>();
    Object.assign(parts, { edge: { drain: () => drained.promise } });
    const running = end(among).run();
    await sleep(20);
    expect(told).toEqual([
      ...['read API closes', 'canary stops', 'guard Lease stops', 'replica resigns', 'replica leaves'],
    ]);
    drained.resolve(undefined);
    await running;
    // What was folded is told after the last answer.
    expect(told.slice(5)).toEqual(['reviews stop', 'replica stops', 'others stop']);
  });

  it('of one that is alone waits until it leads no more before it removes anything', async () => {
    const { parts, told, end } = scene();
    const resigned = Promise.withResolvers<undefined>();
    Object.assign(parts, { replica: { ...parts.replica, resign: () => resigned.promise } });
    const running = end(null).run();
    await sleep(20);
    expect(told.at(-1)).toBe('guard Lease is emptied');
    resigned.resolve(undefined);
    await running;
    expect(told.at(-1)).toBe('others stop');
  });

  it('does not hang where nobody says who else is there: the guard Lease runs out by itself', async () => {
    const { parts, told, end } = scene();
    const leave = (signal: AbortSignal): Promise<boolean> =>
      new Promise((resolve) => {
        signal.addEventListener('abort', () => {
          resolve(false);
        });
      });
    Object.assign(parts, { replica: { ...parts.replica, leave } });
    await end(null).run();
    expect(told).not.toContain('guard Lease is emptied');
    expect(told).toContain('configuration is removed');
  });

  it('without a guard Lease wakes nobody', async () => {
    const { told, end } = scene({ parts: { guardLease: null } });
    await end(null).run();
    expect(told).not.toContain('replica leaves');
    expect(told.at(-1)).toBe('others stop');
  });

  it('of one that has never begun wakes nobody', async () => {
    const { told, end } = scene({ parts: { hasBegun: () => false } });
    await end(null).run();
    expect(told.filter((each) => each.startsWith('guard Lease'))).toEqual([]);
    expect(told).not.toContain('replica leaves');
  });

  it('says what is left behind, and ends all the same', async () => {
    const fails = (): Promise<never> => Promise.reject(new KubeError('forbidden', 'no right'));
    const { parts, told, end } = scene();
    const { replica } = parts;
    Object.assign(parts, { replica: { ...replica, unregister: fails }, switchKeeper: { remove: fails } });
    await end(null).run();
    expect(told).toContain('webhook configuration not removed: no right');
    expect(told).toContain('switch not removed: no right');
    expect(told.at(-1)).toBe('others stop');
  });

  it('drains for no longer than the grace period, and goes by whether somebody may still be sent here', async () => {
    const times: unknown[] = [];
    const edge: EndingParts['edge'] = {
      drain: (each) => {
        times.push(each);
        return Promise.resolve();
      },
    };
    const { end } = scene({ parts: { edge } });
    for (const election of [null, among]) for (const ms of [100, 60_000]) await end(election, ms).run();
    expect(times).toEqual([
      { settleMs: 100, graceMs: 100 },
      { settleMs: 200, graceMs: 60_000 },
      { settleMs: 100, graceMs: 100 },
      { settleMs: 5_000, graceMs: 60_000 },
    ]);
  });

  it('does not wait for what hangs: not after the grace period of a replica, nor after a second signal', async () => {
    const { end } = scene({ parts: { canary: { stop: () => never } } });
    await end(among, 10).run();
    const alone = end(null, 10);
    let isOver = false;
    const running = alone.run().then(() => {
      isOver = true;
    });
    // One that is alone has its registration to remove, for as long as that takes.
    await sleep(1_200);
    expect(isOver).toBe(false);
    alone.hurry();
    await running;
  });

  it('gives up the call that is under way when it is hurried', async () => {
    const { parts, told, end } = scene();
    const hangs = (signal: AbortSignal): Promise<void> =>
      new Promise((_resolve, reject) => {
        signal.addEventListener('abort', () => {
          reject(new KubeError('aborted', 'given up'));
        });
      });
    Object.assign(parts, { replica: { ...parts.replica, unregister: hangs } });
    const ending = end(null);
    const running = ending.run();
    await sleep(20);
    ending.hurry();
    await running;
    expect(told).toContain('webhook configuration not removed: given up');
    expect(told.filter((each) => each === 'edge drains')).toHaveLength(2);
  });
});
