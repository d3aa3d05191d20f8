/** The two questions that are put to the API server: whose token this is, and whether they may. */
import type { KubeClient } from '../kube/client.ts';
import { arrayAt, isObject, objectAt, stringAt, type JsonObject } from '../kube/json.ts';
import { reviewGroup, type Ask } from './ask.ts';
import type { ReadLimits } from './limits.ts';
import { reviewAudience } from './token.ts';

/** A user, as the API server knows them. */
export interface User {
  readonly username: string;
  readonly uid: string;
  readonly groups: readonly string[];
  readonly extra: Readonly<Record<string, readonly string[]>>;
}

/** What somebody wants to do. */
export type Access = Pick<Ask, 'resource' | 'verb' | 'namespace'>;

/** The API server was not asked, since too much is under way already. */
export class TooManyReviews extends Error {
  override readonly name = 'TooManyReviews';
}

/** LIMIT: a user with a thousand groups takes some 100 KiB. */
const answerBytesMax = 1024 * 1024;

/** Asks. Both methods throw a KubeError, or TooManyReviews, where there is no answer. */
export class Reviews {
  readonly #client: Pick<KubeClient, 'request'>;
  readonly #limits: Pick<ReadLimits, 'reviewsInFlightMax' | 'reviewTimeoutMs'>;
  #inFlight = 0;

  constructor(
    client: Pick<KubeClient, 'request'>,
    limits: Pick<ReadLimits, 'reviewsInFlightMax' | 'reviewTimeoutMs'>,
  ) {
    this.#client = client;
    this.#limits = limits;
  }

  /** Whose token it is; null: nobody's, or not for lockwarden's audience. */
  async userOf(token: string): Promise<User | null> {
    const status = await this.#ask('authentication.k8s.io', 'TokenReview', {
      token,
      audiences: [reviewAudience],
    });
    // INVARIANT: an authenticator that knows nothing of audiences leaves them out, and then the token may be for anybody.
    const isForUs = arrayAt(status, 'audiences').includes(reviewAudience);
    if (status['authenticated'] !== true || !isForUs) return null;
    const user = userIn(objectAt(status, 'user'));
    return user.username === '' || user.username === 'system:anonymous' ? null : user;
  }

  /** Whether the API server's authorisers let them. */
  async mayThey(user: User, { resource, verb, namespace }: Access): Promise<boolean> {
    const { username, uid, groups, extra } = user;
    const status = await this.#ask('authorization.k8s.io', 'SubjectAccessReview', {
      ...{ user: username, uid, groups, extra },
      // SOURCE: https://kubernetes.io/docs/reference/kubernetes-api/authorization-resources/subject-access-review-v1/ (an empty namespace: all)
      resourceAttributes: { group: reviewGroup, version: 'v1', resource, verb, namespace: namespace ?? '' },
    });
    return status['allowed'] === true && status['denied'] !== true;
  }

  async #ask(group: string, kind: string, spec: object): Promise<JsonObject> {
    if (this.#inFlight >= this.#limits.reviewsInFlightMax)
      throw new TooManyReviews('too many questions to the API server are under way');
    this.#inFlight += 1;
    try {
      const { body } = await this.#client.request({
        method: 'POST',
        path: `/apis/${group}/v1/${kind.toLowerCase()}s`,
        body: { apiVersion: `${group}/v1`, kind, spec },
        timeoutMs: this.#limits.reviewTimeoutMs,
        bytesMax: answerBytesMax,
      });
      return objectAt(body, 'status');
    } finally {
      this.#inFlight -= 1;
    }
  }
}

function userIn(user: JsonObject): User {
  const extra = Object.entries(objectAt(user, 'extra')).map(
    ([key, values]) => [key, arrayAt({ values }, 'values').map(String)] as const,
  );
  return {
    username: stringAt(user, 'username'),
    uid: stringAt(user, 'uid'),
    groups: arrayAt(user, 'groups').map(String),
    // NB: such a key would be the prototype of the new object and not an entry.
    extra: isObject(user) ? Object.fromEntries(extra.filter(([key]) => key !== '__proto__')) : {},
  };
}
