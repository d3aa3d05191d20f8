import { beforeAll, describe, expect, it } from 'vitest';

import { secretData, type AuthorityState } from '../../src/certs/authority-state.ts';
import { bundleFor } from '../../src/certs/bundle.ts';
import type { Answer, ClusterAnswers } from '../../src/certs-report/cluster.ts';
import { factsOf } from '../../src/certs-report/facts.ts';
import { justAsked, progressOf } from '../../src/certs-report/rotation.ts';
import { statusOf } from '../../src/certs-report/status.ts';
import { renderCerts } from '../../src/cli/certs-table.ts';
import type { JsonObject } from '../../src/kube/json.ts';
import { day, hour, hosts, second, stable, step, t0 } from '../certs/support/rotation.ts';

const nowMs = t0 + hour;
let state: AuthorityState;
let prepared: AuthorityState;
let switched: AuthorityState;

beforeAll(async () => {
  state = await stable();
  prepared = await step(state, 'prepare', nowMs - 60 * second, { token: 'T' });
  switched = await step(prepared, 'switch', nowMs - 30 * second);
});

const found = (object: JsonObject): Answer => ({ kind: 'found', object });
const missing: Answer = { kind: 'missing' };
const leafOf = ({ leaf }: AuthorityState): string => leaf?.certificate.fingerprint ?? '';

function secretOf(held: AuthorityState, rotate?: string): Answer {
  const annotations = rotate === undefined ? {} : { 'lockwarden.dev/rotate': rotate };
  const managedFields = [{ manager: 'lockwarden', time: new Date(nowMs - 10 * 60 * second).toISOString() }];
  return found({ data: secretData(held), metadata: { annotations, managedFields } });
}

function configurationOf(...bundles: readonly string[]): Answer {
  const webhooks = bundles.map((bundle, index) => ({
    name: `entry-${String(index)}`,
    clientConfig: {
      service: { name: 'lockwarden', namespace: 'lockwarden-system' },
      caBundle: Buffer.from(bundle).toString('base64'),
    },
  }));
  return found({ webhooks });
}

interface Told {
  readonly servesLeaf?: string | null;
  readonly agoMs?: number;
  readonly hesitates?: string;
  readonly plan?: object;
  readonly brought?: string;
}

function replicasOf(told: Readonly<Record<string, Told>>): Answer {
  const lines = Object.entries(told).map(([name, { servesLeaf = leafOf(state), agoMs = 0, ...rest }]) => {
    const line = {
      servesLeaf,
      leafNotAfterMs: t0 + 30 * day,
      version: '0.1.0',
      saidAtMs: nowMs - agoMs,
      ...rest,
    };
    return [name, JSON.stringify(line)] as const;
  });
  return found({ data: Object.fromEntries(lines) });
}

function leaseOf(holderIdentity: string, agoMs = second): Answer {
  const renewTime = new Date(nowMs - agoMs).toISOString();
  return found({ spec: { holderIdentity, leaseDurationSeconds: 15, renewTime } });
}

/** A cluster in which all is in order, but for what is changed. */
function answers(changed: Partial<ClusterAnswers> = {}): ClusterAnswers {
  const bundle = bundleFor(state, nowMs);
  return {
    namespace: 'lockwarden-system',
    nowMs,
    namespaceExists: true,
    configuration: configurationOf(bundle, bundle),
    secret: secretOf(state),
    replicas: replicasOf({
      a: {
        plan: { phase: 'Stable', next: { what: 'renewLeaf', atMs: t0 + 20 * day, why: 'it is due then' } },
      },
      b: {},
    }),
    lease: leaseOf('a_uid'),
    ...changed,
  };
}

const status = (changed: Partial<ClusterAnswers> = {}) => statusOf(factsOf(answers(changed)));

describe('the state of certificates', () => {
  it('is in order where everybody trusts, serves and leads as they should', () => {
    const { ok, findings, leader, rotation, entries, replicas, leaf } = status();
    expect({ ok, findings }).toEqual({ ok: true, findings: [] });
    expect(leader).toMatchObject({ replica: 'a', leads: true });
    expect(rotation).toMatchObject({
      phase: 'Stable',
      asked: null,
      next: { what: 'renewLeaf', saidBy: 'a', old: false },
    });
    expect(leaf?.hosts).toEqual(hosts);
    expect(entries?.map(({ trusts, lacks }) => [trusts.map(({ role }) => role), lacks])).toEqual([
      [['current'], []],
      [['current'], []],
    ]);
    expect(replicas?.map(({ name, isInSecret, lives, leads }) => [name, isInSecret, lives, leads])).toEqual([
      ['a', true, true, true],
      ['b', true, true, false],
    ]);
  });

  it.each<[string, () => Partial<ClusterAnswers>, RegExp]>([
    [
      'the namespace',
      () => ({ namespaceExists: false, secret: missing, replicas: missing, lease: missing }),
      /namespace `lockwarden-system` does not exist/,
    ],
    [
      'any trace',
      () => ({ secret: missing, replicas: missing, lease: missing }),
      /no replica of lockwarden has ever run/,
    ],
    [
      'a configuration',
      () => ({ configuration: missing }),
      /does not exist or has no entries, so nothing is guarded/,
    ],
    [
      'trust',
      () => ({ configuration: configurationOf('', bundleFor(state, nowMs)) }),
      /`entry-0` trusts no authority that is valid/,
    ],
    [
      'the Secret',
      () => ({ secret: missing }),
      /`secret\/lockwarden-certs` in `lockwarden-system` does not exist/,
    ],
    ['a sound Secret', () => ({ secret: found({ data: { 'ca.crt': 'eA==' } }) }), /cannot be used \(/],
    [
      'rights on it',
      () => ({ secret: { kind: 'refused', why: '`u` may not get secrets' } }),
      /^`u` may not get secrets$/,
    ],
    [
      'a leader',
      () => ({ lease: leaseOf('a_uid', 60 * second) }),
      /nobody leads: `a_uid` has not renewed .* for 1m/,
    ],
    ['a leader ever', () => ({ lease: missing }), /nobody leads: nobody holds/],
    [
      'replicas',
      () => ({ replicas: replicasOf({ a: { agoMs: 120 * second } }) }),
      /no replica has told of itself .* for 2m/,
    ],
    [
      'a leaf at one of them',
      () => ({ replicas: replicasOf({ a: {}, b: { servesLeaf: null, hesitates: 'no way' } }) }),
      /`b` serves nothing: no way/,
    ],
    [
      'the right leaf at one of them',
      () => ({ replicas: replicasOf({ a: {}, b: { servesLeaf: 'ff'.repeat(32) } }) }),
      /`b` serves the leaf ffffffffffffffff and not/,
    ],
    [
      'acceptance',
      () => ({ replicas: replicasOf({ a: { hesitates: 'nobody vouches' }, b: {} }) }),
      /`a` serves a leaf that API servers refuse: nobody vouches/,
    ],
    [
      'a step',
      () => ({
        replicas: replicasOf({
          a: {
            plan: {
              phase: 'Stable',
              next: { what: 'prepare', atMs: nowMs - 120 * second, why: 'it is due' },
            },
          },
        }),
      }),
      /`prepare` has been due for 2m \(it is due\)/,
    ],
    [
      'a leaf that is valid',
      () => ({ nowMs: t0 + 31 * day }),
      /the leaf in the Secret cannot be served.*: the certificate expired/,
    ],
  ])('says what lacks %s, in a sentence with a way out', (_, changed, finding) => {
    const { ok, findings } = status(changed());
    expect(ok).toBe(false);
    expect(findings).toContainEqual(expect.stringMatching(finding));
  });

  it('makes nothing of a rotation that is under way', () => {
    const bundle = bundleFor(switched, nowMs);
    const midway = status({
      secret: secretOf(switched),
      configuration: configurationOf(bundle, bundle),
      replicas: replicasOf({ a: { servesLeaf: leafOf(switched) }, b: {} }),
    });
    expect(midway.findings).toEqual([]);
    expect(midway.rotation.phase).toBe('Switched');
    expect(midway.authorities?.map(({ role }) => role)).toEqual(['current', 'retired']);
  });

  it('knows that a certificate is brought by somebody else', () => {
    const brought = status({
      secret: missing,
      replicas: replicasOf({ a: { brought: 'secret/lockwarden-tls' } }),
    });
    expect(brought).toMatchObject({ source: 'secret/lockwarden-tls', rotation: { phase: null } });
    expect(brought.findings).toEqual([]);
  });
});

describe('how it is printed', () => {
  it('as a table that fits what is in it, coloured only where it may be', () => {
    const table = renderCerts(status(), { format: 'table', colour: false });
    expect(table).toContain('lockwarden-system at 2026-01-02T04:04:05Z: all is in order.');
    expect(table).toContain('Leader: a; renewed 1s ago.');
    expect(table).toMatch(/Next: renewLeaf in 19d 23h .*: it is due then; said by a 0s ago\./);
    expect(table).toMatch(/^WEBHOOK ENTRY +TRUSTS +AS +VALID UNTIL +ALL IT NEEDS$/m);
    expect(table).not.toContain('\\u001b');
    expect(renderCerts(status(), { format: 'table', colour: true })).toContain('\u001b[32m');
  });

  it('as JSON and YAML that say the same', () => {
    const json = JSON.parse(renderCerts(status(), { format: 'json', colour: true })) as object;
    expect(json).toEqual(JSON.parse(JSON.stringify(status())));
    expect(renderCerts(status(), { format: 'yaml', colour: false })).toMatch(
      /^namespace: lockwarden-system$/m,
    );
  });

  it('without what a replica may have smuggled into its line', () => {
    const table = renderCerts(
      status({ replicas: replicasOf({ a: { hesitates: '\u001b[2Jgone\nnext line' } }) }),
      { format: 'table', colour: false },
    );
    expect(table).not.toContain('\u001b');
    expect(table).not.toMatch(/^next line/m);
  });
});

describe('a rotation that was asked for', () => {
  const request = { what: 'authority', token: 'T' } as const;
  const facts = (held: AuthorityState, bundles: readonly string[], serves: readonly string[]) =>
    factsOf(
      answers({
        secret: secretOf(held, 'authority:T'),
        configuration: configurationOf(...bundles),
        replicas: replicasOf(
          Object.fromEntries(serves.map((servesLeaf, i) => ['ab'[i] ?? '', { servesLeaf }])),
        ),
      }),
    );

  it('is told step by step, whichever of them was seen', async () => {
    const old = leafOf(state);
    const wide = bundleFor(prepared, nowMs);
    const confirmed = await step(switched, 'confirm', nowMs);
    const looks = [
      facts(state, [bundleFor(state, nowMs)], [old, old]),
      facts(prepared, [bundleFor(state, nowMs)], [old, old]),
      facts(prepared, [wide], [old, old]),
      facts(switched, [wide], [leafOf(switched), old]),
      facts(confirmed, [wide], [leafOf(confirmed), leafOf(confirmed)]),
    ];
    let progress = justAsked;
    const told = looks.map((each) => {
      progress = progressOf(request, each, progress);
      return [progress.done.map(({ kind }) => kind).join(' '), progress.outcome];
    });
    expect(told).toEqual([
      ['', 'waiting'],
      ['prepared', 'waiting'],
      ['prepared published', 'waiting'],
      ['prepared published switched', 'waiting'],
      ['prepared published switched confirmed', 'confirmed'],
    ]);
    expect(progressOf(request, looks[3]!, justAsked).waitsFor).toMatch(/b/);
  });

  it('is replaced by a later request, and says so', () => {
    const later = factsOf(answers({ secret: secretOf(state, 'leaf:another') }));
    expect(progressOf(request, later, justAsked).outcome).toBe('replaced');
  });
});
