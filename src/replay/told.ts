/** What one event of an audit log tells of a lock, in the order of time. */
import type { SeenWrite } from '../audit-log/seen.ts';
import type { LockRef } from '../core/lock.ts';
import type { MonotonicMs } from '../core/time.ts';

/**
 * `stored`: a write with the object that it made. `sent`: a write with the object that was sent, without what the API server adds to it.
 * `patched`: a write whose `object` is what was to be changed. `unseen`: somebody wrote, and the log does not have what; an empty
 * name means any lock of the kind in the namespace.
 */
export type Told =
  | {
      readonly kind: 'stored' | 'sent' | 'patched';
      readonly write: SeenWrite;
      readonly storedAt: MonotonicMs;
    }
  | { readonly kind: 'unseen'; readonly lock: LockRef; readonly storedAt: MonotonicMs };
