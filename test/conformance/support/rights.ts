/** What somebody may do, by roles, and what they did, by the API server's audit log. */
import { readFile } from 'node:fs/promises';

import { arrayAt, objectAt, stringAt, type JsonObject } from '../../../src/kube/json.ts';

/** One thing that may be done: a verb on a resource. */
export interface Grant {
  /** Role or ClusterRole. */
  readonly role: string;
  readonly group: string;
  /** With the subresource, as RBAC has it: `lockpolicies/status`. */
  readonly resource: string;
  readonly verb: string;
  /** The only object that it holds for; null: all. */
  readonly name: string | null;
  /** The only namespace that it holds for; null: all, and what is in none. */
  readonly namespace: string | null;
}

/** A request that was made. */
export interface Use extends Omit<Grant, 'role'> {
  /** HTTP status. */
  readonly code: number;
  readonly uri: string;
}

/** Audit policy that records every request of one user, when it begins to be answered and when it ends. */
export const auditPolicyFor = (user: string): string => `apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived]
rules:
  - level: Metadata
    users: ['${user}']
  - level: None
`;

/** What a Role or a ClusterRole grants, one by one. */
export function grantsOf(role: JsonObject): readonly Grant[] {
  const texts = (rule: unknown, key: string): readonly string[] => arrayAt(rule, key).map(String);
  const namespace = stringAt(objectAt(role, 'metadata'), 'namespace') || null;
  return arrayAt(role, 'rules').flatMap((rule) => {
    const names = texts(rule, 'resourceNames');
    return texts(rule, 'apiGroups').flatMap((group) =>
      texts(rule, 'resources').flatMap((resource) =>
        texts(rule, 'verbs').flatMap((verb) =>
          (names.length === 0 ? [null] : names).map((name) => ({
            role: stringAt(role, 'kind'),
            group,
            resource,
            verb,
            name,
            namespace,
          })),
        ),
      ),
    );
  });
}

/** Requests for resources, in an audit log; others (`/version`) everybody may make. */
export async function usesIn(auditLog: string): Promise<readonly Use[]> {
  const text = await readFile(auditLog, 'utf8');
  // NB: the last line may be on its way.
  const lines = text.slice(0, text.lastIndexOf('\n') + 1).split('\n');
  return lines.filter((line) => line !== '').flatMap((line) => useOf(JSON.parse(line) as JsonObject));
}

function useOf(event: JsonObject): readonly Use[] {
  const object = objectAt(event, 'objectRef');
  const [resource, subresource] = [stringAt(object, 'resource'), stringAt(object, 'subresource')];
  if (resource === '') return [];
  return [
    {
      group: stringAt(object, 'apiGroup'),
      resource: subresource === '' ? resource : `${resource}/${subresource}`,
      verb: stringAt(event, 'verb'),
      name: stringAt(object, 'name') || null,
      namespace: stringAt(object, 'namespace') || null,
      code: Number(objectAt(event, 'responseStatus')['code']),
      uri: stringAt(event, 'requestURI'),
    },
  ];
}

/** Whether `grant` lets `use` through, as RBAC decides. */
export function permits(grant: Grant, use: Use): boolean {
  return (
    grant.group === use.group &&
    grant.resource === use.resource &&
    grant.verb === use.verb &&
    (grant.name === null || grant.name === use.name) &&
    (grant.namespace === null || grant.namespace === use.namespace)
  );
}

/**
 * Grants that no request was let through by. What a Role lets through counts for the Role alone, so that a ClusterRole does not
 * stand for what is needed in one namespace.
 */
export function unused(grants: readonly Grant[], uses: readonly Use[]): readonly string[] {
  const local = grants.filter(({ namespace }) => namespace !== null);
  return grants
    .filter((grant) => {
      const made = uses.filter((use) => use.code < 300 && permits(grant, use));
      return grant.namespace === null
        ? made.every((use) => local.some((each) => permits(each, use)))
        : made.length === 0;
    })
    .map(describeGrant);
}

export function describeGrant({ role, verb, group, resource, name }: Grant): string {
  return `${role}: ${verb} ${resource}${group === '' ? '' : `.${group}`}${name === null ? '' : ` ${name}`}`;
}
