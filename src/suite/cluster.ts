/** What a test is played on: a model of an API server with a virtual clock, or a real one. */
import type { Reason } from '../core/reasons.ts';
import type { JsonObject } from '../locks/json.ts';
import type { Actor } from './suite.ts';

/** A write to the lock of a test. */
export type LockRequest =
  | { readonly verb: 'create' | 'replace'; readonly object: JsonObject }
  | { readonly verb: 'merge'; readonly patch: JsonObject }
  | { readonly verb: 'delete' };

/** What the API server answered. */
export interface Answer {
  /** HTTP status. */
  readonly status: number;
  /** Of a refusal; empty otherwise. */
  readonly message: string;
  readonly warnings: readonly string[];
  /** Why the write was recorded; null: it was not, or that cannot be seen. */
  readonly audited: Reason | null;
  /** Whether lockwarden was asked; null where that cannot be seen. */
  readonly asked: boolean | null;
}

/** The cluster of one test, with its one lock. */
export interface TestCluster {
  /** The API server's time, in Unix milliseconds. */
  nowMs(): number;
  /** Resolves at that time of the API server, or at once when it has passed. */
  until(ms: number): Promise<void>;
  /** The lock's object; null: there is none. */
  read(): Promise<JsonObject | null>;
  write(actor: Actor, request: LockRequest): Promise<Answer>;
}
