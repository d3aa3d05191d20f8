/** How older clients write the annotation of ConfigMaps and Endpoints: JSON dialects, times, and what they send around it. */
import { objectAt, stringAt, type JsonObject } from '../../../../src/kube/json.ts';
import { leaderAnnotation, microTime } from '../../../kube/support/cluster.ts';
import type { Claim } from './leases.ts';
import { objectOf, type Answer, type Place, type Writer } from './writer.ts';

/** The writes of one client. */
export interface RecordClient {
  create(lock: Place, claim: Claim): Promise<Answer>;
  take(lock: Place, claim: Claim): Promise<Answer>;
  renew(lock: Place, clockMs?: number): Promise<Answer>;
}

type JsonRecord = Readonly<Record<string, unknown>>;

/** The record in an object's annotation; empty where there is none. */
function recordIn(object: JsonObject): JsonRecord {
  const text = stringAt(objectAt(objectAt(object, 'metadata'), 'annotations'), leaderAnnotation);
  return JSON.parse(text === '' ? '{}' : text) as JsonRecord;
}

/** `object` with its metadata's annotations changed. */
export function withAnnotations(
  object: JsonObject,
  change: (annotations: JsonObject) => JsonObject,
): JsonObject {
  const metadata = objectAt(object, 'metadata');
  return { ...object, metadata: { ...metadata, annotations: change(objectAt(metadata, 'annotations')) } };
}

/** In whole seconds. SOURCE: https://github.com/kubernetes/client-go/blob/release-1.23/tools/leaderelection/resourcelock */
export function clientGo23(pod: Writer): RecordClient {
  const writer = pod.using('manager/v0.0.0 (linux/amd64) kubernetes/$Format');
  const seconds = (clockMs?: number): string => microTime(clockMs).replace(/\.\d+Z$/u, 'Z');
  const replace = async (lock: Place, change: (record: JsonRecord) => JsonRecord): Promise<Answer> => {
    const { body } = await writer.get(lock);
    const json = JSON.stringify(change(recordIn(body)));
    return writer.put(
      lock,
      withAnnotations(body, (each) => ({ ...each, [leaderAnnotation]: json })),
    );
  };
  const record = ({ holder, durationS, clockMs }: Claim, leaderTransitions: number): JsonRecord => ({
    holderIdentity: holder,
    leaseDurationSeconds: durationS,
    acquireTime: seconds(clockMs),
    renewTime: seconds(clockMs),
    leaderTransitions,
  });
  return {
    create: (lock, claim) => {
      const annotations = { [leaderAnnotation]: JSON.stringify(record(claim, 0)) };
      return writer.post(lock, objectOf(lock, { annotations }));
    },
    take: (lock, claim) =>
      replace(lock, ({ leaderTransitions }) => record(claim, Number(leaderTransitions ?? 0) + 1)),
    renew: (lock, clockMs) => replace(lock, (old) => ({ ...old, renewTime: seconds(clockMs) })),
  };
}

/**
 * Local times without a zone, the duration as a text, no count; where the key is missing it replaces all annotations.
 * SOURCE: https://github.com/kubernetes-client/python/blob/master/kubernetes/leaderelection/resourcelock/configmaplock.py
 */
export function pythonConfigMap(pod: Writer): RecordClient {
  const writer = pod.using('OpenAPI-Generator/37.0.2/python');
  const naive = (clockMs?: number): string => microTime(clockMs, 468).replace('T', ' ').replace('Z', '');
  const dumps = (record: JsonRecord): string =>
    JSON.stringify(record).replaceAll('":"', '": "').replaceAll('","', '", "');
  const record = ({ holder, durationS, clockMs }: Claim): JsonRecord => ({
    holderIdentity: holder,
    leaseDurationSeconds: String(durationS),
    acquireTime: naive(clockMs),
    renewTime: naive(clockMs),
  });
  const replace = async (lock: Place, change: (record: JsonRecord) => JsonRecord): Promise<Answer> => {
    const { body } = await writer.get(lock);
    const json = dumps(change(recordIn(body)));
    return writer.put(
      lock,
      withAnnotations(body, (each) => ({
        ...(leaderAnnotation in each ? each : {}),
        [leaderAnnotation]: json,
      })),
    );
  };
  return {
    create: (lock, claim) =>
      writer.post(lock, objectOf(lock, { annotations: { [leaderAnnotation]: dumps(record(claim)) } })),
    take: (lock, claim) => replace(lock, () => record(claim)),
    renew: (lock, clockMs) => replace(lock, (old) => ({ ...old, renewTime: naive(clockMs) })),
  };
}

/** Of Flink: ISO-8601 durations, microseconds, labels. SOURCE: https://github.com/fabric8io/kubernetes-client (ConfigMapLock.java) */
export function fabric8ConfigMap(pod: Writer, labels: JsonObject): RecordClient {
  const writer = pod.using('fabric8-kubernetes-client/7.9.0');
  const record = ({ holder, durationS, clockMs }: Claim, leaderTransitions: number): JsonRecord => ({
    holderIdentity: holder,
    leaseDuration: `PT${String(durationS)}S`,
    acquireTime: microTime(clockMs),
    renewTime: microTime(clockMs),
    leaderTransitions,
  });
  const patch = async (lock: Place, change: (record: JsonRecord) => JsonRecord): Promise<Answer> => {
    const { body } = await writer.get(lock);
    const { resourceVersion } = objectAt(body, 'metadata');
    const annotations = { [leaderAnnotation]: JSON.stringify(change(recordIn(body))) };
    return writer.patch(lock, 'merge', objectOf(lock, { annotations, resourceVersion }));
  };
  return {
    create: (lock, claim) => {
      const annotations = { [leaderAnnotation]: JSON.stringify(record(claim, 0)) };
      return writer.post(lock, { ...objectOf(lock, { annotations, labels }), data: { address: 'akka.tcp' } });
    },
    take: (lock, claim) =>
      patch(lock, ({ leaderTransitions }) => record(claim, Number(leaderTransitions ?? 0) + 1)),
    renew: (lock, clockMs) => patch(lock, (old) => ({ ...old, renewTime: microTime(clockMs) })),
  };
}
