/** SOURCE: https://www.rfc-editor.org/rfc/rfc7396 (JSON Merge Patch) */
import { isObject, type JsonObject } from '../../locks/json.ts';

/** `target` with `patch` merged into it: null removes, objects are merged, everything else replaces. */
export function mergePatch(target: JsonObject, patch: JsonObject): JsonObject {
  const result = new Map(Object.entries(target));
  for (const [key, value] of Object.entries(patch)) {
    if (value === null) result.delete(key);
    else if (isObject(value)) {
      const before = result.get(key);
      result.set(key, mergePatch(isObject(before) ? before : {}, value));
    } else result.set(key, value);
  }
  return Object.fromEntries(result);
}
