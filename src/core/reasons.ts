/**
 * The closed list of what lockwarden can object to. One reason is one rule; `docs/semantics.md` has a clause for each.
 */

/** CamelCase code of a rule, stable across versions: it stands in denials, logs and metrics. */
export type Reason = keyof typeof reasons;

/** What a violation causes: refuse the write, let it pass with a warning to the client, or only record it. */
export const enforcements = ['Deny', 'Warn', 'Audit'] as const;

/** One of them. */
export type Enforcement = (typeof enforcements)[number];

/** How much an enforcement does, to be compared. */
export const severity: Readonly<Record<Enforcement, number>> = { Deny: 2, Warn: 1, Audit: 0 };

/** The one that does less. */
export function milder(a: Enforcement, b: Enforcement): Enforcement {
  return severity[a] <= severity[b] ? a : b;
}

/** Every reason with one line of meaning. */
export const reasons = {
  PrematureTakeover: "another identity takes the lock before the holder's lease has run out",
  PrematureRecreation: 'a live lock was deleted, and another identity takes it before its lease has run out',
  StaleRenewTime: "the new holder's own promise has already expired, or repeats one it made before",
  StrippedTiming: 'renew time or duration of a live lock is removed while its holder stays',
  StrippedRecord: 'the record of a live lock is removed or made unreadable',
  ForeignRelease: "a live lock is released or cut short by another pod than its holder's",
  ForeignRenewal: 'a live lock is renewed or lengthened by a pod that goes by another identity',
  DuplicateIdentity: 'two pods renew one lock under the same identity',
  EvidenceTampered: "the API server's stamps of a live lock are removed, forged, back-dated or planted",
  LiveLockDeleted: 'a live lock is deleted by another than its holder',
  UncertainExpiry: 'the evidence does not say whether the lease had run out',
  UntimedRecord: 'the record has no duration or no renew time, so there is no promise to protect',
  UnreadableRecord: 'the record cannot be read, or would be read differently by different clients',
  RenewTimeSkewed: "the recorded renew time is far from the API server's time",
  RenewTimeBackward: 'the recorded renew time moves backwards on a renewal',
  TransitionsOdd: 'the transition count does not grow by one on a change of holder, or changes without one',
  AcquireTimeChanged: 'the acquire time changes without a change of holder',
  LeaseDurationOutOfBounds: 'the lease is shorter or longer than the policy allows',
  CandidateNotAllowed: 'the policy does not let this ServiceAccount take the lock',
  HolderMismatch: 'the new holder does not agree with the pod that takes the lock',
  ConditionNotMet: 'a condition of the policy is not met',
  CouldNotJudge: 'lockwarden could not judge the write',
} as const;

/** What each rule causes unless a policy says otherwise: the `Compatible` profile. What only a policy asks for is refused. */
export const compatible: Readonly<Record<Reason, Enforcement>> = {
  PrematureTakeover: 'Deny',
  PrematureRecreation: 'Deny',
  StaleRenewTime: 'Deny',
  StrippedTiming: 'Deny',
  StrippedRecord: 'Deny',
  ForeignRelease: 'Deny',
  ForeignRenewal: 'Deny',
  DuplicateIdentity: 'Deny',
  EvidenceTampered: 'Deny',
  LiveLockDeleted: 'Deny',
  UncertainExpiry: 'Warn',
  UntimedRecord: 'Warn',
  UnreadableRecord: 'Warn',
  RenewTimeSkewed: 'Warn',
  RenewTimeBackward: 'Warn',
  TransitionsOdd: 'Warn',
  AcquireTimeChanged: 'Warn',
  LeaseDurationOutOfBounds: 'Deny',
  CandidateNotAllowed: 'Deny',
  HolderMismatch: 'Deny',
  ConditionNotMet: 'Deny',
  CouldNotJudge: 'Warn',
};

/**
 * The `Strict` profile, for locks of client-go and clients that write as it does: it also refuses what client-go never
 * writes.
 */
export const strict: Readonly<Record<Reason, Enforcement>> = {
  ...compatible,
  RenewTimeSkewed: 'Deny',
  RenewTimeBackward: 'Deny',
  TransitionsOdd: 'Deny',
  AcquireTimeChanged: 'Deny',
};
