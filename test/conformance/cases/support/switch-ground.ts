/** A ground that the dead man's switch guards alone: no lockwarden runs, nothing is logged, nobody is warned. */
import { setTimeout as sleep } from 'node:timers/promises';

import { expect, vi } from 'vitest';

import { createKubeClient } from '../../../../src/kube/client.ts';
import { loadKubeconfig } from '../../../../src/kube/kubeconfig.ts';
import type { Reason } from '../../../../src/core/reasons.ts';
import { PolicyStore } from '../../../../src/policy/store.ts';
import { switchScope } from '../../../../src/switch/terms.ts';
import { failureOf, microTime, Namespace } from '../../../kube/support/cluster.ts';
import type { Guarded } from '../../support/guarded.ts';
import { installSwitch, ownNamespace } from '../../support/switch.ts';
import { startGround, type Ground, type GroundOptions } from './ground.ts';
import { saysSwitch, Trial, type Expected, type Rule } from './trial.ts';
import { messageOf, type Answer } from './writer.ts';

/** As `startGround`, with the switch in place of lockwarden, under the built-in defaults. */
export function startSwitchGround(
  prefix: string,
  flags?: Parameters<typeof startGround>[1],
  options: GroundOptions = {},
): Promise<Ground> {
  return startGround(`${prefix}-switch`, flags, {
    ...options,
    guardWith: standIn,
    trialOf: (place, ports) => new SwitchTrial(place, ports),
  });
}

async function standIn(kubeconfig: string): Promise<Guarded> {
  const client = createKubeClient(loadKubeconfig({ file: kubeconfig }));
  const store = new PolicyStore(ownNamespace);
  await installSwitch(client, switchScope(store, ownNamespace));
  const probes = new Namespace(client, 'default');
  await vi.waitUntil(() => isAwake(probes), { timeout: 30_000, interval: 100 });
  return {
    lines: () => [],
    rejections: () => [],
    stop: () => {
      client.close();
      return Promise.resolve();
    },
  };
}

let probed = 0;

async function isAwake(probes: Namespace): Promise<boolean> {
  probed += 1;
  const name = `probe-${String(probed)}`;
  const spec = (holderIdentity: string) => ({
    spec: { holderIdentity, leaseDurationSeconds: 60, renewTime: microTime() },
  });
  await probes.post('leases', name, spec('a'));
  return (await failureOf(probes.patch('leases', name, 'merge', spec('b')))) !== null;
}

/** What holds while lockwarden is down. */
class SwitchTrial extends Trial {
  #writtenAt = 0;

  override async allows(write: () => Promise<Answer>, expected: Expected = {}): Promise<Answer> {
    const answer = await super.allows(write, { ...expected, warns: [] });
    this.#writtenAt = performance.now();
    return answer;
  }

  override async refuses(write: () => Promise<Answer>, rule: Rule): Promise<void> {
    const stored = await this.stored();
    const answer = await write();
    expect(answer.status, `${rule}: ${messageOf(answer)}`).toBe(403);
    expect(saysSwitch(answer, rule.split(' ')[1] as Reason), messageOf(answer)).toBe(true);
    expect(await this.stored()).toEqual(stored);
  }

  /** Nobody logs. */
  override logged(): void {
    expect(this.rejections()).toEqual([]);
  }

  /** Nobody looks. */
  override async seen(): Promise<void> {
    await Promise.resolve();
  }

  /** NB: a stamp is of the second in which the write was stored, so by then its age is right. */
  override async runsOut(durationS: number): Promise<void> {
    await sleep(Math.max(0, this.#writtenAt + durationS * 1_000 - performance.now()));
  }
}
