/**
 * Continue tokens, sealed. A place among all records or locks would tell a caller how many others there are, so it is encrypted; and it is
 * bound to what was asked for, so that it opens nowhere else.
 */
import { createCipheriv, createDecipheriv, randomBytes } from 'node:crypto';

const algorithm = 'aes-256-gcm';
const ivBytes = 12;
const tagBytes = 16;
/** LIMIT: the key of a lock is 63 + 253 + 9 characters; in base64 with what is around it below 600. */
const sealedLengthMax = 700;

/** Seals and opens places. */
export class Seal {
  /** INVARIANT: of this process alone. What another replica has sealed, or an earlier life, is stale here anyhow. */
  readonly #key = randomBytes(32);

  /** Seals `place` for the very same question. */
  close(scope: string, place: string): string {
    const iv = randomBytes(ivBytes);
    const cipher = createCipheriv(algorithm, this.#key, iv).setAAD(Buffer.from(scope));
    const text = Buffer.concat([cipher.update(place, 'utf8'), cipher.final()]);
    return Buffer.concat([iv, cipher.getAuthTag(), text]).toString('base64url');
  }

  /** The place; null where the token is not of this process, or not for this question. */
  open(scope: string, token: string): string | null {
    if (token.length > sealedLengthMax) return null;
    const bytes = Buffer.from(token, 'base64url');
    if (bytes.length < ivBytes + tagBytes) return null;
    try {
      const decipher = createDecipheriv(algorithm, this.#key, bytes.subarray(0, ivBytes), {
        authTagLength: tagBytes,
      });
      decipher.setAAD(Buffer.from(scope)).setAuthTag(bytes.subarray(ivBytes, ivBytes + tagBytes));
      return decipher.update(bytes.subarray(ivBytes + tagBytes), undefined, 'utf8') + decipher.final('utf8');
    } catch {
      return null;
    }
  }
}
