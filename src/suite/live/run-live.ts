/** Runs a suite on a cluster that lockwarden guards: with its policies, real identities and real waiting. */
import { describeLock } from '../../core/lock.ts';
import { LockwardenError } from '../../errors.ts';
import { KubeError } from '../../kube/errors.ts';
import { defaultNamespace } from '../format.ts';
import { guardedBy, type Guarded } from '../guarded.ts';
import { play, type Play } from '../run.ts';
import { durationOf, fittingScale, scaled } from '../scale.ts';
import type { PolicyManifest, Suite, Test } from '../suite.ts';
import type { SuiteResult } from '../suite-run.ts';
import { coverageOf, uncovered } from '../test-run.ts';
import { LiveCast, movedTo, namespacesOf } from './cast.ts';
import { Created } from './created.ts';
import type { LiveGround } from './ground.ts';
import { isTooLate, toldAsLate, type LiveResult } from './lateness.ts';
import { LiveCluster } from './live-cluster.ts';
import { applyPolicy, requirePolicyKinds, untilInForce } from './policies.ts';
import { putAway } from './put-away.ts';

/** How a suite is run on a cluster. */
export interface LiveOptions {
  readonly ground: LiveGround;
  /** At least in what part of its time a test is played: more where less would change what comes of it. */
  readonly scale: number;
  readonly nowMs: () => number;
  /** Told how far it is; `leftMs` is at most how long it still takes, if nothing has to be played again. */
  readonly tellEveryMs: number;
  readonly onProgress: (progress: {
    readonly done: number;
    readonly total: number;
    readonly leftMs: number;
  }) => void;
}

/** A test as it is played here: in a namespace of its own, where it names none, and in part of its time. */
interface Planned {
  readonly test: Test;
  readonly played: Test;
  readonly scale: number;
  /** Its name in this run. */
  readonly name: string;
}

/** LIMIT: a cluster that was too slow for a moment is not for three times the length of a test. */
const playingsMax = 3;
/** How much more of its time a test gets that was played too late. */
const slower = 1.5;

/**
 * Runs those tests of a suite that `wanted` picks; all at once, but for those that share a namespace. What fails while the cluster was too
 * slow for it says nothing of policies: it is played again, and more slowly where it was shortened.
 */
export async function runSuiteLive(
  suite: Suite,
  wanted: (test: Test) => boolean,
  options: LiveOptions,
): Promise<SuiteResult> {
  const tests = suite.tests.filter(wanted);
  const results = new Map<Test, LiveResult>();
  for (const each of await playAll(suite, tests, () => options.scale, options)) results.set(each.test, each);
  let playings = 1;
  for (; playings < playingsMax; playings += 1) {
    const late = tests.filter((test) => isTooLate(results.get(test)));
    const slowed = (test: Test): number => Math.min(1, (results.get(test)?.scale ?? 1) * slower);
    const again = late.length === 0 ? null : await playAgain(suite, late, slowed, options);
    if (again === null) break;
    for (const each of again) results.set(each.test, each);
  }
  return {
    suite,
    tests: tests.flatMap((test) => results.get(test) ?? []).map((each) => toldAsLate(each, playings)),
  };
}

/** What came of those that could be played; null: the cluster does not let them, which takes nothing from what they came to before. */
async function playAgain(
  suite: Suite,
  tests: readonly Test[],
  scaleOf: (test: Test) => number,
  options: LiveOptions,
): Promise<readonly LiveResult[] | null> {
  try {
    const results = await playAll(suite, tests, scaleOf, options);
    return results.filter(({ passed, steps }) => passed || steps.length > 0);
  } catch (error) {
    options.ground.signal.throwIfAborted();
    if (!(error instanceof LockwardenError) && !(error instanceof KubeError)) throw error;
    return null;
  }
}

/** Plays each test once. */
async function playAll(
  suite: Suite,
  tests: readonly Test[],
  scaleOf: (test: Test) => number,
  options: LiveOptions,
): Promise<readonly LiveResult[]> {
  if (tests.length === 0) return [];
  const { ground } = options;
  const guarded = guardedBy(suite);
  const planned = await Promise.all(tests.map((test) => planOf(test, guarded, scaleOf(test), ground)));
  const created = new Created(ground.admin);
  try {
    await prepare(suite, planned, created, ground);
    return await new LiveRun(suite, guarded, planned, options).run();
  } finally {
    ground.leave(await created.removeAll());
    if (suite.policies.length > 0) ground.changed();
  }
}

async function planOf(test: Test, guarded: Guarded, scale: number, ground: LiveGround): Promise<Planned> {
  const fitting = await fittingScale(test, guarded, scale);
  const name = ground.newName();
  const played = movedTo(scaled(test, fitting), defaultNamespace, name);
  return { test, played, scale: fitting, name };
}

/** Namespaces, then policies; and until these are in force. */
async function prepare(
  suite: Suite,
  planned: readonly Planned[],
  created: Created,
  ground: LiveGround,
): Promise<void> {
  const { admin, signal } = ground;
  const namespaces = planned.flatMap(({ played }) => namespacesOf(played));
  const named = suite.policies.flatMap(({ ref, named: isNamed }) => (isNamed ? [ref.namespace] : []));
  for (const name of new Set([...namespaces, ...named])) {
    await ground.ensureNamespace(name, suite.namespaces.get(name) ?? {});
  }
  if (suite.policies.length > 0) await requirePolicyKinds(admin);
  const policies = suite.policies.flatMap((policy) => placed(policy, planned));
  for (const policy of policies) {
    ground.changed();
    await applyPolicy(admin, policy, created);
  }
  await Promise.all(policies.map(({ ref }) => untilInForce(admin, ref, signal)));
  await ground.settled();
}

/** A LockPolicy that names no namespace goes where the locks are that name none. */
function placed(policy: PolicyManifest, planned: readonly Planned[]): readonly PolicyManifest[] {
  if (policy.ref.kind === 'ClusterLockPolicy' || policy.named) return [policy];
  const own = planned.filter(({ played, name }) => played.lock.namespace === name);
  return own.map(({ name }) => ({ ...policy, ref: { ...policy.ref, namespace: name } }));
}

/** The playing of the tests. */
class LiveRun {
  readonly #suite: Suite;
  readonly #guarded: Guarded;
  readonly #planned: readonly Planned[];
  readonly #options: LiveOptions;
  #done = 0;
  readonly #begunMs: number;

  constructor(suite: Suite, guarded: Guarded, planned: readonly Planned[], options: LiveOptions) {
    this.#suite = suite;
    this.#guarded = guarded;
    this.#planned = planned;
    this.#options = options;
    this.#begunMs = options.nowMs();
  }

  async run(): Promise<readonly LiveResult[]> {
    this.#tell();
    const timer = setInterval(() => {
      this.#tell();
    }, this.#options.tellEveryMs);
    try {
      const results = await Promise.all(this.#groups().map((group) => this.#playGroup(group)));
      const byTest = new Map(results.flat().map((result) => [result.test, result]));
      return this.#planned.flatMap(({ test }) => byTest.get(test) ?? []);
    } finally {
      clearInterval(timer);
    }
  }

  /** Tests that share a namespace wait for each other: they may share a lock. */
  #groups(): readonly (readonly Planned[])[] {
    const groups = new Map<string, Planned[]>();
    for (const planned of this.#planned) {
      const { namespace } = planned.played.lock;
      groups.set(namespace, [...(groups.get(namespace) ?? []), planned]);
    }
    return [...groups.values()];
  }

  async #playGroup(group: readonly Planned[]): Promise<readonly LiveResult[]> {
    const results: LiveResult[] = [];
    for (const planned of group) {
      results.push(await this.#play(planned));
      this.#done += 1;
      this.#tell();
    }
    return results;
  }

  async #play(planned: Planned): Promise<LiveResult> {
    const { nowMs } = this.#options;
    const { test, scale } = planned;
    const begunMs = nowMs();
    const coveredBy = coverageOf(test, this.#guarded);
    const { steps, startFailed, lateMs } = await this.#playOrTell(planned);
    const notCovered = uncovered(test, this.#suite, coveredBy);
    const why = notCovered ?? startFailed;
    const passed = why === null && steps.every((step) => step.passed);
    const result = { test, passed, why, steps, coveredBy, scale, tookMs: nowMs() - begunMs };
    // What proves nothing proves nothing in time either.
    return { ...result, lateMs: notCovered === null ? lateMs : 0 };
  }

  /** What a cluster refuses to a test fails that test; what it refuses to everybody, or an end of the run, is for others to tell. */
  async #playOrTell(planned: Planned): Promise<Play & Pick<LiveResult, 'lateMs'>> {
    const { ground } = this.#options;
    const { config, admin, time, signal } = ground;
    const { lock } = planned.played;
    const created = new Created(ground.admin);
    const cast = new LiveCast({ config, admin, created, roleName: planned.name, signal });
    const cluster = new LiveCluster(lock, { admin, time, signal, clientOf: (actor) => cast.clientOf(actor) });
    let isOurs = false;
    try {
      if ((await cluster.read()) !== null) {
        return {
          steps: [],
          startFailed: `${describeLock(lock)} is in the cluster already, and may be in use`,
          lateMs: 0,
        };
      }
      isOurs = true;
      await cast.prepare(planned.played);
      return { ...(await playOn(cluster, planned)), lateMs: cluster.lateMs };
    } catch (error) {
      signal.throwIfAborted();
      const isTold =
        error instanceof LockwardenError || (error instanceof KubeError && error.status !== null);
      if (!isTold) throw error;
      return { steps: [], startFailed: error.message, lateMs: cluster.lateMs };
    } finally {
      cast.close();
      ground.leave(await created.removeAll());
      // A namespace of the test's own goes with all that is in it.
      if (isOurs && lock.namespace !== planned.name) await putAway(lock, ground);
    }
  }

  #tell(): void {
    const { nowMs, onProgress } = this.#options;
    const longestMs = Math.max(
      ...this.#groups().map((group) => group.reduce((sum, { played }) => sum + durationOf(played), 0)),
    );
    const leftMs = Math.max(0, longestMs - (nowMs() - this.#begunMs));
    onProgress({ done: this.#done, total: this.#planned.length, leftMs });
  }
}

/** Plays a test; its steps are told as they stand in its suite. */
async function playOn(cluster: LiveCluster, { test, played }: Planned): Promise<Play> {
  const result = await play(played, { cluster, seesAudit: false });
  const steps = result.steps.map((step, index) => ({ ...step, step: test.steps[index] ?? step.step }));
  return { ...result, steps };
}
