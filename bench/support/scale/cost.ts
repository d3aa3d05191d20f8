/** What a large cluster would cost, calculated from what was measured of smaller ones. */
import type { Line } from '../figures.ts';
import { memoryLimitMiB } from '../production.ts';

/** What was measured, by locks that are watched. */
export interface Figures {
  /** Of the heap, what is left once garbage is collected. */
  readonly heapMiB: Line;
  /** At rest, with garbage that nothing has forced V8 to collect. */
  readonly residentMiB: Line;
  readonly peakMiB: Line;
  readonly warmMs: Line;
  /** Received by a start, which lists everything. */
  readonly listedKiB: Line;
  readonly eventProcessorMs: number;
  readonly eventBytes: number;
  /** For each lock and each round of counting which policies cover it; there is none while there is no policy. */
  readonly countProcessorMs: number;
}

export interface Cluster {
  readonly nodes: number;
  readonly locks: number;
  readonly replicas: number;
}

/** One rate at which all locks are renewed, and what it has a replica do. */
export interface RateCost {
  readonly renewedEverySeconds: number;
  readonly eventsPerSecond: number;
  /** Of a replica, in processors. Watch events are taken in by one thread: what needs more than one lags behind for ever. */
  readonly processors: number;
  readonly receivedMiBPerSecond: number;
}

export interface ClusterCost {
  readonly cluster: Cluster;
  readonly assumptions: readonly string[];
  readonly watched: number;
  readonly remembered: number;
  readonly heapMiB: number;
  readonly residentMiB: number;
  readonly peakMiB: number;
  readonly limitMiB: number;
  readonly heapLimitMiB: number;
  readonly fits: boolean;
  /** The memory limit that would do. */
  readonly neededMiB: number;
  readonly warmSeconds: number;
  readonly listedMiB: number;
  readonly countProcessors: number;
  readonly rates: readonly RateCost[];
}

/** As the documents ask: Kubernetes' own limit of nodes, and twenty elections a node. */
export const largeCluster: Cluster = { nodes: 5_000, locks: 100_000, replicas: 2 };

/** SOURCE: `locksMax` of src/admission/lock-memories.ts: beyond it the lock that has been quiet for longest is forgotten. */
const rememberedMax = 100_000;
/** The retry period of client-go's electors, of kubelets, and one for elections that need not be quick. */
const lockRenewalSeconds = [2, 10, 60] as const;
/** SOURCE: `tickMs` of src/guard/guard.ts: how often statuses of policies are brought up to date. */
export const countEverySeconds = 5;
/** SOURCE: https://github.com/v8/v8/blob/main/src/heap/heap.cc (HeapSizeFromPhysicalMemory): of what the container may have, on 64 bits. */
const heapShare = 1 / 2;
/** LIMIT: a heap that is fuller than this has V8 collect garbage more than it does anything else. */
const heapFullMax = 0.75;
/** LIMIT: manifests have a limit in such steps. */
const stepMiB = 256;

export function clusterCost(figures: Figures, cluster: Cluster, limitMiB = memoryLimitMiB()): ClusterCost {
  const watched = cluster.locks;
  const remembered = Math.min(watched, rememberedMax);
  const at = ({ base, slope }: Line, count: number): number => base + slope * count;
  const [heapMiB, residentMiB] = [at(figures.heapMiB, remembered), at(figures.residentMiB, remembered)];
  const peakMiB = at(figures.peakMiB, remembered);
  const leastMiB = Math.max(heapMiB / heapFullMax / heapShare, peakMiB);
  return {
    ...{ cluster, assumptions, watched, remembered, heapMiB, residentMiB, peakMiB, limitMiB },
    heapLimitMiB: limitMiB * heapShare,
    fits: leastMiB <= limitMiB,
    neededMiB: Math.ceil(leastMiB / stepMiB) * stepMiB,
    warmSeconds: at(figures.warmMs, watched) / 1_000,
    listedMiB: at(figures.listedKiB, watched) / 1_024,
    countProcessors: (figures.countProcessorMs * remembered) / 1_000 / countEverySeconds,
    rates: lockRenewalSeconds.map((renewedEverySeconds) => {
      const eventsPerSecond = watched / renewedEverySeconds;
      return {
        ...{ renewedEverySeconds, eventsPerSecond },
        processors: (figures.eventProcessorMs * eventsPerSecond) / 1_000,
        receivedMiBPerSecond: (figures.eventBytes * eventsPerSecond) / 1_024 ** 2,
      };
    }),
  };
}

const assumptions: readonly string[] = [
  'growth is linear beyond what was measured',
  'each replica watches every Lease of the cluster but those of the nodes in kube-node-lease, which no policy names',
  'all locks are held and renewed',
  'all locks are Leases with the record and the managed fields of one elector',
  'counting grows in proportion',
  'beyond 100,000 locks the quietest are forgotten, so memory grows no further',
  `V8 gives the heap half of the container's memory, and wants a quarter of that free`,
  'an event costs the same in a stream as alone; one thread takes them in',
  'what the watches cost the API server (its watch cache, encoding each event for each replica) is left out',
];

/** For people, line by line. */
export function describeCost(cost: ClusterCost): readonly string[] {
  const { nodes, locks, replicas } = cost.cluster;
  const whole = (value: number): string => Math.round(value).toLocaleString('en');
  return [
    `${whole(nodes)} nodes and ${whole(locks)} locks, for each of ${String(replicas)} replicas:`,
    `  memory: heap ${whole(cost.heapMiB)} MiB, resident ${whole(cost.residentMiB)} MiB, ${whole(cost.peakMiB)} MiB at most; the limit of ${whole(cost.limitMiB)} MiB ` +
      `(heap ${whole(cost.heapLimitMiB)} MiB) ${cost.fits ? 'does' : `does not do, ${whole(cost.neededMiB)} MiB would`}`,
    `  ${whole(cost.remembered)} of ${whole(cost.watched)} locks are remembered`,
    `  warm after ${cost.warmSeconds.toFixed(1)} s; ${whole(cost.listedMiB)} MiB to list everything`,
    `  counting what policies cover: ${cost.countProcessors.toFixed(2)} processors, where there is any policy`,
    ...cost.rates.map(
      (rate) =>
        `  all renewed every ${String(rate.renewedEverySeconds)} s: ${whole(rate.eventsPerSecond)} events/s, ` +
        `${rate.processors.toFixed(2)} processors${rate.processors > 1 ? ', which one thread cannot do' : ''}, ` +
        `${rate.receivedMiBPerSecond.toFixed(1)} MiB/s`,
    ),
    '  assumed:',
    ...cost.assumptions.map((each) => `  * ${each}`),
  ];
}
