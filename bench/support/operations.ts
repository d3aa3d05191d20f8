/** What is written through the API server, in which ways, and who is to be asked about it. */
import type { Namespace } from '../../test/kube/support/cluster.ts';
import type { Asked } from './asked.ts';
import { configMapWrites, leaseRenewals, leaseTakeovers, recordRenewals, type Write } from './writes.ts';

/**
 * What a namespace has. `beside`: nothing, with lockwarden in the cluster. `conditional`: controller-runtime, called as sparingly as lockwarden
 * is. `webhook`: lockwarden's webhook without the switch. `no locks`: lockwarden, in a namespace whose ConfigMaps are no locks.
 */
export type WayName =
  | 'nothing'
  | 'beside'
  | 'policy'
  | 'controller-runtime'
  | 'conditional'
  | 'webhook'
  | 'lockwarden'
  | 'no locks';

/** Something that is written. */
export interface Operation {
  readonly name: string;
  readonly ways: readonly WayName[];
  readonly start: (namespace: Namespace) => Promise<Write>;
  readonly perRound: number;
  /** Of the rounds that are asked for. */
  readonly share: number;
  readonly settleMs: number;
  /** Who is asked about so many writes. */
  readonly asks: (writes: (way: WayName) => number) => Partial<Asked>;
  /** What lockwarden may add to the time, as a part of what controller-runtime adds; null: nobody has said. */
  readonly target: number | null;
}

/**
 * LIMIT: lockwarden tells other replicas of a takeover once it has seen it stored, at most 40 times a second, in 64 ConfigMaps: so it is
 * through with a row after this time at the latest.
 */
const toldMs = 1_700;
/** Takeovers of each way in a round, by one and in a row. */
const takeoversPerRound = 150;

const commonWays = ['nothing', 'beside', 'policy', 'controller-runtime'] as const;
const leaseWays = [...commonWays, 'conditional', 'webhook', 'lockwarden'] as const;
const recordWays = [...commonWays, 'lockwarden'] as const;

function ordinary(sizeKib: number, perRound: number): Operation {
  return {
    name: `write of a ConfigMap of ${String(sizeKib)} KiB that is no lock`,
    ways: [...recordWays, 'no locks'],
    start: (namespace) => configMapWrites(namespace, sizeKib),
    ...{ perRound, share: 1, settleMs: 0, target: null },
    asks: (writes) => ({ peer: writes('controller-runtime'), records: 0 }),
  };
}

export const operations: readonly Operation[] = [
  {
    name: 'renewal of a Lease',
    ways: leaseWays,
    start: leaseRenewals,
    ...{ perRound: 100, share: 1, settleMs: 0, target: 0.2 },
    asks: (writes) => ({
      ...{ peer: writes('controller-runtime'), conditional: 0 },
      ...{ leases: 0, leasesPassed: writes('webhook') + writes('lockwarden') },
    }),
  },
  {
    name: 'takeover of a Lease that has run out',
    ways: leaseWays,
    start: (namespace) => leaseTakeovers(namespace, 2 * takeoversPerRound),
    ...{ perRound: takeoversPerRound, share: 0.4, settleMs: toldMs, target: 1 },
    asks: (writes) => ({
      ...{ peer: writes('controller-runtime'), conditional: writes('conditional') },
      ...{ leases: writes('webhook') + writes('lockwarden'), leasesPassed: 0 },
    }),
  },
  {
    name: 'renewal of a lock in a ConfigMap of 1 KiB',
    ways: recordWays,
    start: recordRenewals,
    ...{ perRound: 100, share: 1, settleMs: 0, target: 0.2 },
    asks: (writes) => ({
      peer: writes('controller-runtime'),
      ...{ records: 0, recordsPassed: writes('lockwarden') },
    }),
  },
  ordinary(1, 100),
  ordinary(100, 20),
  // The largest come last: the history that API server and etcd keep of them is no burden to others.
  ordinary(900, 5),
];
