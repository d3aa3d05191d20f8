/** From what a cluster says to what it means: entries and their bundles, the authority, the replicas, the leader. Pure. */
import type { AuthorityReading, AuthorityState } from '../certs/authority-state.ts';
import { bundleFor } from '../certs/bundle.ts';
import type { Phase, RotationRequest } from '../certs/facts.ts';
import { phaseOf } from '../certs/plan.ts';
import { readAuthority } from '../certs/read-authority.ts';
import { arrayAt, objectAt, stringAt, type JsonObject } from '../kube/json.ts';
import { bundlesIn } from '../replica/observed-bundle.ts';
import { living, readReplicas, type Replica, type ToldPlan } from '../replica/presence.ts';
import { rotationAsked } from '../replica/secret-store.ts';
import type { Answer, ClusterAnswers } from './cluster.ts';

/** A webhook entry: whom it trusts (PEM), and by which name it calls. */
export interface TrustEntry {
  readonly name: string;
  readonly bundle: string;
  readonly host: string;
}

/** What the election's Lease says. */
export interface Leader {
  /** Null: nobody holds it. */
  readonly identity: string | null;
  /** The replica's name, as it calls itself. */
  readonly replica: string | null;
  /** In Unix milliseconds of the API server; null: never. */
  readonly renewedAtMs: number | null;
  /** Whether it holds the Lease, and has renewed it in time. */
  readonly leads: boolean;
}

/** What is known. Null always means: it could not be read. */
export interface CertsFacts {
  readonly namespace: string;
  readonly namespaceExists: boolean;
  /** The API server's time, in Unix milliseconds. */
  readonly nowMs: number;
  /** Why something could not be read, a line for each. */
  readonly refusals: readonly string[];
  /** Empty: there is no configuration, or it has no entries. */
  readonly entries: readonly TrustEntry[] | null;
  /** Null also where the leaf is brought by somebody else. */
  readonly authority: AuthorityReading | null;
  /** The rotation that somebody has asked for last, honoured or not. */
  readonly asked: RotationRequest | null;
  /** When lockwarden last wrote the Secret. */
  readonly secretWrittenAtMs: number | null;
  readonly replicas: readonly Replica[] | null;
  /** Those of them that live. */
  readonly alive: readonly Replica[];
  readonly leader: Leader | null;
  /** Where the leaf comes from when somebody else brings it. */
  readonly brought: string | null;
  /** What the leader plans; null: it has not said so, or nobody leads. */
  readonly plan: { readonly by: Replica; readonly told: ToldPlan } | null;
}

/** Reads the answers. */
export function factsOf(answers: ClusterAnswers): CertsFacts {
  const { namespace, namespaceExists, nowMs, configuration, secret } = answers;
  const all = [configuration, secret, answers.replicas, answers.lease];
  const replicas = read(answers.replicas, readReplicas);
  const leader = read(answers.lease, (lease) => leaderOf(lease, nowMs));
  const alive = living(replicas ?? [], nowMs);
  const by = replicas?.find(({ name }) => name === leader?.replica);
  const brought = alive.find((each) => each.brought !== undefined)?.brought ?? null;
  return {
    namespace,
    namespaceExists,
    nowMs,
    refusals: [...new Set(all.flatMap((each) => (each.kind === 'refused' ? [each.why] : [])))],
    entries: read(configuration, entriesIn),
    authority:
      brought === null ? read(secret, (object) => readAuthority(objectAt(object, 'data'), nowMs)) : null,
    asked: secret.kind === 'found' ? rotationAsked(secret.object) : null,
    secretWrittenAtMs: secret.kind === 'found' ? writtenAtMs(secret.object) : null,
    replicas,
    alive,
    leader,
    brought,
    plan: leader?.leads === true && by?.plan !== undefined ? { by, told: by.plan } : null,
  };
}

/** The state in the Secret, where there is one that can be read. */
export function stateIn({ authority }: Pick<CertsFacts, 'authority'>): AuthorityState | null {
  return authority?.kind === 'state' ? authority.state : null;
}

/** What has to be trusted, in PEM; empty where that is unknown. */
export function neededBy(facts: CertsFacts): string {
  const state = stateIn(facts);
  return state === null ? '' : bundleFor(state, facts.nowMs);
}

/** Where the rotation stands by what is there, or else by the leader's word; null: there is none to tell of. */
export function phaseIn(facts: CertsFacts): Phase | null {
  const { authority, entries, nowMs, plan, brought } = facts;
  if (brought !== null) return null;
  if (authority?.kind === 'missing') return 'Missing';
  if (authority?.kind === 'broken') return 'Broken';
  if (authority !== null && entries !== null) {
    const bundles = entries.length === 0 ? null : entries.map(({ bundle }) => bundle);
    return phaseOf({ state: authority.state, bundles, nowMs });
  }
  return phases.find((each) => each === plan?.told.phase) ?? null;
}

/** What was asked for and is not honoured yet. */
export function pendingIn(facts: CertsFacts): RotationRequest['what'] | null {
  const state = stateIn(facts);
  if (facts.asked === null || state === null || state.rotatedFor === facts.asked.token) return null;
  return facts.asked.what;
}

const phases: readonly Phase[] = [
  'Missing',
  'Broken',
  'Unpublished',
  'Prepared',
  'Published',
  'Switched',
  'Confirmed',
  'Stable',
];

function read<T>(answer: Answer, take: (object: JsonObject | null) => T): T | null {
  if (answer.kind === 'refused') return null;
  return take(answer.kind === 'found' ? answer.object : null);
}

function entriesIn(configuration: JsonObject | null): readonly TrustEntry[] {
  const bundles = bundlesIn(configuration) ?? [];
  return arrayAt(configuration, 'webhooks').map((entry, index) => ({
    name: stringAt(entry, 'name'),
    bundle: bundles[index] ?? '',
    host: hostOf(objectAt(entry, 'clientConfig')),
  }));
}

/** SOURCE: https://kubernetes.io/docs/reference/access-authn-authz/extensible-admission-controllers/#service-reference */
function hostOf(clientConfig: JsonObject): string {
  const url = stringAt(clientConfig, 'url');
  if (URL.canParse(url)) return new URL(url).hostname.replace(/^\[(.*)\]$/u, '$1');
  const service = objectAt(clientConfig, 'service');
  return `${stringAt(service, 'name')}.${stringAt(service, 'namespace')}.svc`;
}

/** LIMIT: the API server tells the time in whole seconds, and a renewal takes a moment to be written. */
const lateMs = 2_000;

function leaderOf(lease: JsonObject | null, nowMs: number): Leader {
  const spec = objectAt(lease, 'spec');
  const identity = stringAt(spec, 'holderIdentity') || null;
  const renewedAtMs = stampedAtMs(lease, ownsRenewal) ?? instantAt(spec, 'renewTime');
  const duration = spec['leaseDurationSeconds'];
  const durationMs = typeof duration === 'number' ? duration * 1_000 : 0;
  const replica = identity === null ? null : identity.replace(/_[^_]*$/, '');
  const leads = identity !== null && renewedAtMs !== null && nowMs - renewedAtMs <= durationMs + lateMs;
  return { identity, replica, renewedAtMs, leads };
}

/** The newest stamp that the API server itself put on an object for one of its writers. */
function stampedAtMs(object: JsonObject | null, counts: (entry: unknown) => boolean): number | null {
  const stamps = arrayAt(objectAt(object, 'metadata'), 'managedFields')
    .filter(counts)
    .map((entry) => instantAt(entry, 'time') ?? Number.NEGATIVE_INFINITY);
  const newest = Math.max(...stamps);
  return Number.isFinite(newest) ? newest : null;
}

function ownsRenewal(entry: unknown): boolean {
  return 'f:renewTime' in objectAt(objectAt(entry, 'fieldsV1'), 'f:spec');
}

function writtenAtMs(secret: JsonObject): number | null {
  const stamp = stampedAtMs(secret, (entry) => stringAt(entry, 'manager') === 'lockwarden');
  return stamp ?? instantAt(objectAt(secret, 'metadata'), 'creationTimestamp');
}

function instantAt(value: unknown, key: string): number | null {
  const ms = Date.parse(stringAt(value, key));
  return Number.isNaN(ms) ? null : ms;
}
