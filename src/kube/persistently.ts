/** LIMIT: each conflict means that somebody else has written; after five in a row a back-off has to take over. */
const conflictsMaxDefault = 5;

/** Does it again for as long as somebody else comes in between, within limits. What `isRaced` does not know for such is thrown. */
export async function persistently<T>(
  attempt: () => Promise<T>,
  isRaced: (error: unknown) => boolean,
  conflictsMax = conflictsMaxDefault,
): Promise<T> {
  for (let conflicts = 0; ; conflicts += 1) {
    try {
      return await attempt();
    } catch (error) {
      if (!isRaced(error) || conflicts === conflictsMax) throw error;
    }
  }
}
