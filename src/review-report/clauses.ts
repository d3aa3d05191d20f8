/** The clauses of docs/semantics.md that a refusal can name, in the words of that page; a test compares them. */
import type { Clause } from '../core/decision.ts';

const sentences: Readonly<Record<Clause, string>> = {
  C3: "with a holder, while the promise of a deleted lock is live: refused (`PrematureRecreation`) if it is another identity, or the same one from a pod proven to be another's. Only a warning while it is not known who deleted the lock",
  U3: "free → held, while a deleted predecessor's promise is live: as C3",
  U6: 'the same, while live, by a requester proven to be another: refused (`ForeignRelease`)',
  U7: 'the holder stays, duration or renew time disappears, while live: refused (`StrippedTiming`)',
  U8: "the holder stays and is renewed, while live, by a pod that goes by another identity; or lengthened by another pod while the holder's still runs; or renewed by a pod whose place another running pod has taken: refused (`ForeignRenewal`, `DuplicateIdentity`)",
  U11: 'the same, by a requester proven to be another: refused (`ForeignRelease`); a warning when the question of the proof was not answered',
  U12: 'untimed → another holder: allowed with a warning (`UntimedRecord`)',
  U13: 'expired → another holder: allowed; in doubt with a warning',
  U14: 'live → another holder, by the API server itself or by whom the policy exempts: allowed with a warning',
  U15: 'live → another holder: refused (`PrematureTakeover`)',
  U16: 'the record disappears or becomes unreadable, while live: refused (`StrippedRecord`)',
  U17: 'the same, not live: allowed; an unreadable record is warned about (`UnreadableRecord`)',
  U18: 'the stamp of a live (or doubtful) promise is removed, forged, moved back or moved to another entry, while the renew time stays or is renewed: refused (`EvidenceTampered`)',
  U19: "`managedFields` gains entries other than the requester's own, or grows past 64 entries: refused in any state (`EvidenceTampered`): planted entries make the holder's own renewals time out",
  D4: 'a live lock, by another: allowed and recorded (`LiveLockDeleted`), or refused where the policy says so. A *tombstone* guards the name until the promise has run out: it refuses once it is proven that another deleted the lock, and warns until then',
  S1: 'Taking a lock (creation, acquisition or takeover) with a renew time so old that the new lease has already run out is refused (`StaleRenewTime`): it promises nothing, and candidates that compare clocks would take it away at once. A client whose clock is right to within its lease is never affected.',
  S2: 'So is taking it with a renew time that the same identity has stored in it before: a stale copy.',
  W1: "`RenewTimeSkewed`: a new renew time more than a minute from the API server's time.",
  W2: '`RenewTimeBackward`: a renewal whose renew time goes back.',
  W3: '`TransitionsOdd`: a count that does not grow by one on a change of holder, or changes without one.',
  W4: '`AcquireTimeChanged`: an acquire time that changes without a change of holder.',
  P1: '`LeaseDurationOutOfBounds`: a lock is taken, or its lease lengthened, for less or more than `leaseDuration` allows.',
  P2: '`CandidateNotAllowed`: a lock is taken by a requester whose ServiceAccount is none of `candidates.serviceAccounts`.',
  P3: "`HolderMismatch`: a lock is taken under a holder that is not, or does not begin with, the name of the pod that the requester's token is bound to; or for which `candidates.holderExpression` is false.",
  P4: '`ConditionNotMet`: an expression of `conditions` is false. They are asked about everything but renewals and writes that change no promise; `transition` tells what the write does: `create-free`, `create-held`, `acquire`, `takeover`, `release`, `shorten`, `strip-timing`, `strip-record`, `delete`. An expression that fails refuses nothing: it counts as `CouldNotJudge`.',
};

/** What the clause says, or null for one that this version does not know. */
export function clauseSentence(clause: string): string | null {
  return Object.hasOwn(sentences, clause) ? sentences[clause as Clause] : null;
}

/** Every clause that can be named. */
export const namedClauses: readonly string[] = Object.keys(sentences);
