/** What each rule causes without any policy. */
import { describe, expect, it } from 'vitest';
import { compatible, reasons, type Reason } from '../../src/core/reasons.ts';
import { builtInDefaults } from '../../src/core/settings.ts';

const refused: readonly Reason[] = [
  'PrematureTakeover',
  'PrematureRecreation',
  'StaleRenewTime',
  'StrippedTiming',
  'StrippedRecord',
  'ForeignRelease',
  'ForeignRenewal',
  'DuplicateIdentity',
  'EvidenceTampered',
  // `deletion` decides whether it comes to that: a tombstone guards the name instead, unless a policy says Deny.
  'LiveLockDeleted',
];

const warnedAbout: readonly Reason[] = [
  'UncertainExpiry',
  'UntimedRecord',
  'UnreadableRecord',
  'RenewTimeSkewed',
  'RenewTimeBackward',
  'TransitionsOdd',
  'AcquireTimeChanged',
  'CouldNotJudge',
];

/** Nothing to find unless a policy asks for it. */
const askedForByPolicies: readonly Reason[] = [
  'LeaseDurationOutOfBounds',
  'CandidateNotAllowed',
  'HolderMismatch',
  'ConditionNotMet',
];

describe('without a policy', () => {
  it.each(refused)('%s, which needs proof, is refused', (reason) => {
    expect(compatible[reason]).toBe('Deny');
  });

  it.each(warnedAbout)('%s, which doubt or an honest client may cause, is warned about', (reason) => {
    expect(compatible[reason]).toBe('Warn');
  });

  it.each(askedForByPolicies)('%s, which only a policy asks for, is refused', (reason) => {
    expect(compatible[reason]).toBe('Deny');
  });

  it('each reason is one or the other', () => {
    const all = [...refused, ...warnedAbout, ...askedForByPolicies];
    expect(all.sort()).toEqual(Object.keys(reasons).sort());
  });

  it('that is what holds, nobody is exempt, and a deletion leaves a tombstone', () => {
    expect(builtInDefaults).toMatchObject({
      enforcement: compatible,
      exempt: { usernames: [], groups: [] },
      deletion: 'Tombstone',
    });
  });
});
