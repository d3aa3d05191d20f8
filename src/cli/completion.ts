/** What may come next on a command line: commands, flags, the words that one of them takes, or files. */
import type { Argument, Command, Option } from 'commander';
import {
  optionCalled,
  placeAfter,
  takesValue,
  visibleCommands,
  visibleOptions,
  type Place,
} from './completion-words.ts';

/** A word that may come next. */
export interface Candidate {
  readonly value: string;
  readonly description: string;
}

/** What may come next. */
export interface Answer {
  readonly candidates: readonly Candidate[];
  /** Whether the shell should look for files where there is no candidate. */
  readonly isFile: boolean;
}

/**
 * What may come next, by the definitions of the commands alone. The last of `words` is the one that is being typed, and may be empty.
 * What belongs to `--flag=` is given without it: shells put it before.
 */
export function completions(program: Command, words: readonly string[]): Answer {
  const typed = words.at(-1) ?? '';
  const place = placeAfter(program, words.slice(0, -1));
  const { awaiting, isLiteral } = place;
  const isFlag = typed.startsWith('-');
  if (awaiting !== null && (awaiting.isNeeded || !isFlag))
    return startingWith(typed, valuesOf(awaiting.option));
  if (!isFlag || isLiteral) return startingWith(typed, operandsAt(place));
  const equals = typed.indexOf('=');
  if (equals < 0) return startingWith(typed, flagsAt(place));
  const option = optionCalled(place.command, typed.slice(0, equals));
  // NB: `-o=json` has the value `=json`.
  if (option === undefined || !takesValue(option) || !typed.startsWith('--')) return nothing;
  return startingWith(typed.slice(equals + 1), valuesOf(option));
}

/** Prints it as cobra does: a line for each candidate, and one with what to do besides: 0, or 4 for no files. */
export function complete(
  program: Command,
  words: readonly string[],
  write: (text: string) => void = (text) => {
    process.stdout.write(text);
  },
): Promise<number> {
  const { candidates, isFile } = completions(program, words);
  const lines = candidates.map(({ value, description }) =>
    description === '' ? `${value}\n` : `${value}\t${description.replaceAll(/\s+/g, ' ')}\n`,
  );
  write(`${lines.join('')}:${isFile ? '0' : '4'}\n`);
  return Promise.resolve(0);
}

const nothing: Answer = { candidates: [], isFile: false };

function startingWith(typed: string, { candidates, isFile }: Answer): Answer {
  return { candidates: candidates.filter(({ value }) => value.startsWith(typed)), isFile };
}

function flagsAt({ command, given, isHelp }: Place): Answer {
  const options = isHelp ? [] : visibleOptions(command);
  const candidates = options
    .filter((option) => mayBeRepeated(option) || !given.has(option))
    .flatMap(({ long, short, description }) =>
      [long, short].flatMap((value) => (value == null ? [] : [{ value, description }])),
    );
  return { candidates, isFile: false };
}

function mayBeRepeated(option: Option): boolean {
  return option.variadic || Array.isArray(option.defaultValue);
}

function operandsAt({ command, operands, isHelp }: Place): Answer {
  const subcommands = operands === 0 ? visibleCommands(command) : [];
  const candidates = subcommands.map((each) => ({ value: each.name(), description: each.description() }));
  if (isHelp) return { candidates: candidates.filter(({ value }) => value !== 'help'), isFile: false };
  const argument = argumentAt(command, operands);
  if (argument === undefined) return { candidates, isFile: false };
  const words = wordsOf(argument.argChoices, argument.name());
  return { candidates: [...candidates, ...words.candidates], isFile: words.isFile };
}

function argumentAt({ registeredArguments }: Command, index: number): Argument | undefined {
  const last = registeredArguments.at(-1);
  return registeredArguments[index] ?? (last?.variadic === true ? last : undefined);
}

function valuesOf({ argChoices, flags }: Option): Answer {
  return wordsOf(argChoices, /[<[]([^>\].]+)/.exec(flags)?.[1] ?? '');
}

/** `placeholder` is what help calls it, as in `--kubeconfig <file>`. */
function wordsOf(choices: readonly string[] | undefined, placeholder: string): Answer {
  const words = choices ?? (placeholder === 'boolean' ? ['true', 'false'] : []);
  const isFile = words.length === 0 && /^(?:file|path|folder)s?$/.test(placeholder);
  return { candidates: words.map((value) => ({ value, description: '' })), isFile };
}
