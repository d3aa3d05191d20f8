/** Clients of an API server that do as they should: they renew their Leases, and take over those that have run out. */
import { setTimeout as sleep } from 'node:timers/promises';

import { objectAt, type JsonObject } from '../../src/kube/json.ts';
import { microTime, withSpec, type Namespace } from '../../test/kube/support/cluster.ts';
import { Kept, recordOf } from './writes.ts';

/** Writes that are sent at a rate of their own, whatever becomes of those before them. */
export interface Paced {
  readonly perSecond: number;
  /** Sends the write of this number. */
  send(index: number): Promise<unknown>;
}

/** What each write took in some seconds, in milliseconds. @throws whatever a write throws */
export async function pace(paced: Paced, seconds: number): Promise<readonly number[]> {
  const begunMs = performance.now();
  const sent: Promise<number>[] = [];
  for (let index = 0; index < paced.perSecond * seconds; index += 1) {
    await sleep(Math.max(0, begunMs + (index * 1_000) / paced.perSecond - performance.now()));
    const sentMs = performance.now();
    sent.push(paced.send(index).then(() => performance.now() - sentMs));
  }
  return Promise.all(sent);
}

/** Leases in a namespace. */
class Leases {
  readonly #namespace: Namespace;
  readonly #leases: Kept[] = [];

  constructor(namespace: Namespace) {
    this.#namespace = namespace;
  }

  async create(prefix: string, count: number, leaseDurationSeconds: number): Promise<void> {
    for (let index = 0; index < count; index += 1) {
      const spec = recordOf('first', leaseDurationSeconds, 0);
      this.#leases.push(await Kept.create(this.#namespace, 'leases', `${prefix}-${String(index)}`, { spec }));
    }
  }

  protected put(index: number, change: (object: JsonObject) => JsonObject): Promise<number> {
    const lease = this.#leases[index % this.#leases.length];
    if (lease === undefined) throw new Error('there are no Leases yet');
    return lease.write(change);
  }
}

/** LIMIT: each lock is renewed once a second or so, as a client with a lease of 15 s does at most. */
const renewedPerSecond = 20;
/** LIMIT: a lease of one second has run out, with all that is added to it, after two and a half; each is taken over every three. */
const takenOverPerSecond = 20;
const takenOverCount = 60;
const takenOverSeconds = 1;

export class Renewals extends Leases implements Paced {
  readonly perSecond = renewedPerSecond;

  begin(): Promise<void> {
    return this.create('renewed', renewedPerSecond, 15);
  }

  send(index: number): Promise<number> {
    return this.put(index, (object) => withSpec(object, { renewTime: microTime() }));
  }
}

export class Takeovers extends Leases implements Paced {
  readonly perSecond = takenOverPerSecond;
  #count = 0;

  begin(): Promise<void> {
    return this.create('taken-over', takenOverCount, takenOverSeconds);
  }

  /** In turns, from one call of `pace` to the next, so that no lock comes too early. */
  send(): Promise<number> {
    this.#count += 1;
    const holder = `holder-${String(this.#count)}`;
    return this.put(this.#count, (object) => {
      const leaseTransitions = Number(objectAt(object, 'spec')['leaseTransitions']) + 1;
      return withSpec(object, recordOf(holder, takenOverSeconds, leaseTransitions));
    });
  }
}
