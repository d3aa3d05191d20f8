/** Whether an object of a file is a policy, and which. */
import { apiGroup, apiVersion } from '../policy/api.ts';
import type { PolicyRef } from '../policy/policy-ref.ts';
import { nearest } from '../yaml/nearest.ts';
import type { Path } from '../yaml/places.ts';
import type { Remark } from './finding.ts';
import { isName } from './names.ts';
import { schemas, valueAt } from './schema.ts';

type Kind = PolicyRef['kind'];

/** The namespace that kubectl puts what names none into, unless it is told otherwise. */
const namespaceDefault = 'default';

/** Objects of lockwarden’s API group that are read by others. */
const otherKinds: readonly string[] = ['LockTest'];

/** Whether the object is meant to be a policy. */
export function isPolicy(value: Readonly<Record<string, unknown>>): boolean {
  const { apiVersion: version, kind } = value;
  if (typeof kind === 'string' && otherKinds.includes(kind)) return false;
  return isKind(kind) || (typeof version === 'string' && version.startsWith(`${apiGroup}/`));
}

function isKind(kind: unknown): kind is Kind {
  return typeof kind === 'string' && Object.hasOwn(schemas, kind);
}

/** The policy's name, or what is wrong with it. */
export function refOf(value: Readonly<Record<string, unknown>>): PolicyRef | Remark {
  const { apiVersion: version, kind, spec } = value;
  const name = valueAt(value, ['metadata', 'name']);
  const namespace = valueAt(value, ['metadata', 'namespace']);
  if (!isKind(kind)) {
    const meant = typeof kind === 'string' ? nearest(kind, Object.keys(schemas)) : null;
    const advice =
      meant === null ? 'it is `LockPolicy` or `ClusterLockPolicy`' : `did you mean \`${meant}\`?`;
    return wrong(['kind'], `\`${textOf(kind)}\` is no kind of policy`, advice);
  }
  if (version !== apiVersion)
    return wrong(
      ['apiVersion'],
      `\`${textOf(version)}\` is not the version of a ${kind}`,
      `it is \`${apiVersion}\``,
    );
  if (typeof name !== 'string' || !isName(name, 'lock')) {
    const what =
      name === undefined ? 'the policy has no name' : `\`${textOf(name)}\` is no name of an object`;
    return wrong(['metadata', 'name'], what, 'give one of lower case letters, digits, `-` and `.`');
  }
  if (spec === undefined || spec === null)
    return wrong(['spec'], 'the policy has no `spec`', 'give one, if only `spec: {}`');
  if (kind === 'ClusterLockPolicy') {
    return namespace === undefined
      ? { kind, name, namespace: '' }
      : wrong(['metadata', 'namespace'], 'a ClusterLockPolicy is in no namespace', 'remove it');
  }
  if (namespace === undefined) return { kind, name, namespace: namespaceDefault };
  if (typeof namespace === 'string' && isName(namespace, 'namespace')) return { kind, name, namespace };
  return wrong(
    ['metadata', 'namespace'],
    `\`${textOf(namespace)}\` is no name of a namespace`,
    'give one of at most 63 lower case letters, digits and `-`',
  );
}

function wrong(path: Path, message: string, suggestion: string): Remark {
  return { rule: 'InvalidObject', path, message, suggestion };
}

function textOf(value: unknown): string {
  if (value === undefined) return '(nothing)';
  return typeof value === 'string' ? value : JSON.stringify(value);
}
