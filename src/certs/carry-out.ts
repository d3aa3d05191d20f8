/**
 * The steps of a rotation, carried out on the state: keys are made and certificates signed here, and nothing is written.
 * The caller writes the result with the `resourceVersion` that it read (or as a new object), or drops it.
 */
import { LockwardenError } from '../errors.ts';
import {
  createAuthority,
  crossSign,
  exportKey,
  loadAuthority,
  randomSerial,
  type Authority,
} from './authority.ts';
import type {
  AuthorityState,
  KeyedAuthority,
  NextAuthority,
  RetiredAuthority,
  StoredLeaf,
} from './authority-state.ts';
import { isExpiredAt, isSignedBy, isValidAt, readCertificate, type Certificate } from './certificate.ts';
import { issueLeaf, wholeSeconds } from './leaf.ts';
import { backdateFor, type Lifetimes } from './lifetimes.ts';
import type { SecretAction } from './plan.ts';
import type { ServableLeaf } from './verify.ts';

/** What issuing depends on besides the state. */
export interface IssueTerms {
  /** The API server's time, in Unix milliseconds. */
  readonly nowMs: number;
  /** DNS names and IP addresses that the leaf is for, at least one. */
  readonly hosts: readonly string[];
  readonly lifetimes: Lifetimes;
}

/** What a step depends on besides the state. */
export interface StepTerms extends IssueTerms {
  /** The cluster that the authority is for, to be remembered; left out where it is not known. */
  readonly cluster?: string | null;
}

/** The authority to sign with, and what vouches for it: see `StoredLeaf`. */
export interface Issuer {
  readonly authority: KeyedAuthority;
  readonly crosses: readonly Certificate[];
}

/**
 * The state after `action`. `state` is the one that the plan was made from; null for `create` and `replaceBroken`.
 *
 * @throws LockwardenError `CertificateInvalid` when there is no host, or an action that `state` does not allow
 */
export async function carryOut(
  action: SecretAction,
  state: AuthorityState | null,
  terms: StepTerms,
): Promise<AuthorityState> {
  const after = await carriedOut(action, state, terms);
  return { ...after, cluster: terms.cluster ?? after.cluster };
}

async function carriedOut(
  action: SecretAction,
  state: AuthorityState | null,
  terms: IssueTerms,
): Promise<AuthorityState> {
  if (action.kind === 'create' || action.kind === 'replaceBroken') {
    return startState(action.serveAtOnce, action.token, terms);
  }
  if (state === null) throw outOfStep(action.kind);
  switch (action.kind) {
    case 'prepare':
      return {
        ...state,
        next: await nextAuthority(state.current, terms),
        rotatedFor: action.token ?? state.rotatedFor,
      };
    case 'switch':
      return switched(state, action.token, terms);
    case 'renewLeaf': {
      const { current, leaf } = state;
      if (current === null || leaf === null) throw outOfStep(action.kind);
      const renewed = await storedLeaf(issuerOf(current, leaf.crosses, state.retired, terms.nowMs), terms);
      return { ...state, leaf: renewed, rotatedFor: action.token ?? state.rotatedFor };
    }
    case 'confirm':
      return { ...state, confirmedAtMs: terms.nowMs };
    case 'retire':
      return retire(state, action.authorities, terms.nowMs);
  }
}

/** Issues a leaf that is kept nowhere but in the replica that serves it: what `chooseLeaf` calls `mint`. */
export async function mintLeaf(issuer: Issuer, terms: IssueTerms): Promise<ServableLeaf> {
  const { certificate, crosses, keyPem } = await storedLeaf(issuer, terms);
  return { chainPem: [certificate, ...crosses].map(({ pem }) => pem).join(''), keyPem };
}

async function startState(
  serveAtOnce: boolean,
  token: string | null,
  terms: IssueTerms,
): Promise<AuthorityState> {
  const { nowMs } = terms;
  const next = await nextAuthority(null, terms);
  const start: AuthorityState = {
    createdAtMs: nowMs,
    cluster: null,
    current: null,
    next,
    retired: [],
    leaf: null,
    switchedAtMs: null,
    confirmedAtMs: null,
    rotatedFor: token,
  };
  return serveAtOnce ? switched(start, null, terms) : start;
}

async function nextAuthority(current: KeyedAuthority | null, terms: IssueTerms): Promise<NextAuthority> {
  const { nowMs, lifetimes } = terms;
  const validity = {
    notBeforeMs: wholeSeconds(nowMs - backdateFor(lifetimes.caValidityMs, lifetimes)),
    notAfterMs: wholeSeconds(nowMs + lifetimes.caValidityMs),
  };
  const day = new Date(nowMs).toISOString().slice(0, 10);
  // A name of its own: a verifier that looks for an issuer by name finds the right one first, and people see which it is.
  const name = `lockwarden ${day} ${randomSerial().slice(0, 8)}`;
  const authority = await createAuthority(validity, { name, extractable: true });
  const keyPem = await exportKey(authority.signingKey);
  const vouching = current !== null && isValidAt(current.certificate, nowMs) ? await load(current) : null;
  const cross = vouching === null ? null : certificateFrom(await crossSign(authority, vouching));
  return { certificate: certificateFrom(authority.certificate), keyPem, cross, preparedAtMs: nowMs };
}

async function switched(
  state: AuthorityState,
  token: string | null,
  terms: IssueTerms,
): Promise<AuthorityState> {
  const { nowMs } = terms;
  const { current, next, leaf } = state;
  if (next === null) throw outOfStep('switch');
  const { certificate, keyPem, cross } = next;
  const retired: readonly RetiredAuthority[] =
    current === null
      ? state.retired
      : [{ certificate: current.certificate, retiredAtMs: nowMs }, ...state.retired];
  const alive = retired.filter((each) => !isExpiredAt(each.certificate, nowMs));
  const crosses = [...(cross === null ? [] : [cross]), ...(leaf?.crosses ?? [])];
  const authority = { certificate, keyPem };
  return {
    ...state,
    current: authority,
    next: null,
    retired: alive,
    leaf: await storedLeaf(issuerOf(authority, crosses, alive, nowMs), terms),
    switchedAtMs: nowMs,
    confirmedAtMs: null,
    rotatedFor: token ?? state.rotatedFor,
  };
}

function retire(state: AuthorityState, going: readonly string[], nowMs: number): AuthorityState {
  const retired = state.retired.filter(({ certificate }) => !going.includes(certificate.fingerprint));
  const { leaf } = state;
  const crosses = leaf === null ? [] : stillVouching(leaf.crosses, retired, nowMs);
  return { ...state, retired, leaf: leaf === null ? null : { ...leaf, crosses } };
}

function issuerOf(
  authority: KeyedAuthority,
  crosses: readonly Certificate[],
  retired: readonly RetiredAuthority[],
  nowMs: number,
): Issuer {
  return { authority, crosses: stillVouching(crosses, retired, nowMs) };
}

/** Those cross-signatures that have not expired and whose signer is still trusted. */
function stillVouching(
  crosses: readonly Certificate[],
  retired: readonly RetiredAuthority[],
  nowMs: number,
): readonly Certificate[] {
  return crosses.filter(
    (cross) =>
      !isExpiredAt(cross, nowMs) && retired.some(({ certificate }) => isSignedBy(cross, certificate)),
  );
}

async function storedLeaf({ authority, crosses }: Issuer, terms: IssueTerms): Promise<StoredLeaf> {
  const { nowMs, hosts, lifetimes } = terms;
  const { notBeforeMs, notAfterMs } = authority.certificate;
  const { certPem, keyPem } = await issueLeaf(await load(authority), hosts, {
    notBeforeMs: Math.max(
      notBeforeMs,
      wholeSeconds(nowMs - backdateFor(lifetimes.leafValidityMs, lifetimes)),
    ),
    notAfterMs: Math.min(notAfterMs, wholeSeconds(nowMs + lifetimes.leafValidityMs)),
  });
  return { certificate: certificateFrom(certPem), crosses, keyPem };
}

function load({ certificate, keyPem }: KeyedAuthority): Promise<Authority> {
  return loadAuthority(certificate.pem, keyPem);
}

function certificateFrom(issued: { toString(format: 'pem'): string } | string): Certificate {
  const certificate = readCertificate(typeof issued === 'string' ? issued : issued.toString('pem'));
  if (certificate === null) throw new Error('a certificate that was just issued cannot be read');
  return certificate;
}

function outOfStep(kind: string): LockwardenError {
  return new LockwardenError(
    'CertificateInvalid',
    `the authority is in no state for \`${kind}\`; read it again and plan anew`,
  );
}
