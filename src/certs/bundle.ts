/**
 * The bundle: which authorities API servers are told to trust (`caBundle`).
 *
 * INVARIANT: there is one function that computes it. Where two writers each have their own idea of the bundle, one
 * erases the authority that the other has just published.
 */
import { isExpiredAt, readCertificate, certificateBlocks, type Certificate } from './certificate.ts';
import type { AuthorityState } from './authority-state.ts';

/** LIMIT: what others have put into an entry is kept while it may be needed; a rotation leaves one or two behind. */
const strangersMax = 16;
/** LIMIT: the API server takes objects up to some 1.5 MB; a bundle of more than a thousand certificates is none. */
const blocksMax = 1024;

/**
 * What has to be trusted for `state`: the authority in use, the one that is prepared, and those that retired but still
 * have a while to go; none that has expired. Always in this order, each once; empty when everything has expired.
 */
export function bundleFor(state: AuthorityState, nowMs: number): string {
  return joined(
    [
      ...[state.current, state.next].flatMap((each) => (each === null ? [] : [each.certificate])),
      ...state.retired.map(({ certificate }) => certificate),
    ].filter((each) => !isExpiredAt(each, nowMs)),
  );
}

/**
 * `needed`, and whatever else the entries `observed` already trust that has not expired: a bundle that takes trust away
 * from nobody, so that any replica may write it at any time. Only the plan's `narrow` takes trust away.
 */
export function widened(needed: string, observed: readonly string[], nowMs: number): string {
  const own = splitBundle(needed);
  return joined([...own, ...strangers(needed, observed, nowMs).slice(0, strangersMax)]);
}

/**
 * The same, as it stands already where some entry has it: the order of a bundle means nothing, and to write another one
 * would only make every wait for API servers begin anew.
 */
export function kept(needed: string, observed: readonly string[], nowMs: number): string {
  const wide = widened(needed, observed, nowMs);
  const count = splitBundle(wide).length;
  return observed.find((each) => trustsAll(each, wide) && splitBundle(each).length === count) ?? wide;
}

/** What entries trust beyond `needed` and that has not expired at `nowMs`. */
export function strangers(
  needed: string,
  observed: readonly string[],
  nowMs: number,
): readonly Certificate[] {
  const own = new Set(splitBundle(needed).map(({ fingerprint }) => fingerprint));
  return distinct(observed.flatMap(splitBundle)).filter(
    (each) => !own.has(each.fingerprint) && !isExpiredAt(each, nowMs),
  );
}

/** The certificates in a bundle, each once. What cannot be read is left out: no API server trusts by it either. */
export function splitBundle(pem: string): readonly Certificate[] {
  const blocks = certificateBlocks(pem).slice(0, blocksMax);
  return distinct(blocks.map(readCertificate).filter((each) => each !== null));
}

/** Whether `observedPem` trusts every authority in `neededPem`, whatever else it trusts. */
export function trustsAll(observedPem: string, neededPem: string): boolean {
  const trusted = new Set(splitBundle(observedPem).map(({ fingerprint }) => fingerprint));
  return splitBundle(neededPem).every(({ fingerprint }) => trusted.has(fingerprint));
}

function joined(certificates: readonly Certificate[]): string {
  return distinct(certificates)
    .map(({ pem }) => pem)
    .join('');
}

function distinct(certificates: readonly Certificate[]): readonly Certificate[] {
  return [...new Map(certificates.map((each) => [each.fingerprint, each])).values()];
}
