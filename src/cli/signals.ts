/** The signals that end a command in good order. */

/** Resolves with the first, and the second, of SIGTERM and SIGINT. Until then neither ends the process. */
export interface Signalled {
  readonly first: Promise<NodeJS.Signals>;
  readonly second: Promise<NodeJS.Signals>;
}

/** Listens from now on. */
export function untilSignalled(): Signalled {
  const first = Promise.withResolvers<NodeJS.Signals>();
  const second = Promise.withResolvers<NodeJS.Signals>();
  let count = 0;
  const hear = (signal: NodeJS.Signals): void => {
    count += 1;
    (count === 1 ? first : second).resolve(signal);
  };
  process.on('SIGTERM', hear).on('SIGINT', hear);
  return { first: first.promise, second: second.promise };
}
