/** The actors of a test on a cluster: ServiceAccounts, pods that nobody runs and their tokens, and users that are impersonated. */
import type { KubeConfig } from '@kubernetes/client-node';
import type { LockRef } from '../../core/lock.ts';
import { createKubeClient, type KubeClient } from '../../kube/client.ts';
import {
  createAccount,
  createPod,
  grant,
  requestToken,
  untilAllowed,
  withToken,
  type BoundPod,
  type Subject,
} from '../../kube/identity.ts';
import { kinds } from '../lock-object.ts';
import type { Actor, Identity, Test } from '../suite.ts';
import type { Created } from './created.ts';

/** What actors are made of. */
export interface CastOptions {
  readonly config: KubeConfig;
  readonly admin: KubeClient;
  /** Takes what is made for this test alone. */
  readonly created: Created;
  /** Name for the Role of this test. */
  readonly roleName: string;
  readonly signal: AbortSignal;
}

/** LIMIT: no test lasts as long. */
const tokenSeconds = 3_600;
const verbs = ['get', 'create', 'update', 'patch', 'delete'];

/** The actors of one test, each with a client of its own. */
export class LiveCast {
  readonly #options: CastOptions;
  readonly #clients = new Map<string, KubeClient>();

  constructor(options: CastOptions) {
    this.#options = options;
  }

  /** Makes everybody who acts in the test, and waits until the API server knows and lets them. */
  async prepare(test: Test): Promise<void> {
    const { admin, created, roleName, signal } = this.#options;
    const { namespace, kind } = test.lock;
    const all = new Map(actorsOf(test).map((actor) => [keyOf(actor.as), actor.as]));
    const subjects = [
      ...new Map([...all.values()].map((as) => [JSON.stringify(subjectOf(as)), subjectOf(as)])).values(),
    ];
    const { group, resource } = kinds[kind];
    for (const as of all.values()) await this.#makeAccount(as);
    const rbac = `/apis/rbac.authorization.k8s.io/v1/namespaces/${namespace}`;
    const rules = [{ apiGroups: [group], resources: [resource], verbs }];
    created.claim(`${rbac}/roles/${roleName}`);
    created.claim(`${rbac}/rolebindings/${roleName}`);
    await grant(admin, { namespace, name: roleName }, { rules, subjects });
    await Promise.all(
      [...all].map(async ([key, as]) => {
        const client = await this.#connect(as);
        this.#clients.set(key, client);
        await untilAllowed(client, { namespace, group, resource, verb: 'delete' }, nameOf(as), signal);
      }),
    );
  }

  /** The client that writes as an actor. */
  clientOf({ as, name }: Actor): KubeClient {
    const client = this.#clients.get(keyOf(as));
    if (client === undefined) throw new Error(`the actor ${name} has not been prepared`);
    return client;
  }

  close(): void {
    for (const client of this.#clients.values()) client.close();
  }

  async #makeAccount(as: Identity): Promise<void> {
    if (as.kind === 'user') return;
    const { admin, created } = this.#options;
    const { namespace, name } = as;
    const path = `/api/v1/namespaces/${namespace}/serviceaccounts/${name}`;
    await created.makeIfAbsent(path, () => createAccount(admin, { namespace, name }));
  }

  async #connect(as: Identity): Promise<KubeClient> {
    const { admin, config } = this.#options;
    if (as.kind === 'user') {
      return createKubeClient(config, { impersonate: { user: as.name, groups: as.groups } });
    }
    const pod = await this.#makePod(as);
    const token = await requestToken(admin, as, { pod, expirationSeconds: tokenSeconds });
    return createKubeClient(withToken(config, token));
  }

  #makePod({ namespace, name, pod }: Extract<Identity, { kind: 'account' }>): Promise<BoundPod | null> {
    if (pod === null) return Promise.resolve(null);
    const { admin, created } = this.#options;
    return created.make(`/api/v1/namespaces/${namespace}/pods/${pod}`, () =>
      createPod(admin, { namespace, name: pod }, name),
    );
  }
}

/** Everybody who acts in a test, each once. */
export function actorsOf({ start, steps }: Test): readonly Actor[] {
  return [...new Set([...(start === null ? [] : [start.by]), ...steps.map(({ actor }) => actor)])];
}

/** The namespaces that a test needs: its lock's and its actors'. */
export function namespacesOf(test: Test): readonly string[] {
  const theirs = actorsOf(test).flatMap(({ as }) => (as.kind === 'account' ? [as.namespace] : []));
  return [...new Set([test.lock.namespace, ...theirs])];
}

/** The same test with its lock and its actors in another namespace, where they are in `from`. */
export function movedTo(test: Test, from: string, to: string): Test {
  const lock: LockRef = { ...test.lock, namespace: test.lock.namespace === from ? to : test.lock.namespace };
  const moved = (actor: Actor): Actor => {
    const { as } = actor;
    return as.kind === 'account' && as.namespace === from
      ? { ...actor, as: { ...as, namespace: to } }
      : actor;
  };
  return {
    ...test,
    lock,
    start: test.start === null ? null : { ...test.start, by: moved(test.start.by) },
    steps: test.steps.map((step) => ({ ...step, actor: moved(step.actor) })),
  };
}

function subjectOf(as: Identity): Subject {
  return as.kind === 'user'
    ? { kind: 'User', apiGroup: 'rbac.authorization.k8s.io', name: as.name }
    : { kind: 'ServiceAccount', namespace: as.namespace, name: as.name };
}

function keyOf(as: Identity): string {
  return JSON.stringify(as);
}

function nameOf(as: Identity): string {
  if (as.kind === 'user') return `the user \`${as.name}\``;
  return as.pod === null ? `the ServiceAccount \`${as.name}\`` : `the pod \`${as.pod}\``;
}
