/**
 * How election clients write Leases: method, patch type, preconditions, field manager, which fields, and how they print
 * a time. Each function is one client's writes, as its source or a recording (test/fixtures/wire) shows them.
 */
import { objectAt, type JsonObject } from '../../../../src/kube/json.ts';
import { microTime } from '../../../kube/support/cluster.ts';
import { objectOf, type Answer, type Place, type Writer } from './writer.ts';

/** A candidate's claim to a lock. */
export interface Claim {
  readonly holder: string;
  /** Lease duration in seconds. */
  readonly durationS: number;
  /** How far the client's clock is ahead of the true one, in milliseconds; negative when behind. */
  readonly clockMs?: number;
}

/** The writes of one client on one pod. `renew` and `release` keep what the client keeps of the record. */
export interface Client {
  create(lock: Place, claim: Claim): Promise<Answer>;
  /** Acquires a free lock, or takes over one that is held: most clients write the same. */
  take(lock: Place, claim: Claim): Promise<Answer>;
  renew(lock: Place, clockMs?: number): Promise<Answer>;
  release(lock: Place, clockMs?: number): Promise<Answer>;
}

type Fields = Readonly<Record<string, unknown>>;

const lease = (lock: Place, spec: Fields, metadata: JsonObject = {}): JsonObject => ({
  ...objectOf(lock, metadata),
  spec,
});

const specOf = (object: JsonObject): JsonObject => objectAt(object, 'spec');
const versionOf = (object: JsonObject): unknown => objectAt(object, 'metadata')['resourceVersion'];
const transitionsOf = (object: JsonObject): number => Number(specOf(object)['leaseTransitions'] ?? 0);

/** GET, change the spec, PUT the whole object with its resource version. */
async function replace(
  writer: Writer,
  lock: Place,
  change: (object: JsonObject) => Fields,
  metadata: (object: JsonObject) => JsonObject = (object) => objectAt(object, 'metadata'),
): Promise<Answer> {
  const { body } = await writer.get(lock);
  return writer.put(lock, { ...objectOf(lock), metadata: metadata(body), spec: change(body) });
}

/** `2026-01-02T03:04:05.678000Z`, of clients that count milliseconds. */
const milliTime = (clockMs = 0): string => microTime(clockMs);
/** `2026-01-02T03:04:05.678901Z`, of clients that count microseconds. */
const fineTime = (clockMs = 0): string => microTime(clockMs, 901);
/** `2026-01-02T03:04:05.678901+00:00`, as Rust's chrono prints it. */
const offsetTime = (clockMs = 0): string => fineTime(clockMs).replace(/Z$/u, '+00:00');

const bothTimes = (now: string): Fields => ({ acquireTime: now, renewTime: now });

/** A creation with all five fields, as client-go and those who follow it write one. */
function createAsClientGo(
  writer: Writer,
  lock: Place,
  { holder, durationS, clockMs }: Claim,
): Promise<Answer> {
  const times = bothTimes(fineTime(clockMs));
  return writer.post(
    lock,
    lease(lock, { holderIdentity: holder, leaseDurationSeconds: durationS, ...times, leaseTransitions: 0 }),
  );
}

/** SOURCE: https://github.com/kubernetes/client-go/blob/master/tools/leaderelection/leaderelection.go */
export function clientGo(pod: Writer): Client {
  const writer = pod.using('manager/v0.0.0 (linux/amd64) kubernetes/$Format');
  return {
    create: (lock, claim) => createAsClientGo(writer, lock, claim),
    take: (lock, { holder, durationS, clockMs }) =>
      replace(writer, lock, (object) => ({
        holderIdentity: holder,
        leaseDurationSeconds: durationS,
        ...bothTimes(fineTime(clockMs)),
        leaseTransitions: transitionsOf(object) + 1,
      })),
    renew: (lock, clockMs) =>
      replace(writer, lock, (object) => ({ ...specOf(object), renewTime: fineTime(clockMs) })),
    release: (lock, clockMs) =>
      replace(writer, lock, (object) => ({
        holderIdentity: '',
        leaseDurationSeconds: 1,
        ...bothTimes(fineTime(clockMs)),
        leaseTransitions: transitionsOf(object),
      })),
  };
}

/** SOURCE: https://github.com/kubernetes-client/java/tree/master/extended/src/main/java/io/kubernetes/client/extended/leaderelection */
export function java(pod: Writer): Client {
  const writer = pod.using('Kubernetes Java Client/25.0.0');
  const metadata = (object: JsonObject): JsonObject => ({
    ...objectAt(object, 'metadata'),
    managedFields: undefined,
  });
  return {
    ...clientGo(pod),
    take: (lock, { holder, durationS, clockMs }) =>
      replace(
        writer,
        lock,
        (object) => ({
          holderIdentity: holder,
          leaseDurationSeconds: durationS,
          ...bothTimes(milliTime(clockMs)),
          leaseTransitions: transitionsOf(object) + 1,
        }),
        metadata,
      ),
    renew: (lock, clockMs) =>
      replace(writer, lock, (object) => ({ ...specOf(object), renewTime: milliTime(clockMs) }), metadata),
    release: (lock) =>
      replace(
        writer,
        lock,
        (object) => ({
          leaseDurationSeconds: specOf(object)['leaseDurationSeconds'],
          leaseTransitions: transitionsOf(object),
        }),
        metadata,
      ),
  };
}

/** From 7.5 on, whose release keeps the holder. SOURCE: https://github.com/fabric8io/kubernetes-client/pull/7343 */
export function fabric8(pod: Writer): Client {
  const writer = pod.using('fabric8-kubernetes-client/7.9.0');
  const patch = async (lock: Place, change: (object: JsonObject) => Fields): Promise<Answer> => {
    const { body } = await writer.get(lock);
    return writer.patch(lock, 'merge', lease(lock, change(body), { resourceVersion: versionOf(body) }));
  };
  return {
    create: (lock, claim) => createAsClientGo(writer, lock, claim),
    take: (lock, { holder, durationS, clockMs }) =>
      patch(lock, (object) => ({
        ...bothTimes(fineTime(clockMs)),
        holderIdentity: holder,
        leaseDurationSeconds: durationS,
        leaseTransitions: transitionsOf(object) + 1,
      })),
    renew: (lock, clockMs) => patch(lock, (object) => ({ ...specOf(object), renewTime: fineTime(clockMs) })),
    release: (lock, clockMs) =>
      patch(lock, (object) => ({
        ...bothTimes(fineTime(clockMs)),
        leaseDurationSeconds: 1,
        leaseTransitions: transitionsOf(object),
      })),
  };
}

/**
 * The official Python client, and kubernetes_asyncio, which writes its local time as if it were UTC (`clockMs` is its
 * zone then). Neither counts transitions nor releases.
 * SOURCE: https://github.com/kubernetes-client/python, https://github.com/tomplus/kubernetes_asyncio (leaselock.py)
 */
export function python(pod: Writer): Omit<Client, 'release'> {
  const writer = pod.using('OpenAPI-Generator/37.0.2/python');
  const spec = ({ holder, durationS, clockMs }: Claim): Fields => ({
    holderIdentity: holder,
    leaseDurationSeconds: durationS,
    ...bothTimes(microTime(clockMs, 468)),
  });
  return {
    create: (lock, claim) => writer.post(lock, lease(lock, spec(claim))),
    take: (lock, claim) => replace(writer, lock, () => spec(claim)),
    renew: (lock, clockMs) =>
      replace(writer, lock, (object) => ({ ...specOf(object), renewTime: microTime(clockMs, 468) })),
  };
}

/** Reads its clock once for each time. SOURCE: https://github.com/kubernetes-client/csharp (LeaderElector.cs) */
export function dotnet(pod: Writer): Omit<Client, 'create' | 'release'> {
  const writer = pod.using('KubernetesClient/17.0.4.0');
  return {
    take: (lock, { holder, durationS, clockMs }) =>
      replace(writer, lock, (object) => ({
        ...specOf(object),
        holderIdentity: holder,
        leaseDurationSeconds: durationS,
        acquireTime: microTime(clockMs, 12),
        renewTime: microTime(clockMs, 15),
        leaseTransitions: transitionsOf(object) + 1,
      })),
    renew: (lock, clockMs) =>
      replace(writer, lock, (object) => ({ ...specOf(object), renewTime: microTime(clockMs, 7) })),
  };
}

/** @codedependant/kubernetes-leader-election, whose first record lacks the duration by a slip of the pen. */
export function codedependant(pod: Writer): Client {
  const writer = pod.using('node-fetch');
  return {
    create: (lock, { holder, durationS, clockMs }) =>
      writer.post(
        lock,
        lease(lock, {
          holderIdentity: holder,
          leaseDurationSec: durationS,
          ...bothTimes(milliTime(clockMs)),
        }),
      ),
    take: (lock, { holder, durationS, clockMs }) =>
      replace(writer, lock, (object) => ({
        ...specOf(object),
        holderIdentity: holder,
        leaseDurationSeconds: durationS,
        ...bothTimes(milliTime(clockMs)),
      })),
    renew: (lock, clockMs) =>
      replace(writer, lock, (object) => ({ ...specOf(object), renewTime: milliTime(clockMs) })),
    release: (lock) =>
      replace(writer, lock, (object) => ({ ...specOf(object), holderIdentity: null, renewTime: null })),
  };
}

/** No precondition at all. SOURCE: https://github.com/hendrikmaus/kube-leader-election (src/lease.rs) */
export function kubeLeaderElection(pod: Writer, manager: string): Client {
  const patch = (lock: Place, spec: Fields): Promise<Answer> =>
    pod.patch(lock, 'merge', lease(lock, spec), { manager });
  return {
    create: (lock, claim) => clientGo(pod).create(lock, claim),
    take: async (lock, { holder, durationS, clockMs }) => {
      const { body } = await pod.get(lock);
      return patch(lock, {
        ...bothTimes(offsetTime(clockMs)),
        leaseTransitions: transitionsOf(body) + 1,
        holderIdentity: holder,
        leaseDurationSeconds: durationS,
      });
    },
    renew: async (lock, clockMs) => {
      const { leaseDurationSeconds } = specOf((await pod.get(lock)).body);
      return patch(lock, { renewTime: offsetTime(clockMs), leaseDurationSeconds });
    },
    release: (lock, clockMs) => {
      const times = bothTimes(offsetTime(clockMs));
      return patch(lock, { ...times, leaseDurationSeconds: 1, holderIdentity: '' });
    },
  };
}

/** Of Linkerd; its count is an unsigned 16-bit number. SOURCE: https://github.com/olix0r/kubert (kubert/src/lease.rs) */
export function kubert(pod: Writer): Client {
  const manager = 'policy-controller';
  const guarded = async (
    lock: Place,
    type: 'apply' | 'strategic',
    change: (object: JsonObject) => Fields,
  ): Promise<Answer> => {
    const { body } = await pod.get(lock);
    const patch = lease(lock, change(body), { resourceVersion: versionOf(body) });
    return pod.patch(lock, type, patch, { manager, ...(type === 'apply' ? { force: true } : {}) });
  };
  return {
    // Resource version 0: only if there is none yet.
    create: (lock) => pod.patch(lock, 'apply', objectOf(lock, { resourceVersion: '0' }), { manager }),
    take: (lock, { holder, durationS, clockMs }) =>
      guarded(lock, 'apply', (object) => ({
        ...bothTimes(fineTime(clockMs)),
        holderIdentity: holder,
        leaseDurationSeconds: durationS,
        leaseTransitions: (transitionsOf(object) > 0xffff ? 0 : transitionsOf(object)) + 1,
      })),
    renew: (lock, clockMs) =>
      guarded(lock, 'strategic', (object) => ({
        renewTime: fineTime(clockMs),
        leaseDurationSeconds: specOf(object)['leaseDurationSeconds'],
      })),
    release: (lock) =>
      guarded(lock, 'strategic', () => ({
        acquireTime: null,
        renewTime: null,
        holderIdentity: null,
        leaseDurationSeconds: null,
      })),
  };
}

/** The writes of kube-lease-manager, which takes a lock in two requests. */
export interface KubeLeaseManager {
  createEmpty(lock: Place): Promise<Answer>;
  take(lock: Place, claim: Claim): Promise<Answer>;
  count(lock: Place): Promise<Answer>;
  /** Also by candidates, of a lock that they take to be expired. */
  release(lock: Place): Promise<Answer>;
}

/** SOURCE: https://github.com/alex-karpenko/kube-lease-manager (src/state.rs) */
export function kubeLeaseManager(pod: Writer, identity: string): KubeLeaseManager {
  const manager = `kube-lease-manager-${identity}`;
  return {
    createEmpty: (lock) => pod.post(lock, lease(lock, {})),
    take: (lock, { holder, durationS, clockMs }) =>
      pod.patch(
        lock,
        'apply',
        lease(lock, {
          ...bothTimes(fineTime(clockMs)),
          holderIdentity: holder,
          leaseDurationSeconds: durationS,
        }),
        { manager },
      ),
    count: async (lock) => {
      const leaseTransitions = transitionsOf((await pod.get(lock)).body) + 1;
      return pod.patch(lock, 'strategic', lease(lock, { leaseTransitions }), { manager });
    },
    release: (lock) =>
      pod.patch(
        lock,
        'strategic',
        lease(lock, { acquireTime: null, renewTime: null, holderIdentity: null, leaseDurationSeconds: null }),
        { manager },
      ),
  };
}

/** A standby knows no resource version. SOURCE: https://github.com/thedodd/kube-coordinate (src/lib.rs) */
export function kubeCoordinate(pod: Writer): Pick<Client, 'take'> {
  return {
    take: (lock, { holder, durationS, clockMs }) =>
      pod.patch(
        lock,
        'apply',
        lease(lock, {
          ...bothTimes(fineTime(clockMs)),
          holderIdentity: holder,
          leaseDurationSeconds: durationS,
          leaseTransitions: 1,
        }),
        { manager: 'kube-coordinate', force: true },
      ),
  };
}

/** Elixir. SOURCE: https://github.com/coryodaniel/bonny (lib/bonny/operator/leader_elector.ex) */
export function bonny(pod: Writer): Pick<Client, 'create' | 'take' | 'release'> {
  const writer = pod.using('hackney/1.20.1');
  const spec = ({ holder, durationS, clockMs }: Claim): Fields => ({
    holderIdentity: holder,
    leaseDurationSeconds: durationS,
    ...bothTimes(fineTime(clockMs)),
  });
  const apply = async (lock: Place, change: (object: JsonObject) => Fields): Promise<Answer> => {
    const { body } = await writer.get(lock);
    const object = lease(lock, change(body), { resourceVersion: versionOf(body) });
    return writer.patch(lock, 'apply', object, { manager: 'Bonny', force: true });
  };
  return {
    create: (lock, claim) => writer.post(lock, lease(lock, spec(claim))),
    take: (lock, claim) => apply(lock, () => spec(claim)),
    release: (lock) => apply(lock, (object) => ({ ...specOf(object), leaseDurationSeconds: 1 })),
  };
}

/** From scratch each time. SOURCE: https://github.com/coralogix/zio-k8s (LeaseLock.scala) */
export function zio(pod: Writer): Client {
  const writer = pod.using('sttp/3.3');
  const bare = (object: JsonObject): JsonObject => {
    const { name, namespace, resourceVersion } = objectAt(object, 'metadata');
    return { name, namespace, resourceVersion };
  };
  return {
    create: (lock, claim) => clientGo(writer).create(lock, claim),
    take: (lock, { holder, durationS, clockMs }) =>
      replace(
        writer,
        lock,
        () => ({
          holderIdentity: holder,
          leaseDurationSeconds: durationS,
          ...bothTimes(fineTime(clockMs)),
          leaseTransitions: 0,
        }),
        bare,
      ),
    renew: (lock, clockMs) =>
      replace(
        writer,
        lock,
        (object) => ({
          ...specOf(object),
          renewTime: fineTime(clockMs),
          leaseTransitions: transitionsOf(object) + 1,
        }),
        bare,
      ),
    release: (lock, clockMs) =>
      replace(
        writer,
        lock,
        (object) => ({
          ...specOf(object),
          leaseDurationSeconds: 1,
          ...bothTimes(fineTime(clockMs)),
        }),
        bare,
      ),
  };
}

/** The writes of pekko, whose heartbeat is the acquire time. */
export interface Pekko {
  createFree(lock: Place): Promise<Answer>;
  /** Acquires, beats, takes over: all the same. */
  write(lock: Place, holder: string): Promise<Answer>;
}

/** SOURCE: https://github.com/apache/pekko-management (lease-kubernetes) */
export function pekko(pod: Writer): Pekko {
  const writer = pod.using('pekko-http/1.2.0');
  return {
    createFree: (lock) => writer.post(lock, lease(lock, { holderIdentity: '' })),
    write: (lock, holder) =>
      replace(
        writer,
        lock,
        () => ({ holderIdentity: holder, acquireTime: microTime() }),
        (object) => {
          const { name, resourceVersion } = objectAt(object, 'metadata');
          return { name, resourceVersion };
        },
      ),
  };
}

/** Local time printed with a Z, in whole seconds. SOURCE: https://github.com/grosser/kubernetes_leader_election */
export function ruby(
  pod: Writer,
  owner: { readonly name: string; readonly uid: string },
): Pick<Client, 'create' | 'renew'> {
  const writer = pod.using('kubeclient/4.11.0');
  const seconds = (clockMs?: number): string => fineTime(clockMs).replace(/\.\d+Z$/u, '.000000Z');
  return {
    create: (lock, { holder, durationS, clockMs }) =>
      writer.post(
        lock,
        lease(
          lock,
          {
            acquireTime: seconds(clockMs),
            holderIdentity: holder,
            leaseDurationSeconds: durationS,
            leaseTransitions: 0,
            renewTime: seconds(clockMs),
          },
          { ownerReferences: [{ apiVersion: 'v1', kind: 'Pod', ...owner }] },
        ),
      ),
    renew: (lock, clockMs) => writer.patch(lock, 'strategic', { spec: { renewTime: seconds(clockMs) } }),
  };
}

/** client-go's fork, in which a revision of higher priority may take a live lock. SOURCE: https://github.com/istio/istio/tree/master/pilot/pkg/leaderelection */
export function istio(pod: Writer, holderKey: string): Pick<Client, 'create' | 'take'> {
  const writer = pod.using('pilot-discovery/v0.0.0 (linux/amd64) kubernetes/$Format');
  const annotations = { 'leader.istio.io/holder-key': holderKey };
  return {
    create: (lock, { holder, durationS, clockMs }) => {
      const times = bothTimes(fineTime(clockMs));
      const spec = { holderIdentity: holder, leaseDurationSeconds: durationS, ...times, leaseTransitions: 0 };
      return writer.post(lock, lease(lock, spec, { annotations }));
    },
    take: (lock, { holder, durationS, clockMs }) =>
      replace(
        writer,
        lock,
        (object) => ({
          holderIdentity: holder,
          leaseDurationSeconds: durationS,
          ...bothTimes(fineTime(clockMs)),
          leaseTransitions: transitionsOf(object) + 1,
        }),
        (object) => ({ ...objectAt(object, 'metadata'), annotations }),
      ),
  };
}

/** Takes a lock whose holder's pod is not ready, live or not. SOURCE: https://github.com/apache/camel (NativeLeaseResourceManager.java) */
export function camel(pod: Writer): Pick<Client, 'create' | 'take'> {
  const writer = pod.using('fabric8-kubernetes-client/6.13.4');
  return {
    create: (lock, { holder, durationS, clockMs }) => {
      const times = bothTimes(fineTime(clockMs));
      const spec = { holderIdentity: holder, leaseDurationSeconds: durationS, ...times };
      return writer.post(lock, lease(lock, spec, { labels: { provider: 'camel' } }));
    },
    take: (lock, { holder, durationS, clockMs }) =>
      replace(writer, lock, (object) => ({
        holderIdentity: holder,
        leaseDurationSeconds: durationS,
        ...bothTimes(fineTime(clockMs)),
        leaseTransitions: transitionsOf(object) + 1,
      })),
  };
}
