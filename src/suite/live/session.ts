/** Runs suites on a cluster, one after the other, and leaves the cluster as it was. */
import { randomBytes } from 'node:crypto';
import type { Clock } from '../../clock.ts';
import { loadKubeconfig } from '../../kube/kubeconfig.ts';
import type { Suite, Test } from '../suite.ts';
import type { SuiteResult } from '../suite-run.ts';
import { LiveGround } from './ground.ts';
import { runSuiteLive } from './run-live.ts';

/** Which cluster, and how. */
export interface SessionOptions {
  /** As kubectl finds them, where absent. */
  readonly kubeconfig?: string | undefined;
  readonly context?: string | undefined;
  /** At least in what part of its time a test is played. */
  readonly scale: number;
  readonly clock: Pick<Clock, 'monotonicMs'>;
  /** Ends the run; what was made is removed all the same. */
  readonly signal: AbortSignal;
  /** Takes a line for who waits. One that goes on as the last began takes its place. */
  readonly tell: (line: string) => void;
  /** How often to say how far it is. */
  readonly tellEveryMs: number;
}

/**
 * Runs those tests of the suites that `wanted` picks.
 *
 * @throws LockwardenError or KubeError when the cluster cannot be used; the reason of `signal` when that aborts
 */
export async function runSuitesLive(
  suites: readonly Suite[],
  wanted: (suite: Suite) => (test: Test) => boolean,
  { kubeconfig, context, scale, clock, signal, tell, tellEveryMs }: SessionOptions,
): Promise<readonly SuiteResult[]> {
  const config = loadKubeconfig({ file: kubeconfig, context });
  const ground = new LiveGround(config, { clock, signal, runName: randomBytes(3).toString('hex') });
  tell(`acting on ${ground.admin.server}, context ${config.currentContext}`);
  try {
    await ground.open();
    const results: SuiteResult[] = [];
    for (const suite of suites) {
      const playing = `playing ${suite.name}`;
      tell(playing);

      const result = await runSuiteLive(suite, wanted(suite), {
        ground,
        scale,
        nowMs: () => clock.monotonicMs(),
        onProgress: ({ done, total, leftMs }) => {
          const left = done === total ? '' : `, up to ${String(Math.ceil(leftMs / 1_000))} s left`;
          tell(`${playing} (${String(done)} of ${String(total)} tests${left})`);
        },
        tellEveryMs,
      });
      results.push(result);
    }
    return results;
  } finally {
    for (const path of await ground.close()) tell(`could not be removed: ${path}`);
  }
}
