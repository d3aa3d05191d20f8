/** Writes that are made again and again, each in the form that clients and controllers make it. */
import { setTimeout as sleep } from 'node:timers/promises';

import { objectAt, type JsonObject } from '../../src/kube/json.ts';
import {
  microTime,
  withRecord,
  withSpec,
  type Namespace,
  type Plural,
} from '../../test/kube/support/cluster.ts';

/** Writes once, and resolves to what that took, in milliseconds. @throws KubeError when it is refused */
export type Write = () => Promise<number>;

/** An object that is written as client-go writes one: whole, by the version that the last answer had. */
export class Kept {
  readonly #namespace: Namespace;
  readonly #plural: Plural;
  readonly #name: string;
  #object: JsonObject;

  private constructor(namespace: Namespace, plural: Plural, name: string, object: JsonObject) {
    this.#namespace = namespace;
    this.#plural = plural;
    this.#name = name;
    this.#object = object;
  }

  static async create(namespace: Namespace, plural: Plural, name: string, rest: JsonObject): Promise<Kept> {
    return new Kept(namespace, plural, name, await namespace.post(plural, name, rest));
  }

  /** Resolves to what it took, in milliseconds. */
  async write(change: (object: JsonObject) => JsonObject): Promise<number> {
    const body = change(this.#object);
    const began = performance.now();
    this.#object = await this.#namespace.putWhole(this.#plural, this.#name, body);
    return performance.now() - began;
  }
}

/** What a lock says that somebody has just taken. */
export function recordOf(holder: string, leaseDurationSeconds: number, leaseTransitions: number): JsonObject {
  const renewTime = microTime();
  return {
    ...{ holderIdentity: holder, leaseDurationSeconds, acquireTime: renewTime },
    ...{ renewTime, leaseTransitions },
  };
}

/** Renewals of a Lease. */
export async function leaseRenewals(namespace: Namespace): Promise<Write> {
  const lease = await Kept.create(namespace, 'leases', 'lock', { spec: recordOf('a', 15, 0) });
  return () => lease.write((object) => withSpec(object, { renewTime: microTime() }));
}

/** LIMIT: longer than the tolerance of a second, or such a lease would never have been live at all. */
const shortSeconds = 2;
/** LIMIT: a second more than the lease, since stamps are of whole seconds: then it has run out by anybody's evidence. */
const runOutMs = (shortSeconds + 1) * 1_000;

/** Takeovers of Leases that have run out, of so many Leases in turn. It waits, outside of the time that it tells, for one that has. */
export async function leaseTakeovers(namespace: Namespace, count: number): Promise<Write> {
  const locks: { readonly lease: Kept; readonly dueAt: number }[] = [];
  for (let index = 0; index < count; index += 1) {
    const spec = recordOf('a', shortSeconds, 0);
    const lease = await Kept.create(namespace, 'leases', `taken-${String(index)}`, { spec });
    locks.push({ lease, dueAt: performance.now() + runOutMs });
  }
  return async () => {
    const next = locks.shift();
    if (next === undefined) throw new RangeError('there has to be a Lease to take');
    const waitMs = next.dueAt - performance.now();
    if (waitMs > 0) await sleep(waitMs);
    const took = await next.lease.write((object) => {
      const { holderIdentity, leaseTransitions } = objectAt(object, 'spec');
      const other = holderIdentity === 'a' ? 'b' : 'a';
      return withSpec(object, recordOf(other, shortSeconds, Number(leaseTransitions) + 1));
    });
    locks.push({ lease: next.lease, dueAt: performance.now() + runOutMs });
    return took;
  };
}

const kib = 1_024;
/** LIMIT: a dashboard, or a file of settings: what large ConfigMaps are made of. */
const fileKib = 10;

/** Data of that size, in files, with a small entry beside them. */
function dataOf(sizeKib: number): JsonObject {
  const line = 'setting: value\n';
  const data: Record<string, string> = { counter: '0' };
  for (let atKib = 0; atKib < sizeKib; atKib += fileKib) {
    const bytes = Math.min(fileKib, sizeKib - atKib) * kib;
    data[`file-${String(atKib)}`] = line.repeat(Math.ceil(bytes / line.length)).slice(0, bytes);
  }
  return data;
}

/** Writes of a ConfigMap that is no lock: of a small entry in it, each time. */
export async function configMapWrites(namespace: Namespace, sizeKib: number): Promise<Write> {
  const name = `ordinary-${String(sizeKib)}`;
  const configMap = await Kept.create(namespace, 'configmaps', name, { data: dataOf(sizeKib) });
  let counter = 0;
  return () => {
    counter += 1;
    return configMap.write((object) => ({
      ...object,
      data: { ...objectAt(object, 'data'), counter: String(counter) },
    }));
  };
}

/** Renewals of a lock in the annotation of a ConfigMap of 1 KiB. */
export async function recordRenewals(namespace: Namespace): Promise<Write> {
  const record = recordOf('a', 15, 0);
  const locked = withRecord({ data: dataOf(1) }, JSON.stringify(record));
  const configMap = await Kept.create(namespace, 'configmaps', 'lock', locked);
  return () =>
    configMap.write((object) => withRecord(object, JSON.stringify({ ...record, renewTime: microTime() })));
}
