/** Flags that take one of a few words. */
import { LockwardenError } from '../errors.ts';

/** One of `choices`. @throws LockwardenError that names them */
export function choiceOf<T extends string>(flag: string, text: string, choices: readonly T[]): T {
  const found = choices.find((each) => each === text);
  if (found !== undefined) return found;
  const advice = `give ${choices.slice(0, -1).join(', ')} or ${choices.at(-1) ?? ''}`;
  throw new LockwardenError('UsageInvalid', `${flag} does not take \`${text}\`: ${advice}`);
}

/** Several of `choices`, separated by commas, where `any` is all of `all`; none where nothing is given. @throws LockwardenError that names them */
export function choicesOf<T extends string>(
  flag: string,
  text: string | undefined,
  choices: readonly (T | 'any')[],
  all: readonly T[],
): readonly T[] {
  const given = text?.split(',') ?? [];
  return given.flatMap((each) => {
    const choice = choiceOf(flag, each, choices);
    return choice === 'any' ? all : [choice];
  });
}
