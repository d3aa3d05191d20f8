/** A lock as it is typed. */
import type { LockKind } from '../core/lock.ts';
import { LockwardenError } from '../errors.ts';

/** As kubectl takes them: singular, plural and short. */
const kinds: ReadonlyMap<string, LockKind> = new Map([
  ['lease', 'Lease'],
  ['leases', 'Lease'],
  ['configmap', 'ConfigMap'],
  ['configmaps', 'ConfigMap'],
  ['cm', 'ConfigMap'],
  ['endpoints', 'Endpoints'],
  ['ep', 'Endpoints'],
]);

/** Kind and name of `lease/NAME`. @throws LockwardenError for what names no lock */
export function lockNamed(text: string): { readonly kind: LockKind; readonly name: string } {
  const [word = '', name = '', ...rest] = text.split('/');
  const kind = kinds.get(word.toLowerCase());
  if (kind !== undefined && name !== '' && rest.length === 0) return { kind, name };
  throw new LockwardenError(
    'UsageInvalid',
    `\`${text}\` names no lock: give lease/NAME, configmap/NAME or endpoints/NAME`,
  );
}

/** The same, where a name alone will do; its kind is null then. */
export function lockOrName(text: string): { readonly kind: LockKind | null; readonly name: string } {
  return text === '' || text.includes('/') ? lockNamed(text) : { kind: null, name: text };
}
