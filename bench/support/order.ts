/** What comes first leaves its code and data in the processor's caches for what comes next. */
export function inAnyOrder<T>(list: readonly T[]): readonly T[] {
  return list
    .map((each) => ({ each, at: Math.random() }))
    .sort((a, b) => a.at - b.at)
    .map(({ each }) => each);
}
