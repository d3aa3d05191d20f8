import { beforeAll, describe, expect, it } from 'vitest';
import { chainOf, type AuthorityState } from '../../src/certs/authority-state.ts';
import { bundleFor } from '../../src/certs/bundle.ts';
import { chooseLeaf, type ChoiceFacts } from '../../src/certs/choose-leaf.ts';
import { hosts, hour, lifetimes, second, stable, step, t0 } from './support/rotation.ts';

/** Both end at the same moment, so that nothing can be minted that lives longer. */
const own = { ...lifetimes, caValidityMs: hour, leafValidityMs: hour, breakGlassMs: 0 };
let state: AuthorityState;
const end = t0 + hour;

beforeAll(async () => {
  state = await stable(t0, own);
});

function choice(nowMs: number, changed: Partial<ChoiceFacts> = {}) {
  const { leaf } = state;
  return chooseLeaf({
    authority: { kind: 'state', state },
    bundles: [bundleFor(state, t0)],
    bundleSinceMs: t0,
    hosts,
    nowMs,
    served: leaf === null ? null : { chainPem: chainOf(leaf), keyPem: leaf.keyPem },
    lifetimes: own,
    ...changed,
  });
}

describe('a leaf near its end', () => {
  it('is served on until three seconds are left', () => {
    expect(choice(end - 4 * second)).toMatchObject({ kind: 'keep', problem: null });
  });

  it.each([3, 1, 0, -1])('is given up with %s s left, because clocks are known to a second or so', (left) => {
    expect(choice(end - left * second)).toMatchObject({
      kind: 'nothing',
      why:
        left > 0
          ? 'the certificate expires within seconds'
          : (expect.stringContaining('expired at') as string),
    });
  });

  it('is not taken up any more', () => {
    expect(choice(end - 2 * second, { served: null })).toMatchObject({ kind: 'nothing' });
  });

  it('is not replaced by one that would end as soon', () => {
    const longer = { ...own, leafValidityMs: 2 * hour };
    expect(choice(end - 3.5 * second, { served: null, lifetimes: longer }).kind).toBe('serve');
    expect(choice(end - 2 * second, { served: null, lifetimes: longer }).kind).toBe('nothing');
  });

  it('is replaced in each replica itself while its authority lives on', async () => {
    const short = { ...own, leafValidityMs: hour / 2, breakGlassMs: second };
    const renewed = await step(await stable(t0, short), 'renewLeaf', t0, { lifetimes: short });
    const found = choice(t0 + hour / 2 - 2 * second, {
      served: null,
      bundles: [bundleFor(renewed, t0)],
      lifetimes: short,
      ...{ authority: { kind: 'state', state: renewed } },
    });
    expect(found.kind).toBe('mint');
  });
});
