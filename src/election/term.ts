/** Leadership as those see it who act on it. */

/** One uninterrupted leadership. */
export interface Term {
  /**
   * Aborted when leadership ends or can no longer be certain; its reason is a NotLeading. While a wall clock that was
   * set leaves leadership in doubt it is not, but `guard` refuses until the Lease is renewed, which is tried at once.
   */
  readonly signal: AbortSignal;
  /** Fencing token: leaseTransitions of the Lease as stored for this term. Greater for every later term of another identity. */
  readonly fence: number;
  /** For how long leadership is certain from now, in ms; 0 or less: not at all. */
  remainingMs(): number;
  /** @throws NotLeading unless leadership is certain for at least `needMs` more (default: the client timeout). */
  guard(needMs?: number): void;
}

const sentences = {
  over: 'has ended; stop, whoever leads now goes on',
  uncertain: 'is not certain for long enough; try again when the lease has been renewed',
} as const;

/** Leadership is over, or not certain for as long as is needed. */
export class NotLeading extends Error {
  override readonly name = 'NotLeading';
  /** Whether it cannot come back within this term. */
  readonly isOver: boolean;

  constructor(election: string, why: keyof typeof sentences) {
    super(`leadership in the election \`${election}\` ${sentences[why]}`);
    this.isOver = why === 'over';
  }
}
