/** What a terminal is shown, and a file is not. */
import { styleText } from 'node:util';

/** The parts of a stream that are used. */
export interface Printed {
  readonly isTTY?: boolean | undefined;
  write(text: string): unknown;
}

/** Whether it may be coloured. SOURCE: https://no-color.org */
export function takesColour(
  { isTTY }: Pick<Printed, 'isTTY'>,
  env: Readonly<Partial<Record<string, string>>>,
): boolean {
  return isTTY === true && (env['NO_COLOR'] ?? '') === '' && env['TERM'] !== 'dumb';
}

export type Style = 'green' | 'yellow' | 'red' | 'gray' | 'bold';

export type Paint = (style: Style, text: string) => string;

/** Paints, or leaves text as it is. */
export function painter(colour: boolean): Paint {
  return (style, text) => (colour ? styleText(style, text, { validateStream: false }) : text);
}
