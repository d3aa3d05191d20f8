/** Instants and certificates in words. */
import type { Certificate } from '../certs/certificate.ts';

/** An instant to the second, as Kubernetes writes it. */
export function instant(ms: number): string {
  return new Date(Math.floor(ms / 1_000) * 1_000).toISOString().replace('.000Z', 'Z');
}

/** LIMIT: 64 bits tell a cluster's leaves apart, and leave room for other columns. */
const shortLength = 16;

/** The beginning of a fingerprint, for people. */
export function short(fingerprint: string): string {
  return fingerprint.slice(0, shortLength);
}

/** Whose certificate it is: its common name, or its whole subject where it has none. */
export function nameOf({ x509 }: Certificate): string {
  const parts = x509.subject.split('\n');
  const common = parts.find((part) => part.startsWith('CN='));
  return common?.slice('CN='.length) ?? parts.join(', ');
}

/** DNS names and IP addresses that a leaf is for. */
export function hostsOf({ x509 }: Certificate): readonly string[] {
  const names: string | undefined = x509.subjectAltName;
  return (names ?? '').split(', ').flatMap((each) => /^(?:DNS|IP Address):(.+)$/.exec(each)?.[1] ?? []);
}

/** `a`, `a and b`, `a, b and c`. */
export function listed(items: readonly string[]): string {
  const last = items.at(-1) ?? '';
  return items.length < 2 ? last : `${items.slice(0, -1).join(', ')} and ${last}`;
}
