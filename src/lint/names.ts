/** Names that Kubernetes allows, and what patterns make of them. */
import { matchesPattern } from '../policy/pattern.ts';

/** What is named: locks are called like most objects, namespaces more strictly. */
export type Named = 'lock' | 'namespace';

/** SOURCE: https://kubernetes.io/docs/concepts/overview/working-with-objects/names/ (DNS subdomain, DNS label) */
const forms: Readonly<Record<Named, { readonly form: RegExp; readonly lengthMax: number }>> = {
  lock: {
    form: /^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$/,
    lengthMax: 253,
  },
  namespace: { form: /^[a-z0-9]([-a-z0-9]*[a-z0-9])?$/, lengthMax: 63 },
};

/** Whether Kubernetes allows the name. */
export function isName(name: string, named: Named): boolean {
  const { form, lengthMax } = forms[named];
  return name.length <= lengthMax && form.test(name);
}

/** A name that the pattern matches and Kubernetes allows, or null when there is none. */
export function nameFor(pattern: string, named: Named): string | null {
  const shortest = pattern.replaceAll(/\*+/g, (_, at: number) => {
    const before = pattern[at - 1] ?? '';
    const after = /[^*]/.exec(pattern.slice(at))?.[0] ?? '';
    return canMeet(before, after) ? '' : 'x';
  });
  return isName(shortest, named) ? shortest : null;
}

/** Whether two characters may stand side by side in a name, or one of them at its end. */
function canMeet(before: string, after: string): boolean {
  return before === '' || after === '' ? /[a-z0-9]/.test(before + after) : !/[-.]\.|\.-/.test(before + after);
}

/** A pattern for names that match both, or null when there are none. Not for all such names. */
export function meet(a: string, b: string): string | null {
  if (!a.includes('*')) return matchesPattern(b, a) ? a : null;
  if (!b.includes('*')) return matchesPattern(a, b) ? b : null;
  const [headA = '', ...restA] = a.split('*');
  const [headB = '', ...restB] = b.split('*');
  const head = longer(headA, headB, (long, short) => long.startsWith(short));
  const tail = longer(restA.pop() ?? '', restB.pop() ?? '', (long, short) => long.endsWith(short));
  return head === null || tail === null ? null : [head, ...restA, ...restB, tail].join('*');
}

function longer(a: string, b: string, agree: (long: string, short: string) => boolean): string | null {
  const [long, short] = a.length >= b.length ? [a, b] : [b, a];
  return agree(long, short) ? long : null;
}

/**
 * Whether every name that `pattern` matches is matched by `other` too. A star of `pattern` stands for anything, so only a star of
 * `other` can take it.
 */
export function isWithin(pattern: string, other: string): boolean {
  return matchesPattern(other, pattern);
}

/** Whether a pattern says nothing: `*`. */
export function isAnything(pattern: string): boolean {
  return /^\*+$/.test(pattern);
}
