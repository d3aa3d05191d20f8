/** Facts, states and one step of a rotation after the other, for tests of the plan. */
import type { AuthorityState } from '../../../src/certs/authority-state.ts';
import { bundleFor } from '../../../src/certs/bundle.ts';
import { carryOut } from '../../../src/certs/carry-out.ts';
import type { AuthorityFacts } from '../../../src/certs/facts.ts';
import { defaultLifetimes, type Lifetimes } from '../../../src/certs/lifetimes.ts';
import { plan, type Action, type SecretAction } from '../../../src/certs/plan.ts';

export const second = 1000;
export const hour = 3600 * second;
export const day = 24 * hour;
export const t0 = Date.UTC(2026, 0, 2, 3, 4, 5);
export const hosts = ['lockwarden.lockwarden-system.svc', '127.0.0.1'];
export const lifetimes: Lifetimes = defaultLifetimes;

/** A secret action of `kind`, with whatever else it needs. */
export function action(kind: SecretAction['kind'], extra: Partial<SecretAction> = {}): SecretAction {
  return {
    writes: 'secret',
    kind,
    why: 'a test wants it',
    token: null,
    serveAtOnce: true,
    authorities: [],
    ...extra,
  };
}

export function step(
  state: AuthorityState | null,
  kind: SecretAction['kind'],
  nowMs: number,
  extra: Partial<SecretAction> & {
    readonly lifetimes?: Lifetimes;
    readonly hosts?: readonly string[];
    readonly cluster?: string | null;
  } = {},
): Promise<AuthorityState> {
  const { lifetimes: own = lifetimes, hosts: called = hosts, cluster = null, ...rest } = extra;
  return carryOut(action(kind, rest), state, { nowMs, hosts: called, lifetimes: own, cluster });
}

/** A sound state that was confirmed on the spot. */
export async function stable(nowMs = t0, own = lifetimes): Promise<AuthorityState> {
  const created = await step(null, 'create', nowMs, { lifetimes: own });
  return step(created, 'confirm', nowMs, { lifetimes: own });
}

/** Facts in which `state` is published for ages and served by all of three replicas, unless `changed` says otherwise. */
export function factsOf(
  state: AuthorityState,
  nowMs: number,
  changed: Partial<AuthorityFacts> = {},
): AuthorityFacts {
  const servesLeaf = state.leaf?.certificate.fingerprint ?? null;
  const bundle = bundleFor(state, nowMs);
  return {
    nowMs,
    authority: { kind: 'state', state },
    bundles: [bundle, bundle],
    bundleSinceMs: nowMs - hour,
    replicas: ['a', 'b', 'c'].map((name) => ({ name, servesLeaf })),
    hosts,
    request: null,
    ...changed,
  };
}

/** The kinds of action planned, in their order. */
export function kinds(facts: AuthorityFacts, own = lifetimes): readonly Action['kind'][] {
  return plan(facts, own).actions.map(({ kind }) => kind);
}
