/**
 * ConfigMaps and Endpoints of older clients: the record is the JSON in one annotation. Only metadata is looked at, so
 * a PartialObjectMetadata reads the same as the whole object.
 */
import type { LockState } from '../core/lock.ts';
import { at, textAt } from './json.ts';
import { readJsonRecord } from './json-record.ts';
import { readStamps, type OwnedFields } from './stamps.ts';
import { readVersion } from './version.ts';

/** SOURCE: https://github.com/kubernetes/client-go/blob/master/tools/leaderelection/resourcelock/interface.go (LeaderElectionRecordAnnotationKey) */
export const leaderAnnotation = 'control-plane.alpha.kubernetes.io/leader';

const annotationField = ['f:metadata', 'f:annotations', `f:${leaderAnnotation}`];
const owned: OwnedFields = { renewTime: annotationField, holder: annotationField };

/** Reads a ConfigMap or Endpoints. Total. */
export function readAnnotated(object: unknown): LockState {
  const text = at(object, 'metadata', 'annotations', leaderAnnotation);
  return {
    uid: textAt(object, 'metadata', 'uid'),
    version: readVersion(object),
    reading: typeof text === 'string' ? readJsonRecord(text) : { kind: 'none' },
    stamps: readStamps(object, owned),
    terminating: textAt(object, 'metadata', 'deletionTimestamp') !== '',
  };
}

/** Whether an object carries a record at all, readable or not. */
export function carriesRecord(object: unknown): boolean {
  return at(object, 'metadata', 'annotations', leaderAnnotation) !== undefined;
}
