/** Where the serving certificate comes from, as the replica sees it: what to serve, and what a leader does for it. */
import type { ReplicaFacts } from '../certs/facts.ts';
import type { LeafChoice } from '../certs/choose-leaf.ts';
import type { Issuer } from '../certs/carry-out.ts';
import type { ServableLeaf } from '../certs/verify.ts';
import type { Steward } from './duties.ts';
import type { ObservedBundles } from './observed-bundle.ts';

/** What a choice depends on besides the source itself. */
export interface ChoiceAt {
  /** The API server's time, in Unix milliseconds. */
  readonly nowMs: number;
  readonly observed: ObservedBundles;
  readonly served: ServableLeaf | null;
}

/** A source of certificates. */
export interface Certificates {
  /** Begins to look. The API server need not be there yet. */
  start(): void;
  stop(): Promise<void>;
  /** What to serve; null: too little is known to say. */
  choose(at: ChoiceAt): LeafChoice | null;
  /** PEM text of what API servers have to trust; null: not known. */
  needed(nowMs: number): string | null;
  /** Issues a leaf where `choose` says so. */
  mint(issuer: Issuer, nowMs: number): Promise<ServableLeaf>;
  /** The steward for one term. */
  steward(replicas: () => readonly ReplicaFacts[]): Steward;
}
