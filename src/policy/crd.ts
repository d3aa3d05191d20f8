/** The CustomResourceDefinitions of the policy API, made from its one source (api.ts). */
import type { z } from 'zod';
import { apiGroup, apiVersion, type PolicyKind } from './api.ts';
import { structuralSchemaOf, type JsonSchema } from './json-schema.ts';

/** A CustomResourceDefinition, as far as lockwarden's make use of it. */
export interface CustomResourceDefinition {
  readonly apiVersion: 'apiextensions.k8s.io/v1';
  readonly kind: 'CustomResourceDefinition';
  readonly metadata: { readonly name: string; readonly labels: Readonly<Record<string, string>> };
  readonly spec: {
    readonly group: string;
    readonly scope: 'Namespaced' | 'Cluster';
    readonly names: {
      readonly kind: string;
      readonly listKind: string;
      readonly plural: string;
      readonly singular: string;
      readonly shortNames: readonly string[];
      readonly categories: readonly string[];
    };
    readonly versions: readonly {
      readonly name: string;
      readonly served: boolean;
      readonly storage: boolean;
      readonly schema: { readonly openAPIV3Schema: JsonSchema };
      readonly subresources: { readonly status: object };
      readonly additionalPrinterColumns: readonly PrinterColumn[];
    }[];
  };
}

interface PrinterColumn {
  readonly name: string;
  readonly type: 'string' | 'integer' | 'date';
  readonly description: string;
  readonly jsonPath: string;
}

/** What `kubectl get` prints beside the name. */
const columns: readonly PrinterColumn[] = [
  {
    name: 'Enforcement',
    type: 'string',
    description: 'What violations cause. Empty where less specific policies decide.',
    jsonPath: '.spec.enforcement',
  },
  {
    name: 'Locks',
    type: 'integer',
    description: 'How many locks there are that the policy has a say in.',
    jsonPath: '.status.locksMatched',
  },
  {
    name: 'Rejections',
    type: 'integer',
    description: 'How many writes have been refused under it.',
    jsonPath: '.status.rejections',
  },
  {
    name: 'Ready',
    type: 'string',
    description: 'Whether the policy is in force.',
    jsonPath: '.status.conditions[?(@.type=="Ready")].status',
  },
  {
    name: 'Age',
    type: 'date',
    description: 'How long the policy has existed.',
    jsonPath: '.metadata.creationTimestamp',
  },
];

/** The CustomResourceDefinition of a kind of policy. `kubectl get lockwarden` lists all kinds. */
export function crdOf(policyKind: PolicyKind<z.ZodType>): CustomResourceDefinition {
  const { kind, plural, shortName, scope } = policyKind;
  return {
    apiVersion: 'apiextensions.k8s.io/v1',
    kind: 'CustomResourceDefinition',
    metadata: { name: `${plural}.${apiGroup}`, labels: { 'app.kubernetes.io/part-of': 'lockwarden' } },
    spec: {
      group: apiGroup,
      scope,
      names: {
        kind,
        listKind: `${kind}List`,
        plural,
        singular: kind.toLowerCase(),
        shortNames: [shortName],
        categories: ['lockwarden'],
      },
      versions: [
        {
          name: apiVersion.slice(apiGroup.length + 1),
          served: true,
          storage: true,
          schema: { openAPIV3Schema: structuralSchemaOf(policyKind) },
          subresources: { status: {} },
          additionalPrinterColumns: columns,
        },
      ],
    },
  };
}
