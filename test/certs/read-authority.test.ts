import { createPrivateKey } from 'node:crypto';
import fc from 'fast-check';
import { beforeAll, describe, expect, it } from 'vitest';
import { secretData, secretKeys, type AuthorityState } from '../../src/certs/authority-state.ts';
import { readAuthority } from '../../src/certs/read-authority.ts';
import { day, hour, stable, step, t0 } from './support/rotation.ts';

type Data = Record<string, string>;

let data: Data;
let other: Data;
/** With everything that a state can have. */
let full: AuthorityState;

beforeAll(async () => {
  const first = await stable();
  const second = await step(await step(first, 'prepare', t0), 'switch', t0);
  full = await step(await step(second, 'confirm', t0), 'prepare', t0, { token: 'asked' });
  data = secretData(full);
  other = secretData(await step(await stable(), 'prepare', t0));
});

const encode = (text: string): string => Buffer.from(text).toString('base64');
const decode = (key: string): string => Buffer.from(data[key] ?? '', 'base64').toString();
const without = (...keys: readonly string[]): Data =>
  Object.fromEntries(Object.entries(data).filter(([key]) => !keys.includes(key)));
/** The same key as OpenSSL's older tools write it. */
const asSec1 = (keyPem: string): string => createPrivateKey(keyPem).export({ type: 'sec1', format: 'pem' });
/** `data` with `key` cut to half. */
const cut = (key: string): Data => {
  const text = decode(key);
  return { ...data, [key]: encode(text.slice(0, text.length / 2)) };
};
const instants = (changed: object): Data => ({
  ...data,
  'state.json': encode(JSON.stringify({ ...(JSON.parse(decode('state.json')) as object), ...changed })),
});
const inAnHour = new Date(t0 + hour).toISOString();

describe('a Secret', () => {
  it('keeps everything there is, under names that people know', () => {
    expect(Object.keys(data).sort()).toEqual(Object.values(secretKeys).sort());
    expect(full.rotatedFor).toBe('asked');
    expect(readAuthority(data, t0)).toEqual({ kind: 'state', state: full });
  });

  it.each([null, undefined, {}, { 'somebody-elses': 'eA==' }])(
    '%j is missing: there is nothing of ours in it',
    (each) => {
      expect(readAuthority(each, t0)).toEqual({ kind: 'missing' });
    },
  );

  it('that has expired is a state all the same: the plan knows what to do', () => {
    expect(readAuthority(data, t0 + 3000 * day)).toEqual({ kind: 'state', state: full });
  });

  it('that another API server wrote, whose clock is a little ahead, is a state', () => {
    expect(readAuthority(data, t0 - 60_000)).toEqual({ kind: 'state', state: full });
  });

  const broken: readonly (readonly [string, () => unknown, string | RegExp])[] = [
    ['is no object', () => 'data', 'its data is not an object'],
    ['is not base64', () => ({ ...data, 'tls.key': '***' }), '`tls.key` is not base64'],
    ['holds something else than text', () => ({ ...data, 'tls.key': 7 }), '`tls.key` is not base64'],
    [
      'is bloated',
      () => ({ ...data, 'tls.crt': 'A'.repeat(70_000) }),
      '`tls.crt` is longer than 65536 bytes',
    ],
    [
      'has lost its authority',
      () => without('ca.crt', 'ca.key', 'next-ca.crt', 'next-ca.key', 'tls.crt', 'tls.key'),
      '`ca.crt` is missing',
    ],
    ['has lost its authority but not its leaf', () => without('ca.crt', 'ca.key'), '`ca.crt` is missing'],
    ...['ca.crt', 'ca.key', 'tls.crt', 'tls.key', 'next-ca.crt', 'next-ca.key', 'state.json'].map(
      (key) => [`has lost ${key}`, () => without(key), `\`${key}\` is missing`] as const,
    ),
    ...Object.values(secretKeys).map(
      (key) => [`has ${key} cut short`, () => cut(key), new RegExp(`^\`${key}\` is cut short or `)] as const,
    ),
    [
      'has the key of another authority',
      () => ({ ...data, 'ca.key': other['ca.key'] }),
      '`ca.key` is not the key of `ca.crt`',
    ],
    ...['ca.key', 'next-ca.key'].map(
      (key) =>
        [
          `has ${key} in a form that signs nothing`,
          () => ({ ...data, [key]: encode(asSec1(decode(key))) }),
          `\`${key}\` is not a P-256 key in PKCS #8`,
        ] as const,
    ),
    [
      'has the key of another leaf',
      () => ({ ...data, 'tls.key': other['tls.key'] }),
      '`tls.key` is not the key of `tls.crt`',
    ],
    [
      'has the leaf of another authority',
      () => ({ ...data, 'tls.key': other['tls.key'], 'tls.crt': other['tls.crt'] }),
      '`tls.crt` was not signed by `ca.crt`',
    ],
    [
      'has another authority',
      () => ({ ...data, 'ca.key': other['ca.key'], 'ca.crt': other['ca.crt'] }),
      '`tls.crt` was not signed by `ca.crt`',
    ],
    [
      'has a leaf for an authority',
      () => ({ ...data, 'next-ca.crt': encode(full.leaf?.certificate.pem ?? '') }),
      '`next-ca.crt` is not an authority',
    ],
    [
      'has the cross-signature of another',
      () => ({ ...data, 'next-ca-cross.crt': other['next-ca-cross.crt'] }),
      '`next-ca-cross.crt` is not about `next-ca.crt`',
    ],
    [
      'has a next authority that another one vouches for',
      () => ({ ...data, 'next-ca-cross.crt': data['next-ca.crt'] }),
      '`next-ca-cross.crt` was not signed by `ca.crt`',
    ],
    ['is of another version', () => instants({ version: 2 }), '`state.json` is of another version than 1'],
    [
      'is no JSON object',
      () => ({ ...data, 'state.json': encode('[]') }),
      '`state.json` is not a JSON object',
    ],
    [
      'has no instant of creation',
      () => instants({ created: 'yesterday' }),
      '`state.json` has no instant in `created`',
    ],
    [
      'does not say when it was prepared',
      () => instants({ prepared: null }),
      '`state.json` does not say when `next-ca.crt` was made',
    ],
    [
      'does not say when authorities retired',
      () => instants({ retired: [] }),
      '`state.json` does not say when each of `retired-ca.crt` retired',
    ],
    [
      'has a list of nothing',
      () => instants({ retired: 'x' }),
      '`state.json` has no list of instants in `retired`',
    ],
    [
      'has a token that is none',
      () => instants({ rotatedFor: 'x'.repeat(254) }),
      '`state.json` has no token in `rotatedFor`',
    ],
    ...['created', 'prepared', 'switched', 'confirmed'].map(
      (field) =>
        [
          `was ${field} in the future`,
          () => instants({ [field]: inAnHour }),
          `\`state.json\` says \`${field}\` of ${inAnHour}, which is in the future`,
        ] as const,
    ),
  ];

  it.each(broken)('that %s is broken, and says how', (_, make, why) => {
    const reading = readAuthority(make(), t0);
    expect(reading.kind).toBe('broken');
    expect(reading.kind === 'broken' ? reading.why : '').toMatch(
      why instanceof RegExp ? why : new RegExp(`^${why.replaceAll('.', '\\.')}$`),
    );
  });

  it('with certificates from the future is broken: the clock was set back, or it is not from here', async () => {
    const ahead = secretData(await stable(t0 + 30 * day));
    const moved = {
      ...ahead,
      'state.json': encode(JSON.stringify({ version: 1, created: new Date(t0).toISOString() })),
    };
    expect(readAuthority(moved, t0)).toMatchObject({
      kind: 'broken',
      why: '`ca.crt` is valid only from 2026-02-01T02:04:05.000Z, which is in the future',
    });
  });

  it('never makes the reading throw', () => {
    const value = fc.oneof(
      fc.anything(),
      fc.string().map(encode),
      fc.constantFrom(...Object.values(data)),
      fc.json().map(encode),
    );
    const any = fc.oneof(
      fc.anything(),
      fc.record(Object.fromEntries(Object.values(secretKeys).map((key) => [key, value])), {
        requiredKeys: [],
      }),
      fc
        .tuple(fc.constantFrom(...Object.values(secretKeys)), value)
        .map(([key, each]) => ({ ...data, [key]: each })),
    );
    fc.assert(
      fc.property(any, (each) => {
        const reading = readAuthority(each, t0);
        expect(['missing', 'broken', 'state']).toContain(reading.kind);
      }),
      { numRuns: 300 },
    );
  });
});
