/** What is not in order about a cluster's certificates, each in a sentence that says what to do. Pure. */
import { chainOf, type AuthorityState } from '../certs/authority-state.ts';
import { splitBundle, trustsAll } from '../certs/bundle.ts';
import { isExpiredAt } from '../certs/certificate.ts';
import { whyNotServable } from '../certs/verify.ts';
import { configurationName } from '../kube/webhook-configuration.ts';
import { electionName } from '../replica/leadership.ts';
import { presenceName, type Replica } from '../replica/presence.ts';
import { authoritySecretName } from '../replica/secret-store.ts';
import { phaseIn, stateIn, type CertsFacts, type TrustEntry } from './facts.ts';
import { span } from '../core/span.ts';
import { instant, listed, nameOf, short } from './words.ts';

/** LIMIT: replicas take a new leaf up within a second; a minute is patience with one that is busy or cut off for a moment. */
const catchUpMs = 60_000;
/** LIMIT: a leader tries again every five seconds at most; what is not done a minute later fails each time. */
const overdueMs = 60_000;
/** LIMIT: a switch waits for replicas to be seen with the new leaf, which takes seconds unless one of them cannot. */
const confirmMs = 5 * 60_000;

/** Everything that is not in order; empty: nothing. */
export function findingsIn(facts: CertsFacts): readonly string[] {
  if (!facts.namespaceExists) return [...facts.refusals, noNamespace(facts)];
  if (isSilent(facts)) return [...facts.refusals, nothingThere(facts)];
  return [
    ...facts.refusals,
    ...aboutTrust(facts),
    ...aboutAuthority(facts),
    ...aboutLeader(facts),
    ...aboutReplicas(facts),
    ...aboutRotation(facts),
  ];
}

const alone =
  'one that runs alone (without --leader-elect) keeps its authority in memory, and tells of it in /readyz and /metrics only';

function noNamespace({ namespace }: CertsFacts): string {
  return `the namespace \`${namespace}\` does not exist: give lockwarden’s own with --namespace; ${alone}`;
}

/** Whether no trace of any replica is there. */
function isSilent({ authority, replicas, leader }: CertsFacts): boolean {
  return authority?.kind === 'missing' && replicas?.length === 0 && leader?.identity === null;
}

function nothingThere({ namespace }: CertsFacts): string {
  return `no replica of lockwarden has ever run in the namespace \`${namespace}\`: give lockwarden’s own with --namespace, or start one; ${alone}`;
}

function* aboutTrust(facts: CertsFacts): Generator<string> {
  const { entries, brought, nowMs } = facts;
  if (entries === null) return;
  if (entries.length === 0) {
    yield `the webhook configuration \`${configurationName}\` does not exist or has no entries, so nothing is guarded: where it exists, the leader fills it in once it can serve, and its log says what keeps it; where it does not, apply lockwarden’s manifests again`;
    return;
  }
  const state = stateIn(facts);
  for (const [names, { bundle }] of grouped(entries)) {
    const trusted = splitBundle(bundle).filter((each) => !isExpiredAt(each, nowMs));
    if (trusted.length === 0) {
      yield `${names} trusts no authority that is valid, so every call fails: ${whoMends(brought)}`;
    } else if (state !== null) {
      const lacking = inUse(state, nowMs).filter((each) => !trustsAll(bundle, each.pem));
      if (lacking.length > 0) {
        yield `${names} does not trust ${listed(lacking.map((each) => `\`${nameOf(each)}\``))}, which is in use: ${whoMends(brought)}`;
      }
    }
  }
}

/** Those that a leaf may depend on now. The next one is yet to be published. */
function inUse({ current, retired }: AuthorityState, nowMs: number) {
  const certificates = [...(current === null ? [] : [current]), ...retired].map(
    ({ certificate }) => certificate,
  );
  return certificates.filter((each) => !isExpiredAt(each, nowMs));
}

function whoMends(brought: string | null): string {
  return brought === null
    ? 'the leader mends this within seconds; when it does not, its log says why'
    : `put the authority of the certificate into \`ca.crt\` of ${brought}`;
}

function* aboutAuthority(facts: CertsFacts): Generator<string> {
  const { authority, namespace, nowMs } = facts;
  const secret = `\`secret/${authoritySecretName}\` in \`${namespace}\``;
  if (authority?.kind === 'missing') yield `${secret} does not exist: a replica that leads makes a new one`;
  if (authority?.kind === 'broken')
    yield `${secret} cannot be used (${authority.why}): a replica that leads replaces it`;
  const state = stateIn(facts);
  if (state === null) return;
  const { current, leaf } = state;
  if (leaf === null)
    yield `${secret} has no leaf yet: a replica that leads issues one once every webhook entry trusts its authority`;
  if (current !== null && isExpiredAt(current.certificate, nowMs)) {
    yield `the authority \`${nameOf(current.certificate)}\` expired at ${instant(current.certificate.notAfterMs)}: a replica that leads makes a new one; start one, or see why the leader does not`;
  }
  yield* aboutLeaf(facts, state);
}

/** What API servers would say about the leaf in the Secret. */
function* aboutLeaf({ entries, nowMs }: CertsFacts, { leaf }: AuthorityState): Generator<string> {
  if (leaf === null) return;
  const { keyPem } = leaf;
  const problems = new Map<string, string[]>();
  for (const [names, { bundle, host }] of grouped(entries ?? [])) {
    const question = { chainPem: chainOf(leaf), keyPem, bundlePem: bundle, hosts: [host], nowMs };
    const why = whyNotServable(question);
    if (why !== null) problems.set(why, [...(problems.get(why) ?? []), names]);
  }
  if (isExpiredAt(leaf.certificate, nowMs) && problems.size === 0) {
    problems.set(`the certificate expired at ${instant(leaf.certificate.notAfterMs)}`, []);
  }
  for (const [why, names] of problems) {
    const called = names.length === 0 ? '' : ` when called by ${listed(names)}`;
    yield `the leaf in the Secret cannot be served${called}: ${why}; a replica that leads renews it; start one, or see why the leader does not`;
  }
}

function* aboutLeader({ leader, namespace, nowMs }: CertsFacts): Generator<string> {
  if (leader === null || leader.leads) return;
  const since = leader.renewedAtMs === null ? '' : ` for ${span(nowMs - leader.renewedAtMs)}`;
  const what = leader.identity === null ? 'nobody holds' : `\`${leader.identity}\` has not renewed`;
  yield `nobody leads: ${what} \`lease/${electionName}\` in \`${namespace}\`${since}; certificates are not renewed until a replica takes over, which takes seconds; when none does, see that one runs and may write Leases there`;
}

function* aboutReplicas(facts: CertsFacts): Generator<string> {
  const { alive, replicas, namespace, nowMs } = facts;
  if (replicas === null) return;
  if (alive.length === 0) {
    const last = Math.max(...replicas.map(({ saidAtMs }) => saidAtMs));
    const since = replicas.length === 0 ? '' : ` for ${span(nowMs - last)}`;
    yield `no replica has told of itself in \`configmap/${presenceName}\`${since}, so none serves: see \`kubectl -n ${namespace} get pods\``;
    return;
  }
  for (const replica of alive) {
    const why = whyWrong(replica, facts);
    if (why !== null) yield `the replica \`${replica.name}\` ${why}`;
  }
}

function whyWrong({ servesLeaf, leafNotAfterMs, hesitates }: Replica, facts: CertsFacts): string | null {
  const { nowMs, secretWrittenAtMs } = facts;
  const advice = 'its log says more, and restarting it does no harm';
  if (servesLeaf === null) return `serves nothing: ${hesitates ?? 'it has no certificate yet'}; ${advice}`;
  if (leafNotAfterMs !== null && leafNotAfterMs <= nowMs)
    return `serves a leaf that expired at ${instant(leafNotAfterMs)}; ${advice}`;
  if (hesitates !== null) return `serves a leaf that API servers refuse: ${hesitates}; ${advice}`;
  const leaf = stateIn(facts)?.leaf?.certificate.fingerprint;
  if (leaf === undefined || leaf === servesLeaf || phaseIn(facts) === 'Switched') return null;
  if (secretWrittenAtMs !== null && nowMs - secretWrittenAtMs < catchUpMs) return null;
  return `serves the leaf ${short(servesLeaf)} and not ${short(leaf)}, which is in the Secret; ${advice}`;
}

function* aboutRotation(facts: CertsFacts): Generator<string> {
  const { plan, nowMs, alive } = facts;
  const state = stateIn(facts);
  if (plan !== null) {
    const { what, atMs, why } = plan.told.next;
    if (atMs !== null && nowMs - atMs > overdueMs) {
      yield `the step \`${what}\` has been due for ${span(nowMs - atMs)} (${why}): the log of the leader, \`${plan.by.name}\`, says what keeps it`;
    }
  }
  const switchedAtMs = state?.switchedAtMs ?? null;
  if (switchedAtMs === null || phaseIn(facts) !== 'Switched' || nowMs - switchedAtMs < confirmMs) return;
  const others = alive.filter(({ servesLeaf }) => servesLeaf !== state?.leaf?.certificate.fingerprint);
  if (others.length === 0) return;
  yield `the rotation has waited for ${span(nowMs - switchedAtMs)} for ${listed(others.map(({ name }) => `\`${name}\``))} to serve the new leaf: see their logs, or restart them`;
}

/** One of each that trust and call alike, with the names of all of them. */
function grouped(entries: readonly TrustEntry[]): readonly (readonly [string, TrustEntry])[] {
  const groups = new Map<string, TrustEntry[]>();
  for (const entry of entries) {
    const key = `${entry.host}\n${entry.bundle}`;
    groups.set(key, [...(groups.get(key) ?? []), entry]);
  }
  return [...groups.values()].flatMap((group) => {
    const [first] = group;
    if (first === undefined) return [];
    const names = group.length === entries.length ? 'every webhook entry' : null;
    return [[names ?? `the webhook entry ${listed(group.map(({ name }) => `\`${name}\``))}`, first] as const];
  });
}
