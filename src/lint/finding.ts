/** What lint finds: the rules by name, and what a finding says. */
import type { Path } from '../yaml/places.ts';

/** An error makes the policy do something else than it says, or nothing; a warning may be meant. */
export type Severity = 'error' | 'warning';

/** The rules. Their names are stable: people search for them. */
export const lintRules = {
  /** The text is no YAML. */
  InvalidYaml: 'error',
  /** Version, kind, name or namespace is not that of a policy. */
  InvalidObject: 'error',
  /** A field that the API does not have, which the API server drops. */
  UnknownField: 'error',
  /** Locks are to be selected by their labels, which clients drop. */
  LabelSelection: 'error',
  /** A value that the field does not take. */
  InvalidValue: 'error',
  /** An entry that stands twice in a list of which the API server takes each once. */
  DuplicateEntry: 'error',
  /** Two policies under one name. */
  DuplicatePolicy: 'error',
  /** A pattern that matches no name there can be, or only names that are left out again. */
  MatchesNothing: 'error',
  /** Locks that no policy of this kind covers. */
  NeverCovered: 'error',
  /** Bounds between which there is no lease. */
  NoLeasePossible: 'error',
  /** A tolerance that leaves no lease protected. */
  NeverProtected: 'error',
  /** `Fail` where lockwarden, or the cluster, could not start without lockwarden. */
  FailWhereNeeded: 'error',
  /** An expression compares with a value that there is not. */
  ImpossibleComparison: 'error',
  /** Two policies that are equally specific and disagree. */
  ConflictingPolicies: 'error',
  /** A file without a policy. */
  NoPolicy: 'warning',
  /** A value that a floor overrules. */
  BelowFloor: 'warning',
  /** A pattern that leaves out what was not meant anyhow. */
  ExcludesNothing: 'warning',
  /** A pattern that does not cover all that it matches. */
  CoversLess: 'warning',
  /** A lease too short for client-go to be held safely. */
  ShortLease: 'warning',
  /** A tolerance that leaves some leases unprotected. */
  LongTolerance: 'warning',
  /** `Fail` for some locks, which their whole namespace gets. */
  FailBeyondNames: 'warning',
  /** `Fail` for every namespace. */
  FailEverywhere: 'warning',
} as const satisfies Record<string, Severity>;

/** The name of a rule. */
export type LintRule = keyof typeof lintRules;

/** What a rule says about one policy: where in the object, and two clauses in lower case. */
export interface Remark {
  readonly rule: LintRule;
  readonly path: Path;
  readonly message: string;
  readonly suggestion: string;
}

/** A remark with its place in a file. Lines and columns are counted from 1. */
export interface Finding {
  readonly file: string;
  readonly line: number;
  readonly column: number;
  readonly severity: Severity;
  readonly rule: LintRule;
  readonly message: string;
  readonly suggestion: string;
}
