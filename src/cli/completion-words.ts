/** The words of a command line that is not finished, read as commander will read them. */
import type { Command, Option } from 'commander';

/** Where the next word would go. */
export interface Place {
  readonly command: Command;
  /** How many arguments the command has got. */
  readonly operands: number;
  /** The flags that were given to it. */
  readonly given: ReadonlySet<Option>;
  /** The flag that takes the next word for its value: whatever it is, or only if it is no flag. */
  readonly awaiting: { readonly option: Option; readonly isNeeded: boolean } | null;
  /** After `--`, where nothing is a flag. */
  readonly isLiteral: boolean;
  /** After `help`, where the name of a command comes. */
  readonly isHelp: boolean;
}

/** The place after these words. Words that commander would refuse are passed over. */
export function placeAfter(program: Command, words: readonly string[]): Place {
  return words.reduce(after, startOf(program));
}

/** The option that is called `flag`, be it `-o` or `--output`. */
export function optionCalled(command: Command, flag: string): Option | undefined {
  // NB: `--help` is none of the command's own options, and hidden ones are not visible.
  return [...command.options, ...visibleOptions(command)].find(
    ({ long, short }) => long === flag || short === flag,
  );
}

/** What help would show: with `--help`, without what is hidden. */
export function visibleOptions(command: Command): readonly Option[] {
  return command.createHelp().visibleOptions(command);
}

/** What help would show: with `help`, without what is hidden. */
export function visibleCommands(command: Command): readonly Command[] {
  return command.createHelp().visibleCommands(command);
}

/** Whether it takes a value, be it needed or not. */
export function takesValue(option: Option): boolean {
  return option.required || option.optional;
}

function startOf(command: Command): Place {
  const nothing = { operands: 0, given: new Set<Option>(), awaiting: null };
  return { command, ...nothing, isLiteral: false, isHelp: false };
}

function after(place: Place, word: string): Place {
  const { awaiting, isLiteral } = place;
  const isFlag = word.length > 1 && word.startsWith('-');
  if (awaiting !== null && (awaiting.isNeeded || !isFlag))
    return { ...place, awaiting: awaiting.option.variadic ? { ...awaiting, isNeeded: false } : null };
  const free = { ...place, awaiting: null };
  if (isLiteral || !isFlag) return afterOperand(free, word);
  return word === '--' ? { ...free, isLiteral: true } : afterFlag(free, word);
}

function afterOperand(place: Place, word: string): Place {
  const { command, operands, isLiteral, isHelp } = place;
  if (operands > 0 || isHelp) return { ...place, operands: operands + 1 };
  const found = [...command.commands, ...visibleCommands(command)].find(
    (each) => each.name() === word || each.aliases().includes(word),
  );
  if (found === undefined) return { ...place, operands: 1 };
  // Commander makes `help` itself: it is shown, but not among the commands.
  return command.commands.includes(found) ? { ...startOf(found), isLiteral } : { ...place, isHelp: true };
}

function afterFlag(place: Place, word: string): Place {
  const { command } = place;
  const whole = optionCalled(command, word);
  if (whole !== undefined) {
    const awaiting = takesValue(whole) ? { option: whole, isNeeded: whole.required } : null;
    return { ...withGiven(place, whole), awaiting };
  }
  if (word.startsWith('--')) return withGiven(place, optionCalled(command, word.split('=')[0] ?? ''));
  // Several in one, as in `-Aw`, or one with its value, as in `-nteam`.
  const first = optionCalled(command, word.slice(0, 2));
  if (first === undefined || word.length === 2) return place;
  const rest = withGiven(place, first);
  return takesValue(first) ? rest : afterFlag(rest, `-${word.slice(2)}`);
}

function withGiven(place: Place, option: Option | undefined): Place {
  return option === undefined ? place : { ...place, given: new Set([...place.given, option]) };
}
