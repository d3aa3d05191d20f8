/**
 * `metadata.resourceVersion` as a number. It is etcd's revision: one counter for all that is stored, so versions tell which of two
 * writes came first.
 * SOURCE: https://github.com/kubernetes/enhancements/tree/master/keps/sig-api-machinery/5504-comparable-resource-version
 */
import { textAt } from './json.ts';

/** LIMIT: fifteen digits are exact as a number, and a million writes a second for thirty years. */
const versionPattern = /^[1-9]\d{0,14}$/;

/** Reads the resource version of an object; null where it has none, or one of another form. */
export function readVersion(object: unknown): number | null {
  const text = textAt(object, 'metadata', 'resourceVersion');
  return versionPattern.test(text) ? Number(text) : null;
}
