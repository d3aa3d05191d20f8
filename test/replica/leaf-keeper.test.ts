import { beforeAll, beforeEach, describe, expect, it } from 'vitest';
import type { LeafChoice, LeafChoiceAtHand } from '../../src/certs/choose-leaf.ts';
import { issueServingCertificate } from '../support/serving-certificate.ts';
import type { ServableLeaf } from '../../src/certs/verify.ts';
import { LeafKeeper, type LeafKeeperOptions, type ServedLeaf } from '../../src/replica/leaf-keeper.ts';
import { RecordingLogger } from '../kube/support/recorder.ts';

let one: ServableLeaf;
let two: ServableLeaf;

async function issue(): Promise<ServableLeaf> {
  const times = { nowMs: Date.UTC(2026, 0, 2), validityMs: 3_600_000, backdateMs: 0 };
  const { certPem, keyPem } = await issueServingCertificate({ hosts: ['127.0.0.1'], ...times });
  return { chainPem: certPem, keyPem };
}

beforeAll(async () => {
  [one, two] = await Promise.all([issue(), issue()]);
});

/** What the keeper does, in order. */
let done: string[];
let choice: LeafChoice | null;
let logger: RecordingLogger;

const nameOf = (leaf: ServableLeaf | null): string =>
  leaf === null ? 'nothing' : leaf.chainPem === one.chainPem ? 'one' : 'two';

function keep(changed: Partial<LeafKeeperOptions> = {}): LeafKeeper {
  return new LeafKeeper({
    choose: () => choice,
    mint: () => Promise.resolve(two),
    serve: (leaf) => {
      done.push(`serve ${nameOf(leaf)}`);
    },
    withhold: () => {
      done.push('withhold');
    },
    onLooked: (served: ServedLeaf | null, { problem, works }) => {
      done.push(
        `looked at ${nameOf(served)}: ${problem ?? 'ok'}${works && problem !== null ? ', works' : ''}`,
      );
    },
    onReload: () => {
      done.push('reload');
    },
    onFailure: () => {
      done.push('failure');
    },
    logger,
    ...changed,
  });
}

/** Looks, and waits until that is over. */
async function look(keeper: LeafKeeper): Promise<readonly string[]> {
  keeper.look();
  for (let round = 0; round < 20; round += 1) await Promise.resolve();
  return done.splice(0);
}

const inOrder = { problem: null, works: true };

const serve = (leaf: ServableLeaf): LeafChoiceAtHand => ({
  kind: 'serve',
  leaf,
  why: 'a test says so',
  ...inOrder,
});

const mint = (otherwise: LeafChoiceAtHand = { kind: 'nothing', why: 'nothing is left' }): LeafChoice => ({
  kind: 'mint',
  issuer: null as never,
  why: 'nobody renews it',
  otherwise,
});

beforeEach(() => {
  done = [];
  choice = null;
  logger = new RecordingLogger();
});

describe('the keeper of the leaf', () => {
  it('does and tells nothing while too little is known', async () => {
    expect(await look(keep())).toEqual([]);
    expect(logger.lines).toEqual([]);
  });

  it('serves what is chosen, and says which it was', async () => {
    const keeper = keep();
    choice = serve(one);
    expect(await look(keeper)).toEqual(['serve one', 'reload', 'looked at one: ok']);
    expect(keeper.served).toMatchObject({ ...one, notAfterMs: Date.UTC(2026, 0, 2, 1) });
    choice = serve(two);
    expect(await look(keeper)).toEqual(['serve two', 'reload', 'looked at two: ok']);
    expect(logger.lines).toEqual(['info serving certificate loaded', 'info serving certificate replaced']);
  });

  it('mints where that is chosen', async () => {
    const keeper = keep();
    choice = mint();
    expect(await look(keeper)).toEqual(['serve two', 'reload', 'looked at two: ok']);
  });

  it('takes what is left where nothing can be minted, and counts and tells the failure', async () => {
    const keeper = keep({ mint: () => Promise.reject(new Error('the key is of no use')) });
    choice = mint(serve(one));
    expect(await look(keeper)).toEqual(['failure', 'serve one', 'reload', 'looked at one: ok']);
    expect(logger.lines.at(-1)).toBe('error serving certificate not in order');
    expect(logger.fields.at(-1)).toEqual({
      reason: 'no certificate could be issued: the key is of no use',
    });
    choice = mint({ kind: 'nothing', why: 'it has expired' });
    expect(await look(keeper)).toEqual(['failure', 'withhold', 'looked at nothing: it has expired']);
    expect(keeper.served).toBeNull();
    expect(logger.fields.at(-1)).toEqual({
      reason: 'it has expired; no certificate could be issued: the key is of no use',
    });
  });

  it('tells what only some entries refuse, and that it works for the others', async () => {
    const keeper = keep();
    choice = { kind: 'serve', leaf: one, why: '', problem: 'one does not trust it', works: true };
    expect((await look(keeper)).at(-1)).toBe('looked at one: one does not trust it, works');
    expect(logger.lines).toContain('error serving certificate not in order');
  });

  it('withholds what must not be served any more, and serves again what may be', async () => {
    const keeper = keep();
    choice = serve(one);
    await look(keeper);
    choice = { kind: 'nothing', why: 'it has expired' };
    expect(await look(keeper)).toEqual(['withhold', 'looked at nothing: it has expired']);
    expect(keeper.served).toBeNull();
    choice = serve(two);
    expect(await look(keeper)).toEqual(['serve two', 'reload', 'looked at two: ok']);
  });

  it('says what is wrong once, not each second, and again when it is wrong again', async () => {
    const keeper = keep();
    choice = serve(one);
    await look(keeper);
    logger.take();
    const wrong = { kind: 'keep', why: '', problem: 'nobody trusts it', works: false } as const;
    for (const each of [wrong, wrong, { ...wrong, ...inOrder }, wrong]) {
      choice = each;
      await look(keeper);
    }
    expect(logger.take()).toEqual([
      'error serving certificate not in order',
      'error serving certificate not in order',
    ]);
  });

  it('serves on what it served when the new one cannot be, and counts and tells the failure', async () => {
    const keeper = keep({
      serve: (leaf) => {
        if (nameOf(leaf) === 'two') throw new Error('it cannot be used');
      },
    });
    choice = serve(one);
    await look(keeper);
    choice = serve(two);
    expect(await look(keeper)).toEqual(['failure']);
    expect(keeper.served).toMatchObject(one);
    expect(logger.lines).toContain('error serving certificate not in order');
    expect(logger.fields.at(-1)).toEqual({ reason: 'it cannot be used' });
  });

  it('looks again for what has changed during a look', async () => {
    const minted = Promise.withResolvers<ServableLeaf>();
    const keeper = keep({ mint: () => minted.promise });
    choice = mint();
    await look(keeper);
    choice = serve(one);
    keeper.look();
    keeper.look();
    minted.resolve(two);
    expect(await look(keeper)).toEqual([
      ...['serve two', 'reload', 'looked at two: ok'],
      ...['serve one', 'reload', 'looked at one: ok'],
    ]);
  });

  it('hands nothing to the listener once it has stopped', async () => {
    const minted = Promise.withResolvers<ServableLeaf>();
    const keeper = keep({ mint: () => minted.promise });
    choice = mint();
    await look(keeper);
    const stopped = keeper.stop();
    minted.resolve(two);
    await stopped;
    choice = serve(one);
    expect((await look(keeper)).filter((each) => each.startsWith('serve'))).toEqual([]);
  });
});
