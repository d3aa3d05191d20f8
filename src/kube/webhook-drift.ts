/** Comparing objects of the cluster with those that are wanted: the webhook configuration, and others that lockwarden owns. */
import { arrayAt, isObject, objectAt, stringAt, type JsonObject } from './json.ts';
import type { WebhookConfiguration } from './webhook-configuration.ts';

/** LIMIT: more paths than this say "everything", and belong in no log line. */
const pathsMax = 20;

/**
 * The paths at which `actual` differs from `desired`, at most `pathsMax`; empty when it need not be written.
 *
 * Lockwarden owns `webhooks` entirely: an entry or a selector that somebody added could switch the guard off, so what
 * is too much differs as well. Nothing is read as "defaulted": the desired entries spell out what the API server fills
 * in. Of the metadata only the desired labels count; others may add their own.
 */
export function drift(actual: unknown, desired: WebhookConfiguration): readonly string[] {
  const paths = labelDrift(actual, desired.metadata.labels);
  compare(arrayAt(actual, 'webhooks'), desired.webhooks, 'webhooks', paths);
  return paths.slice(0, pathsMax);
}

/** The same of an object whose `spec` lockwarden owns entirely. What the API server fills in where nothing stands must be empty, or be spelled out. */
export function specDrift(actual: unknown, desired: JsonObject): readonly string[] {
  const paths = labelDrift(actual, objectAt(objectAt(desired, 'metadata'), 'labels'));
  compare(objectAt(actual, 'spec'), objectAt(desired, 'spec'), 'spec', paths);
  return paths.slice(0, pathsMax);
}

function labelDrift(actual: unknown, desired: JsonObject): string[] {
  const labels = objectAt(objectAt(actual, 'metadata'), 'labels');
  return Object.keys(desired)
    .filter((key) => stringAt(labels, key) !== stringAt(desired, key))
    .map((key) => `metadata.labels[${key}]`);
}

function compare(actual: unknown, desired: unknown, path: string, paths: string[]): void {
  if (Array.isArray(actual) && Array.isArray(desired)) {
    const length = Math.max(actual.length, desired.length);
    for (let index = 0; index < length; index += 1) {
      compare(actual[index], desired[index], `${path}[${index}]`, paths);
    }
  } else if (isObject(actual) && isObject(desired)) {
    for (const key of new Set([...Object.keys(desired), ...Object.keys(actual)])) {
      compare(actual[key], desired[key], `${path}.${key}`, paths);
    }
  } else if (actual !== desired && !(isEmpty(actual) && isEmpty(desired))) {
    paths.push(path);
  }
}

/** NB: the API server omits an empty list, and may print an empty object that was not sent. */
function isEmpty(value: unknown): boolean {
  if (value == null) return true;
  return Array.isArray(value) ? value.length === 0 : isObject(value) && Object.keys(value).length === 0;
}
