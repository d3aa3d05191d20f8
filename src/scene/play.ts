/**
 * The play: an election among real client-go candidates under lockwarden's guard, and a rogue. Each sentence is told after what it
 * says was seen, so a scene that ends has proved itself.
 */
import { LockwardenError } from '../errors.ts';
import type { Clock } from '../clock.ts';
import { seconds } from '../core/message.ts';
import type { Reason } from '../core/reasons.ts';
import type { KubeClient } from '../kube/client.ts';
import { KubeError } from '../kube/errors.ts';
import { namespace } from './cast.ts';
import type { ElectorEvent } from './elector.ts';
import { createLease, deleteLease, readLease, seizeLease, type LeaseView } from './lease.ts';
import { until } from '../kube/until.ts';

/** A process that stands for election. */
export interface Candidate {
  readonly identity: string;
  /** What it has said so far. */
  readonly events: readonly Pick<ElectorEvent, 'error'>[];
  /** Resolves once it has said that it knows `leader` to lead. */
  untilFollowing(leader: string): Promise<unknown>;
  /** A crash. */
  kill(): Promise<void>;
}

/** Everyone and everything on the stage. */
export interface Stage {
  /** Name of the Lease that the candidates stand for, and how long they hold it at a time. */
  readonly lock: string;
  readonly leaseDurationMs: number;
  /** Starts the candidates; they run until the stage is cleared. */
  readonly raiseCandidates: () => readonly Candidate[];
  readonly admin: KubeClient;
  readonly rogue: { readonly name: string; readonly client: KubeClient };
  readonly clock: Pick<Clock, 'wallMs'>;
  readonly signal: AbortSignal;
  /** Takes one line for the audience. */
  readonly tell: (line: string) => void;
}

/** LIMIT: API servers see a new webhook configuration within a second or so; a busy machine takes longer. */
const guardedMs = 20_000;
/** LIMIT: a renewal is due every retry period, of which a lease has six or so. */
const leasesOfPatience = 5;
/** LIMIT: lockwarden's default tolerance: so much may be missing of a lease, and no more. */
const toleranceMs = 1_000;

/**
 * Plays all acts.
 *
 * @throws LockwardenError `ScenarioFailed` at the first thing that does not go as told; the reason of `signal` when it aborts
 */
export async function play(stage: Stage): Promise<void> {
  await untilGuarded(stage);
  const candidates = stage.raiseCandidates();
  const leader = await election(stage, candidates);
  await earlyTakeover(stage, leader);
  const successor = await crash(stage, candidates, leader);
  await deleteAndRecreate(stage, successor);
}

/** The API server asks lockwarden once it has seen the configuration: a dry run on a lock of its own shows it. */
async function untilGuarded({ admin, leaseDurationMs, clock, signal, tell }: Stage): Promise<void> {
  tell(
    '0. Until the API server asks lockwarden, nothing is guarded: a dry run of a theft is tried until it is refused.',
  );
  const probe = 'probe';
  const looked = { what: 'the API server asks lockwarden', timeoutMs: guardedMs, signal };
  // NB: only a promise that is young by lockwarden's own observation is surely refused, so it is made anew each time.
  await until(async () => {
    await createLease(admin, probe, { holder: 'first', leaseDurationMs, nowMs: clock.wallMs() });
    try {
      await seizeLease(admin, probe, { holder: 'second', nowMs: clock.wallMs(), dryRun: true });
      return null;
    } catch (error) {
      if (error instanceof KubeError && error.kind === 'forbidden') return true;
      throw error;
    } finally {
      await deleteLease(admin, probe);
    }
  }, looked);
}

async function election(stage: Stage, candidates: readonly Candidate[]): Promise<Candidate> {
  const { tell, lock } = stage;
  const names = list(candidates.map(({ identity }) => identity));
  const first = await renewed(stage, null, 'a candidate is elected and renews');
  const leader = candidates.find(({ identity }) => identity === first.holder);
  if (leader === undefined) throw failed(`\`${first.holder}\` holds the lock, which is no candidate`);
  const others = candidates.filter((each) => each !== leader);
  for (const other of others) await other.untilFollowing(leader.identity);
  tell(
    `1. ${names}, three client-go processes, stand for election on lease/${lock} in namespace ${namespace}. ${leader.identity} is elected; the others wait.`,
  );
  return leader;
}

async function earlyTakeover(stage: Stage, leader: Candidate): Promise<void> {
  const { tell, rogue, lock, clock } = stage;
  const refusal = await refused('PrematureTakeover', () =>
    seizeLease(rogue.client, lock, { holder: rogue.name, nowMs: clock.wallMs() }),
  );
  tell(`2. ${rogue.name}, a pod with the right to update leases, writes itself in as the holder. Refused:`);
  tell(indented(refusal));
  await renewed(stage, leader.identity, `${leader.identity} renews after the refusal`);
  requireUndisturbed([leader]);
  tell(indented(`${leader.identity} has renewed since, and has noticed nothing.`));
}

async function crash(stage: Stage, candidates: readonly Candidate[], leader: Candidate): Promise<Candidate> {
  const { tell, lock, leaseDurationMs, admin } = stage;
  await leader.kill();
  const last = await readLease(admin, lock);
  if (last?.holder !== leader.identity) throw failed(`\`${leader.identity}\` did not die as the holder`);
  tell(
    `3. ${leader.identity} is killed. Its lease of ${seconds(leaseDurationMs)} runs on, and the others wait for its end.`,
  );
  const taken = await renewed(
    stage,
    null,
    'another candidate takes over',
    (view) => view.holder !== leader.identity,
  );
  const successor = candidates.find(({ identity }) => identity === taken.holder);
  if (successor === undefined) throw failed(`\`${taken.holder}\` has taken the lock, which is no candidate`);
  const elapsedMs = (taken.acquiredMs ?? 0) - (last.renewedMs ?? 0);
  if (elapsedMs < leaseDurationMs - toleranceMs)
    throw failed(`\`${taken.holder}\` took over ${seconds(elapsedMs)} after the last renewal`);
  requireUndisturbed(candidates.filter((each) => each !== leader));
  tell(
    `4. ${successor.identity} leads, ${seconds(elapsedMs)} after the last renewal. None of the candidates was refused anything.`,
  );
  return successor;
}

async function deleteAndRecreate(stage: Stage, leader: Candidate): Promise<void> {
  const { tell, rogue, lock, clock, leaseDurationMs } = stage;
  await deleteLease(rogue.client, lock);
  const refusal = await refused('PrematureRecreation', () =>
    createLease(rogue.client, lock, { holder: rogue.name, leaseDurationMs, nowMs: clock.wallMs() }),
  );
  tell(
    `5. ${rogue.name} deletes the lock, which some clients do to release it, and so passes; then makes it anew as its own. Refused:`,
  );
  tell(indented(refusal));
  await renewed(stage, leader.identity, `${leader.identity} holds its lock again`);
  tell(indented(`${leader.identity} has made its lock again, and leads on.`));
}

/** Resolves to the lock once it has been renewed after this call, by `holder` when one is named. */
async function renewed(
  { admin, lock, leaseDurationMs, signal }: Stage,
  holder: string | null,
  what: string,
  where: (view: LeaseView) => boolean = () => true,
): Promise<LeaseView> {
  let before: LeaseView | null = null;
  const look = async (): Promise<LeaseView | null> => {
    const view = await readLease(admin, lock);
    if (view === null || view.holder === '' || !where(view)) return null;
    if (holder !== null && view.holder !== holder)
      throw failed(`\`${view.holder}\` holds the lock, not \`${holder}\``);
    const isRenewal = before?.holder === view.holder && before.renewedMs !== view.renewedMs;
    before = view;
    return isRenewal ? view : null;
  };
  return until(look, { what, timeoutMs: leasesOfPatience * leaseDurationMs, signal });
}

/** The sentence with which lockwarden refuses `write`, by the rule named. */
async function refused(reason: Reason, write: () => Promise<void>): Promise<string> {
  try {
    await write();
  } catch (error) {
    if (!(error instanceof KubeError)) throw error;
    if (error.kind === 'forbidden' && error.message.includes(` ${reason},`)) return error.message;
    throw failed(`a write should have been refused as ${reason}, and failed otherwise: ${error.message}`);
  }
  throw failed(`the API server took a write that should have been refused as ${reason}`);
}

/** Each candidate tells every write that failed; one that lockwarden refused says `denied the request`. */
function requireUndisturbed(candidates: readonly Candidate[]): void {
  for (const { identity, events } of candidates) {
    const denied = events.find(({ error }) => error?.includes('denied the request') === true);
    if (denied !== undefined) throw failed(`\`${identity}\` was refused: ${denied.error ?? ''}`);
  }
}

function failed(message: string): LockwardenError {
  return new LockwardenError('ScenarioFailed', message);
}

function list(names: readonly string[]): string {
  return new Intl.ListFormat('en').format(names);
}

function indented(text: string): string {
  return `   ${text}`;
}
