/** `failurePolicy: Fail` where it would do harm. */
import { unguardedNamespaces } from '../policy/built-in.ts';
import type { Path } from '../yaml/places.ts';
import type { Remark } from './finding.ts';
import { isAnything } from './names.ts';
import type { Subject, Surroundings } from './subject.ts';

/** Remarks about what happens while lockwarden does not answer. */
export function* failureRemarks({ spec, policy }: Subject, around: Surroundings): Generator<Remark> {
  if (spec.failurePolicy !== 'Fail') return;
  const path = ['spec', 'failurePolicy'];
  const { names, excludeNames, namespaces, namespaceSelector } = spec.match ?? {};
  if (names !== undefined || excludeNames !== undefined) {
    yield {
      rule: 'FailBeyondNames',
      path,
      message:
        'it holds for all locks of a namespace, not only for those that the policy names: a webhook configuration cannot tell locks apart',
      suggestion: 'say it in a policy without `names`, where everybody can see it',
    };
  }
  const { namespace, kind } = policy.ref;
  if (kind === 'LockPolicy') {
    if (isNeeded(namespace, around)) yield needed(namespace, path);
    return;
  }
  for (const [index, name] of (namespaces ?? []).entries()) {
    if (isNeeded(name, around)) yield needed(name, ['spec', 'match', 'namespaces', index]);
  }
  if (namespaceSelector === undefined && (namespaces?.some(isAnything) ?? true)) {
    yield {
      rule: 'FailEverywhere',
      path,
      message: 'while lockwarden does not answer, no lock of the cluster could change hands',
      suggestion: 'name the namespaces for which no leader is better than two',
    };
  }
}

function isNeeded(namespace: string, { ownNamespace }: Surroundings): boolean {
  return namespace === ownNamespace || unguardedNamespaces.includes(namespace);
}

function needed(namespace: string, path: Path): Remark {
  return {
    rule: 'FailWhereNeeded',
    path,
    message: `\`${namespace}\` never waits for lockwarden, so \`Fail\` does not hold there`,
    suggestion: `leave \`${namespace}\` to a policy with \`failurePolicy: Ignore\``,
  };
}
