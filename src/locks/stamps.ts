/**
 * `metadata.managedFields`, reduced to what evidence needs.
 * SOURCE: https://github.com/kubernetes/apimachinery/blob/master/pkg/apis/meta/v1/types.go (ManagedFieldsEntry)
 */
import { stampEntriesMax, type StampEntry, type Stamps } from '../core/lock.ts';
import { isObject, at, listAt, textAt } from './json.ts';
import { instantOf } from './recorded-time.ts';

/** Where, within an entry's `fieldsV1`, the ownership of renew time and holder stands. */
export interface OwnedFields {
  readonly renewTime: readonly string[];
  readonly holder: readonly string[];
}

/** Reads the stamps of an object. Total; entries that are no objects count, but say nothing. */
export function readStamps(object: unknown, fields: OwnedFields): Stamps {
  const list = listAt(object, 'metadata', 'managedFields');
  const entries = list.slice(0, stampEntriesMax).map((entry) => readEntry(entry, fields));
  return { entries, count: list.length };
}

function readEntry(entry: unknown, fields: OwnedFields): StampEntry {
  const manager = textAt(entry, 'manager');
  const operation = textAt(entry, 'operation');
  // An applier keeps its entry whatever version it applies in; an updater has one for each version.
  // SOURCE: https://github.com/kubernetes/apimachinery/blob/master/pkg/util/managedfields/internal/managedfields.go (BuildManagerIdentifier)
  const apiVersion = operation === 'Apply' ? '' : textAt(entry, 'apiVersion');
  const owned = at(entry, 'fieldsV1');
  return {
    key: JSON.stringify([manager, operation, apiVersion, textAt(entry, 'subresource')]),
    manager,
    at: instantOf(textAt(entry, 'time')),
    ownsRenewTime: isObject(at(owned, ...fields.renewTime)),
    ownsHolder: isObject(at(owned, ...fields.holder)),
  };
}
