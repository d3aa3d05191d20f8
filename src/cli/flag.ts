/** Flags, each with the variable that stands for it. */
import { InvalidArgumentError, Option } from 'commander';

/** A flag with the variable that stands for it: `--health-port` is LOCKWARDEN_HEALTH_PORT. */
export function flag(flags: string, description: string): Option {
  const option = new Option(flags, description);
  return option.env(`LOCKWARDEN_${option.name().toUpperCase().replaceAll('-', '_')}`);
}

/** Has help and completion name the words that an option takes. The command itself refuses others, so it may take a list of them. */
export function withWords(option: Option, words: readonly string[]): Option {
  return option.choices(words).argParser((text: string) => text);
}

/** A flag that is given without a value, or with `true` or `false`. */
export function booleanFlag(name: string, description: string): Option {
  return flag(`${name} [boolean]`, description).preset('true').argParser(booleanOf);
}

/** NB: of a flag without a value, commander takes any variable for yes, `false` included. */
function booleanOf(value: string): boolean {
  if (value === 'true') return true;
  if (value === 'false') return false;
  throw new InvalidArgumentError('Give true or false.');
}
