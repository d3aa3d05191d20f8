/** A file that somebody named and that cannot be read. */
import { LockwardenError, messageOf, systemCodeOf } from '../errors.ts';

/**
 * The error to end with: a sentence about `what`, or, where reading is not what failed, the error itself.
 *
 * @param sentences what to say of a system's code, such as `ENOENT`; of others what the system says
 */
export function unreadable(
  what: string,
  error: unknown,
  sentences: Readonly<Partial<Record<string, string>>>,
): Error {
  const code = systemCodeOf(error);
  if (code === null) return error instanceof Error ? error : new Error(messageOf(error));
  const why = sentences[code] ?? messageOf(error);
  return new LockwardenError('StorageFailed', `${what} cannot be read: ${why}`, { cause: error });
}
