/** What to do about a refusal that was wrong, or right: the policy to loosen, and the commands to run. */
import type { RejectionFields } from './entry.ts';

/** What to do, and the commands for it. */
export interface Advice {
  readonly sentences: readonly string[];
  readonly lines: readonly string[];
}

/** Reasons that the policy's own fields decide. */
const fields: Readonly<Partial<Record<string, string>>> = {
  LeaseDurationOutOfBounds:
    '`leaseDuration` of the policy bounds the lease: widen it, or have the client keep to it.',
  CandidateNotAllowed: 'Add the ServiceAccount to `candidates.serviceAccounts`, if it may take this lock.',
  HolderMismatch:
    '`candidates.holder` ties the identity to the pod’s name: have the client follow it, or loosen it.',
  ConditionNotMet: 'An expression of `conditions` was false: correct it, or the client.',
  CouldNotJudge:
    'lockwarden could not judge in time, or an expression failed: look at its log and its load first.',
};

const thefts: readonly string[] = ['PrematureTakeover', 'PrematureRecreation'];

/** Advises. */
export function advise(record: RejectionFields): Advice {
  const { reason, policy } = record;
  const builtIn = policy === '' || policy === 'built-in defaults';
  const where = builtIn ? 'a LockPolicy for this lock' : `\`${policy}\``;
  const special = fields[reason];
  const exempt = thefts.includes(reason)
    ? ['A taker that may cut in (a failover tool, an operator’s script) belongs in `exempt` instead.']
    : [];
  return {
    sentences: [
      ...(special === undefined ? [] : [special]),
      `To let such writes through while you look, say \`rules: [{ reason: ${word(reason)}, enforcement: Warn }]\` in ${where}.`,
      ...exempt,
    ],
    lines: commandsFor(record),
  };
}

/** The commands that show more. */
function commandsFor({ lockKind, name, namespace }: RejectionFields): readonly string[] {
  const lock = shellWord(`${lockKind.toLowerCase()}/${name}`);
  const place = `-n ${shellWord(namespace)}`;
  return [
    `lockwarden explain ${lock} ${place}`,
    `lockwarden review timeline ${lock} ${place} --cluster`,
    `kubectl get ${lock} ${place} -o yaml --show-managed-fields`,
  ];
}

/** NB: a log is other people's text; what it says must do nothing but be looked up when it is pasted into a shell. */
export function shellWord(text: string): string {
  return /^[\w./@:%+=,-]+$/.test(text) && !text.startsWith('-') ? text : `'${text.replaceAll("'", `'\\''`)}'`;
}

function word(reason: string): string {
  return /^\w+$/.test(reason) ? reason : 'REASON';
}
