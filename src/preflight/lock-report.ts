/** What a report says of one lock, and where it was seen. */
import type { LockKind } from '../core/lock.ts';
import type { ClientForm } from './client-form.ts';
import type { Offence } from './offences.ts';

/** Where it was seen. `from` and `to` in Unix milliseconds; null: nothing was seen. */
export type ReportSource =
  | {
      readonly kind: 'watch';
      readonly server: string;
      readonly namespace: string | null;
      readonly watchedMs: number;
      /** The kinds of lock that could be watched. */
      readonly kinds: readonly string[];
    }
  | {
      readonly kind: 'audit-log';
      readonly name: string;
      readonly namespace: string | null;
      readonly lines: number;
      readonly from: number | null;
      readonly to: number | null;
    };

/** An offence as it is reported: times as Kubernetes writes them, the writers' text made printable. */
export interface ReportedOffence extends Omit<Offence, 'firstAt' | 'lastAt'> {
  readonly firstAt: string;
  readonly lastAt: string;
}

/** One lock. Durations in milliseconds; null where nothing was seen of it. */
export interface LockReport {
  readonly kind: LockKind;
  readonly namespace: string;
  readonly name: string;
  readonly exists: boolean;
  readonly holder: string | null;
  /** Whether lockwarden would judge it, and why not. */
  readonly guarded: boolean;
  readonly unguardedWhy: string | null;
  readonly policies: readonly string[];
  readonly client: ClientForm | null;
  readonly agents: readonly string[];
  readonly leaseDurationMs: number | null;
  readonly writes: number;
  readonly renewals: number;
  readonly renewedEveryMs: number | null;
  readonly longestGapMs: number | null;
  readonly holderChanges: number;
  readonly deletions: number;
  /** How often something passed, or may have, that the source did not show, and writes that could not be judged for it. */
  readonly unseen: number;
  readonly unjudged: number;
  /** Bounds on the holder's clock minus the API server's; positive: ahead. */
  readonly clockOffsetMs: { readonly min: number; readonly max: number } | null;
  /** Of the first renewals so many would be sent to lockwarden. */
  readonly calls: { readonly renewals: number; readonly asked: number };
  readonly denied: number;
  readonly deniedByDefaults: number;
  readonly deniedByStrict: number;
  readonly offences: readonly ReportedOffence[];
  readonly remarks: readonly string[];
}
