import { describe, expect, it } from 'vitest';
import type { Answer } from '../../src/suite/cluster.ts';
import { describeOutcome, meets, outcomeOf } from '../../src/suite/outcome.ts';

const answer = (changes: Partial<Answer>): Answer => ({
  status: 200,
  message: '',
  warnings: [],
  audited: null,
  asked: null,
  ...changes,
});

const sentence = 'lease/team/x: it is early [lockwarden U15 PrematureTakeover, clusterlockpolicy/a b]';

describe('the outcome of an answer', () => {
  it.each<[string, Partial<Answer>, string]>([
    ['a success', {}, 'allow'],
    ['a refusal by lockwarden', { status: 403, message: sentence }, 'deny PrematureTakeover'],
    [
      'the same, as a client tells it',
      {
        status: 403,
        message: `refused: admission webhook "leases.lockwarden.dev" denied the request: ${sentence}`,
      },
      'deny PrematureTakeover',
    ],
    ['a warning', { warnings: [sentence] }, 'warn PrematureTakeover'],
    [
      'a warning among others',
      { warnings: ['v1 Endpoints is deprecated', sentence] },
      'warn PrematureTakeover',
    ],
    [
      'that it could not judge',
      { warnings: ['lockwarden could not judge this write, and let it pass: x [CouldNotJudge]'] },
      'warn CouldNotJudge',
    ],
    ['warnings of others only', { warnings: ['unknown field "spec.x"', 'a [b]'] }, 'allow'],
    ['a record', { audited: 'LiveLockDeleted' }, 'audit LiveLockDeleted'],
    ['a refusal by RBAC', { status: 403, message: 'leases is forbidden: User "x" cannot' }, 'failed'],
    [
      'a refusal by another webhook',
      { status: 403, message: 'denied the request: no [other Reason]' },
      'failed',
    ],
    ['a conflict', { status: 409, message: sentence }, 'failed'],
  ])('%s', (_, changes, described) => {
    expect(describeOutcome(outcomeOf(answer(changes)))).toBe(described);
  });

  it('has lockwarden’s sentence without what the API server puts before it', () => {
    const message = `admission webhook "leases.lockwarden.dev" denied the request: ${sentence}`;
    expect(outcomeOf(answer({ status: 403, message }))).toMatchObject({ message: sentence });
  });
});

describe('where records cannot be seen', () => {
  it('what is allowed may have been recorded', () => {
    const allowed = outcomeOf(answer({}));
    expect(meets(allowed, 'audit', false)).toBe(true);
    expect(meets(allowed, { audit: 'LiveLockDeleted' }, false)).toBe(true);
    expect(meets(allowed, 'audit', true)).toBe(false);
    expect(meets(allowed, { audit: 'LiveLockDeleted' }, true)).toBe(false);
  });

  it('what is warned about or refused was more than recorded', () => {
    const warned = outcomeOf(answer({ warnings: [sentence] }));
    const refused = outcomeOf(answer({ status: 403, message: sentence }));
    expect([warned, refused].map((outcome) => meets(outcome, 'audit', false))).toEqual([false, false]);
  });
});
