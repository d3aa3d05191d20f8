/**
 * Who comes, and what they may see. INVARIANT: closed on failure. There is an answer only where the cluster's keys, then the API server's
 * TokenReview, then its SubjectAccessReview have said yes, each within the last minute.
 */
import { createHash } from 'node:crypto';
import { messageOf } from '../errors.ts';
import { Answers } from './answers.ts';
import { reviewGroup } from './ask.ts';
import { ClusterKeys, type ClusterKeysOptions } from './cluster-keys.ts';
import type { ReadLimits } from './limits.ts';
import { tooManyRequests, unauthorized, unavailable, type Refusal } from './refusal.ts';
import { Reviews, TooManyReviews, type Access, type User } from './reviews.ts';
import { hasTokenShape, readToken, type TokenFault, type TokenReading } from './token.ts';

/** What became of an attempt to say who one is. `rejected`: by the API server. */
export type AuthenticationOutcome =
  'accepted' | 'remembered' | 'missing' | TokenFault | 'rejected' | 'unavailable' | 'overload';

/** Somebody the cluster knows. */
export interface Caller {
  readonly user: User;
  /** Stands for the token, which is kept nowhere. */
  readonly key: string;
  /** When the token ends, by the API server's clock. */
  readonly expiresMs: number;
}

/** What the doorkeeper needs. */
export interface DoorkeeperOptions extends ClusterKeysOptions {
  readonly limits: ReadLimits;
  /** The API server's time, or the best that is known of it. */
  readonly nowMs: () => number;
  readonly onAuthenticated: (outcome: AuthenticationOutcome) => void;
  /** Told of what kept the API server from being asked. */
  readonly onFailure: (reason: string) => void;
}

type Verdict<T> = ({ readonly ok: true } & T) | { readonly ok: false; readonly refusal: Refusal };

/** Lets in, or does not. Nothing here rejects. */
export class Doorkeeper {
  readonly #options: DoorkeeperOptions;
  readonly #keys: ClusterKeys;
  readonly #reviews: Reviews;
  readonly #users: Answers<User | null>;
  readonly #rights: Answers<boolean>;

  constructor(options: DoorkeeperOptions) {
    const { client, limits, monotonicNow } = options;
    this.#options = options;
    this.#keys = new ClusterKeys(options);
    this.#reviews = new Reviews(client, limits);
    this.#users = new Answers(limits.rememberedMax, monotonicNow);
    this.#rights = new Answers(limits.rememberedMax, monotonicNow);
  }

  /** Who it is that sends this header. */
  async whoIs(authorization: string | undefined): Promise<Verdict<{ readonly caller: Caller }>> {
    const token = bearerIn(authorization);
    if (token === null) return this.#turnAway('missing', unauthorized);
    if (!hasTokenShape(token, this.#options.limits.tokenLengthMax))
      return this.#turnAway('malformed', unauthorized);
    try {
      const reading = await this.#read(token);
      if (!reading.ok) return this.#turnAway(reading.fault, unauthorized);
      return await this.#known(token, reading.expiresMs);
    } catch (error) {
      return this.#failed(error);
    }
  }

  /** Whether they may; a refusal where they may not, or where it cannot be told. */
  async mayThey({ user, key }: Caller, access: Access): Promise<Verdict<object>> {
    const { resource, verb, namespace } = access;
    const { yesMs, noMs } = this.#options.limits;
    try {
      const allowed = await this.#rights.of(JSON.stringify([key, resource, verb, namespace]), async () => {
        const value = await this.#reviews.mayThey(user, access);
        return { value, keepMs: value ? yesMs : noMs };
      });
      return allowed ? { ok: true } : { ok: false, refusal: forbidden(access) };
    } catch (error) {
      return { ok: false, refusal: this.#refusalFor(error) };
    }
  }

  async #read(token: string): Promise<TokenReading> {
    const { nowMs } = this.#options;
    const keys = await this.#keys.current();
    const reading = await readToken(token, keys, nowMs());
    if (reading.ok || reading.fault !== 'unknownKey') return reading;
    const newer = await this.#keys.newerThan(keys);
    return newer === null ? reading : readToken(token, newer, nowMs());
  }

  /** INVARIANT: only a token that the cluster has signed comes here, so what anybody can make up neither costs a question nor takes a place. */
  async #known(token: string, expiresMs: number): Promise<Verdict<{ readonly caller: Caller }>> {
    const { limits, nowMs, onAuthenticated } = this.#options;
    const key = createHash('sha256').update(token).digest('base64url');
    const isRemembered = this.#users.known(key) !== undefined;
    const user = await this.#users.of(key, async () => {
      const value = await this.#reviews.userOf(token);
      const leftMs = Math.max(0, expiresMs - nowMs());
      return { value, keepMs: value === null ? limits.noMs : Math.min(limits.yesMs, leftMs) };
    });
    if (user === null) return this.#turnAway('rejected', unauthorized);
    onAuthenticated(isRemembered ? 'remembered' : 'accepted');
    return { ok: true, caller: { user, key, expiresMs } };
  }

  #failed(error: unknown): { readonly ok: false; readonly refusal: Refusal } {
    const outcome = error instanceof TooManyReviews ? 'overload' : 'unavailable';
    return this.#turnAway(outcome, this.#refusalFor(error));
  }

  #refusalFor(error: unknown): Refusal {
    if (error instanceof TooManyReviews)
      return { ...tooManyRequests, code: 503, reason: 'ServiceUnavailable' };
    this.#options.onFailure(messageOf(error));
    return unavailable;
  }

  #turnAway(
    outcome: AuthenticationOutcome,
    refusal: Refusal,
  ): { readonly ok: false; readonly refusal: Refusal } {
    this.#options.onAuthenticated(outcome);
    return { ok: false, refusal };
  }
}

/** SOURCE: https://www.rfc-editor.org/rfc/rfc6750#section-2.1; the scheme's name is in any case */
function bearerIn(authorization: string | undefined): string | null {
  return /^bearer +(\S+)$/i.exec(authorization ?? '')?.[1] ?? null;
}

/** In the API server's words. INVARIANT: the same whether the namespace exists or not, and whatever is in it. */
function forbidden({ resource, verb, namespace }: Access): Refusal {
  const where = namespace === null ? 'at the cluster scope' : `in the namespace "${namespace}"`;
  return {
    code: 403,
    reason: 'Forbidden',
    message: `you cannot ${verb} resource "${resource}" in API group "${reviewGroup}" ${where}`,
  };
}
