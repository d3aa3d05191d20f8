/**
 * How long certificates live and how patient a rotation is. Everything can be set down to seconds, so that a test sees
 * in a minute what a cluster sees in a year.
 */

/** Durations in milliseconds. */
export interface Lifetimes {
  readonly caValidityMs: number;
  readonly leafValidityMs: number;
  /** Authority and leaf are renewed when less than this part of their life is left; between 0 and 1. */
  readonly renewFraction: number;
  /** How far before its issue a certificate is valid already, for API servers whose clocks are behind. See `backdateFor`. */
  readonly backdateMs: number;
  /** How long every webhook entry must have carried a bundle before a leaf may need it. */
  readonly publishDwellMs: number;
  /** How long an old authority stays trusted after every replica was seen serving under the new one. */
  readonly retireAfterMs: number;
  /** A leaf with less than this left is replaced by each replica itself, in memory, should no leader have done so. */
  readonly breakGlassMs: number;
}

const secondMs = 1000;
const hourMs = 3600 * secondMs;
const dayMs = 24 * hourMs;

export const defaultLifetimes: Lifetimes = {
  // LIMIT: a year, renewed in its ninth month: four months in which a cluster may be unable to write its configuration.
  caValidityMs: 365 * dayMs,
  // LIMIT: a month, renewed in its last ten days: longer than a holiday, shorter than what a stolen key is good for.
  leafValidityMs: 30 * dayMs,
  renewFraction: 1 / 3,
  // LIMIT: clocks in a cluster have been seen hours off only when broken; others in the field take 2 minutes to an hour.
  backdateMs: hourMs,
  // LIMIT: API servers take in a changed configuration through a watch, within a second unless it is just re-made.
  publishDwellMs: 30 * secondMs,
  retireAfterMs: dayMs,
  // LIMIT: nine days without a leader that could write have passed by then, and a working day is left to look into it.
  breakGlassMs: dayMs,
};

/** LIMIT: certificates count in whole seconds; below ten of them rounding would decide. */
const validityMinMs = 10 * secondMs;
/** LIMIT: fifty years, which still leaves every date within the four digits of a certificate's year. */
const durationMaxMs = 50 * 365 * dayMs;

const names: Readonly<Record<keyof Lifetimes, string>> = {
  caValidityMs: 'the validity of the authority',
  leafValidityMs: 'the validity of the leaf',
  renewFraction: 'the part of a life at which to renew',
  backdateMs: 'the back-dating',
  publishDwellMs: 'the wait after publishing',
  retireAfterMs: 'the wait before retiring',
  breakGlassMs: 'the break-glass time',
};

/** What cannot work about `lifetimes`, as a sentence for whoever set them, or null. */
export function lifetimesProblem(lifetimes: Lifetimes): string | null {
  const { caValidityMs, leafValidityMs, renewFraction, publishDwellMs, breakGlassMs } = lifetimes;
  for (const key of Object.keys(names) as (keyof Lifetimes)[]) {
    const value = lifetimes[key];
    if (!Number.isFinite(value) || value < 0) return `${names[key]} must be a number that is not negative`;
    if (value > durationMaxMs) return `${names[key]} must be 50 years at most`;
  }
  if (renewFraction <= 0 || renewFraction >= 1) {
    return `${names.renewFraction} must lie between 0 and 1, and not be either`;
  }
  if (leafValidityMs < validityMinMs) return `${names.leafValidityMs} must be 10 seconds at least`;
  if (caValidityMs < leafValidityMs) {
    return `${names.caValidityMs} must not be shorter than that of the leaf, which cannot outlive it`;
  }
  if (caValidityMs * renewFraction <= 2 * publishDwellMs) {
    return (
      `${names.caValidityMs} leaves ${seconds(caValidityMs * renewFraction)} between its renewal and its end, ` +
      `which must be more than twice ${names.publishDwellMs} (${seconds(publishDwellMs)})`
    );
  }
  // INVARIANT: the leader renews first, replicas have waited for API servers next, and only then mint for themselves.
  if (leafValidityMs * renewFraction <= publishDwellMs + breakGlassMs) {
    return (
      `${names.leafValidityMs} leaves ${seconds(leafValidityMs * renewFraction)} between its renewal and its end, which ` +
      `must be more than ${names.publishDwellMs} and ${names.breakGlassMs} together (${seconds(publishDwellMs + breakGlassMs)})`
    );
  }
  return null;
}

/** How far to back-date what lives for `validityMs`: no more than half as long as it is to live. */
export function backdateFor(validityMs: number, { backdateMs }: Lifetimes): number {
  return Math.min(backdateMs, validityMs / 2);
}

function seconds(ms: number): string {
  return `${Math.round(ms / secondMs)} s`;
}
