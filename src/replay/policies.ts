/** Policies in files, put in force as in a cluster: manifests, or what `kubectl get -o yaml` prints. Pure. */
import { PolicyStore } from '../policy/store.ts';
import { at, isObject, listAt, textAt } from '../locks/json.ts';
import { readPolicy } from '../suite/manifests.ts';
import { readYaml, type Path, type YamlDocument } from '../yaml/places.ts';

/** A file, as it was read. */
export interface PolicyFile {
  readonly name: string;
  readonly text: string;
}

/** What is in force; or why it is not known, as `FILE:LINE:COLUMN: what is wrong`. */
export type ReadPolicies =
  { readonly store: PolicyStore; readonly policies: number } | { readonly faults: readonly string[] };

/**
 * Puts the policies of the files in force, and takes the labels of the namespaces that are in them. Of two policies of one name the
 * later counts; objects of other kinds are left alone.
 */
export function policiesIn(files: readonly PolicyFile[], ownNamespace: string): ReadPolicies {
  const store = new PolicyStore(ownNamespace);
  const faults: string[] = [];
  for (const { name, text } of files) {
    const wrong = (line: number, column: number, message: string): number =>
      faults.push(`${name}:${String(line)}:${String(column)}: ${message}`);
    const yaml = readYaml(text);
    if ('faults' in yaml) {
      for (const { line, column, message } of yaml.faults) wrong(line, column, message);
      continue;
    }
    for (const document of yaml.documents) {
      for (const { path, message } of document.value === null
        ? []
        : objectsOf(document).flatMap((each) => take(store, each))) {
        const { line, column } = document.placeOf(path);
        wrong(line, column, message);
      }
    }
  }
  return faults.length > 0 ? { faults } : { store, policies: [...store.policies].length };
}

interface Placed {
  readonly value: unknown;
  readonly path: Path;
}

/** The objects of a document: one, or those of a List. */
function objectsOf({ value }: YamlDocument): readonly Placed[] {
  if (textAt(value, 'kind') !== 'List') return [{ value, path: [] }];
  return listAt(value, 'items').map((item, index) => ({ value: item, path: ['items', index] }));
}

function take(store: PolicyStore, { value, path }: Placed): readonly { path: Path; message: string }[] {
  const kind = textAt(value, 'kind');
  if (kind === 'Namespace') takeNamespace(store, value);
  if (kind !== 'LockPolicy' && kind !== 'ClusterLockPolicy') return [];
  const { policies, faults } = readPolicy(value);
  for (const { ref, spec } of policies) store.put({ ref, generation: 1, spec });
  return faults.map((fault) => ({ path: [...path, ...fault.path], message: fault.message }));
}

function takeNamespace(store: PolicyStore, value: unknown): void {
  const name = textAt(value, 'metadata', 'name');
  const found = at(value, 'metadata', 'labels');
  const labels = Object.fromEntries(
    Object.entries(isObject(found) ? found : {}).map(([key, text]) => [key, String(text)] as const),
  );
  // The API server puts its name on each.
  if (name !== '') store.putNamespace(name, { 'kubernetes.io/metadata.name': name, ...labels });
}
