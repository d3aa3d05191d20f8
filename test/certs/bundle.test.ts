import { beforeAll, describe, expect, it } from 'vitest';
import type { AuthorityState } from '../../src/certs/authority-state.ts';
import { bundleFor, kept, splitBundle } from '../../src/certs/bundle.ts';
import { hour, stable, step, t0 } from './support/rotation.ts';

let prepared: AuthorityState;
let switched: AuthorityState;

beforeAll(async () => {
  prepared = await step(await stable(), 'prepare', t0);
  switched = await step(prepared, 'switch', t0 + hour);
});

const fingerprints = (bundle: string): readonly string[] =>
  splitBundle(bundle).map(({ fingerprint }) => fingerprint);

describe('a bundle that is to be kept', () => {
  it('stands as it is when only its order is another', () => {
    const before = bundleFor(prepared, t0);
    const needed = bundleFor(switched, t0 + hour);
    expect(needed).not.toBe(before);
    expect(kept(needed, [before, before], t0 + hour)).toBe(before);
  });

  it('becomes that of one entry where entries differ in their order', () => {
    const [one, other] = [bundleFor(prepared, t0), bundleFor(switched, t0 + hour)];
    expect(kept(other, [one, other], t0 + hour)).toBe(one);
  });

  it('gets what is needed and lacking, and keeps what else is trusted', async () => {
    const stranger = bundleFor(await stable(), t0);
    const needed = bundleFor(switched, t0 + hour);
    expect(fingerprints(kept(needed, [stranger, ''], t0 + hour))).toEqual([
      ...fingerprints(needed),
      ...fingerprints(stranger),
    ]);
  });

  it('loses what has expired', () => {
    const needed = bundleFor(switched, t0 + hour);
    const later = t0 + 365 * 24 * hour + 1;
    const left = bundleFor(switched, later);
    expect(fingerprints(kept(left, [needed], later))).toEqual(fingerprints(left));
  });
});
