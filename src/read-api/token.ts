/**
 * A token, looked at before the API server is asked about it: its shape, whom it is from and for, when it is valid, and whether the cluster
 * signed it. jose does the cryptography. What this lets through may still be revoked; what it stops costs the API server nothing.
 */
import { decodeJwt, decodeProtectedHeader, errors, jwtVerify, type JWTVerifyGetKey } from 'jose';

/** lockwarden's own audience: a token for the API server, or for anybody else, opens nothing here, and one for here opens nothing there. */
export const reviewAudience = 'lockwarden-review';

/** What the cluster signs by. */
export interface IssuerKeys {
  readonly issuer: string;
  readonly find: JWTVerifyGetKey;
}

/** Why a token is not worth a question. `unknownKey`: signed by a key that may be newer than what is known. */
export type TokenFault =
  'malformed' | 'issuer' | 'audience' | 'expired' | 'notYetValid' | 'unknownKey' | 'signature';

/** A token that the cluster has signed for lockwarden; or why it is none. */
export type TokenReading =
  { readonly ok: true; readonly expiresMs: number } | { readonly ok: false; readonly fault: TokenFault };

/**
 * What API servers sign tokens with. INVARIANT: asymmetric only; `none`, or an HMAC with a public key for its secret, is no signature.
 * SOURCE: https://github.com/kubernetes/kubernetes/blob/v1.36.3/pkg/serviceaccount/jwt.go (signerFromRSAPrivateKey, signerFromECDSAPrivateKey)
 */
const algorithms: readonly string[] = ['RS256', 'ES256', 'ES384', 'ES512'];
/** LIMIT: the API server's clock is known to within a second or two, and stamps tokens in whole seconds. The API server has the last word. */
const toleranceSeconds = 5;

/** Three parts in base64url of which a compact JWS is made, the last not empty. */
const compact = /^[\w-]+\.[\w-]+\.[\w-]+$/;

/** Whether it looks like a token at all. */
export function hasTokenShape(token: string, lengthMax: number): boolean {
  if (token.length > lengthMax || !compact.test(token)) return false;
  try {
    const { alg = '' } = decodeProtectedHeader(token);
    decodeJwt(token);
    return algorithms.includes(alg);
  } catch {
    return false;
  }
}

/** Reads a token that has the shape of one. `nowMs` is the API server's time. Never rejects. */
export async function readToken(
  token: string,
  { issuer, find }: IssuerKeys,
  nowMs: number,
): Promise<TokenReading> {
  const early = claimsFault(token, issuer);
  if (early !== null) return { ok: false, fault: early };
  try {
    const { payload } = await jwtVerify(token, find, {
      issuer,
      audience: reviewAudience,
      algorithms: [...algorithms],
      requiredClaims: ['exp', 'sub'],
      clockTolerance: toleranceSeconds,
      currentDate: new Date(nowMs),
    });
    return { ok: true, expiresMs: (payload.exp ?? 0) * 1_000 };
  } catch (error) {
    return { ok: false, fault: faultOf(error) };
  }
}

/**
 * What a token says of itself, unverified. INVARIANT: nothing is let through by it; it spares the arithmetic, and keeps tokens that are not even
 * meant for here from having keys looked for.
 */
function claimsFault(token: string, issuer: string): TokenFault | null {
  const { iss, aud } = decodeJwt(token);
  if (iss !== issuer) return 'issuer';
  const audiences = Array.isArray(aud) ? aud : [aud];
  return audiences.includes(reviewAudience) ? null : 'audience';
}

function faultOf(error: unknown): TokenFault {
  if (error instanceof errors.JWTExpired) return 'expired';
  if (error instanceof errors.JWKSNoMatchingKey) return 'unknownKey';
  if (error instanceof errors.JWTClaimValidationFailed) return faultsByClaim[error.claim] ?? 'malformed';
  if (error instanceof errors.JWTInvalid || error instanceof errors.JWSInvalid) return 'malformed';
  // INVARIANT: whatever else went wrong, it was not shown to be genuine.
  return 'signature';
}

const faultsByClaim: Readonly<Partial<Record<string, TokenFault>>> = {
  iss: 'issuer',
  aud: 'audience',
  nbf: 'notYetValid',
};
