/** A suite as it is run: checked, with its defaults filled in and durations in milliseconds. */
import type { LockRef } from '../core/lock.ts';
import type { PolicyRef } from '../policy/policy-ref.ts';
import type { Labels } from '../policy/selector.ts';
import type { Expectation } from './format.ts';

/** Whom the API server takes an actor for. */
export type Identity =
  | {
      readonly kind: 'account';
      readonly namespace: string;
      readonly name: string;
      /** The pod that the token is bound to, of the same namespace; null: none. */
      readonly pod: string | null;
    }
  | { readonly kind: 'user'; readonly name: string; readonly groups: readonly string[] };

/** Someone who writes. */
export interface Actor {
  readonly name: string;
  readonly as: Identity;
  /** What it writes as the holder. */
  readonly identity: string;
  /** How far its clock is ahead; negative: behind. */
  readonly clockMs: number;
  readonly leaseDurationMs: number;
  readonly fieldManager: string;
}

/** What an actor does. Durations are whole seconds, in milliseconds; null: that of the lock as it is. */
export type Action =
  | {
      readonly kind: 'acquire' | 'takeOver' | 'recreate';
      readonly holder: string;
      readonly leaseDurationMs: number;
    }
  | { readonly kind: 'renew'; readonly holder: string; readonly leaseDurationMs: number | null }
  | { readonly kind: 'release' | 'delete' }
  | { readonly kind: 'patch'; readonly body: Readonly<Record<string, unknown>> };

/** One thing that happens, and what must come of it. */
export interface Step {
  readonly line: number;
  readonly atMs: number;
  readonly actor: Actor;
  readonly action: Action;
  readonly expect: Expectation;
}

/** The lock as time 0 finds it. */
export interface Start {
  /** Who makes it: its holder, if it has one. */
  readonly by: Actor;
  /** False: the object exists, and nobody holds it. */
  readonly held: boolean;
  readonly leaseDurationMs: number;
  readonly renewedMs: number;
  readonly transitions: number;
}

/** One test. */
export interface Test {
  readonly name: string;
  readonly line: number;
  readonly lock: LockRef;
  /** Null: there is no lock at the beginning. */
  readonly start: Start | null;
  readonly steps: readonly Step[];
  /** The policies that must cover the lock; null: any, if the suite has any. */
  readonly coveredBy: readonly string[] | null;
}

/** A policy under test, as a file has it. */
export interface PolicyManifest {
  readonly ref: PolicyRef;
  /** Whether it names its namespace; one that does not goes where the lock of a test is. */
  readonly named: boolean;
  readonly spec: unknown;
}

/** A file of tests. */
export interface Suite {
  readonly name: string;
  readonly path: string;
  readonly policies: readonly PolicyManifest[];
  /** Labels of namespaces, by name. */
  readonly namespaces: ReadonlyMap<string, Labels>;
  readonly tests: readonly Test[];
  /** Paths of the files that the suite was read from, its own first. */
  readonly files: readonly string[];
}
