/** What lint looks at. */
import type { ClusterLockPolicySpec } from '../policy/api.ts';
import type { Policy } from '../policy/policy.ts';
import type { Labels } from '../policy/selector.ts';
import type { Path, Place } from '../yaml/places.ts';

/** A file, as it was read. */
export interface SourceFile {
  readonly name: string;
  readonly text: string;
}

/** An object of a file. */
export interface Manifest {
  readonly file: string;
  readonly value: Readonly<Record<string, unknown>>;
  readonly placeOf: (path: Path) => Place;
}

/** A policy that parsePolicy takes. */
export interface Subject {
  readonly manifest: Manifest;
  readonly spec: ClusterLockPolicySpec;
  readonly policy: Policy;
}

/** What is around the policies. */
export interface Surroundings {
  readonly ownNamespace: string;
  /** Labels of the namespaces whose manifests are among the files. */
  readonly namespaces: ReadonlyMap<string, Labels>;
}
