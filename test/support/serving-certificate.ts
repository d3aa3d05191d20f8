/** A certificate to serve, under an authority made for it alone, whose key is forgotten at once. */
import { createAuthority } from '../../src/certs/authority.ts';
import { issueLeaf, wholeSeconds, type Leaf } from '../../src/certs/leaf.ts';

/** A leaf with the root to trust (`caBundle`). */
export interface ServingCertificate extends Leaf {
  readonly caPem: string;
}

/** What to issue. `hosts` are DNS names and IP addresses; times in milliseconds. */
export interface ServingCertificateRequest {
  readonly hosts: readonly string[];
  readonly nowMs: number;
  readonly validityMs: number;
  /** How far before now it is valid already. */
  readonly backdateMs: number;
}

export async function issueServingCertificate(
  request: ServingCertificateRequest,
): Promise<ServingCertificate> {
  const { nowMs, validityMs, backdateMs } = request;
  const validity = {
    notBeforeMs: wholeSeconds(nowMs - backdateMs),
    notAfterMs: wholeSeconds(nowMs + validityMs),
  };
  const authority = await createAuthority(validity);
  const leaf = await issueLeaf(authority, request.hosts);
  return { caPem: `${authority.certificate.toString('pem')}\n`, ...leaf };
}
