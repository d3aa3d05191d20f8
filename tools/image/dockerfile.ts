/** What a Dockerfile says, as far as it must be known here: its instructions by stage. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';

import { root } from './bundle.ts';

/** One instruction: `name` in capitals, `text` as it stands behind it, on one line. */
export interface Instruction {
  readonly name: string;
  readonly text: string;
}

/** What stands from one FROM to the next; `base` and `name` as they stand, so with variables. */
export interface Stage {
  readonly base: string;
  readonly name: string | null;
  readonly instructions: readonly Instruction[];
}

/** A Dockerfile. `args` are the build arguments before the first stage, with their defaults. */
export interface Dockerfile {
  readonly args: Readonly<Record<string, string>>;
  readonly stages: readonly Stage[];
}

/** Reads the text of a Dockerfile without here-documents. */
export function parseDockerfile(text: string): Dockerfile {
  const args: Record<string, string> = {};
  const stages: { base: string; name: string | null; instructions: Instruction[] }[] = [];
  for (const instruction of instructionsOf(text)) {
    const stage = stages.at(-1);
    if (instruction.name === 'FROM') {
      const [base = '', , name = null] = instruction.text.split(/\s+/);
      stages.push({ base, name, instructions: [] });
    } else if (stage !== undefined) stage.instructions.push(instruction);
    else {
      const [name, value] = assignmentIn(instruction.text);
      args[name] = value;
    }
  }
  return { args, stages };
}

/** The project's own. */
export function ownDockerfile(): Dockerfile {
  return parseDockerfile(readFileSync(join(root, 'Dockerfile'), 'utf8'));
}

/** The instructions of this name in the stage that becomes the image. */
export function inImage({ stages }: Dockerfile, name: string): readonly string[] {
  const last = stages.at(-1)?.instructions ?? [];
  return last.filter((each) => each.name === name).map(({ text }) => text);
}

/** The words of the image's ENTRYPOINT. @throws SyntaxError when it has none in the exec form. */
export function entrypointOf(dockerfile: Dockerfile): readonly string[] {
  return JSON.parse(inImage(dockerfile, 'ENTRYPOINT').at(-1) ?? '') as readonly string[];
}

/** The variables that the image sets, but for those that are made of its base's. LIMIT: `NAME=value` without quotes or `$NAME`. */
export function environmentOf(dockerfile: Dockerfile): Readonly<Record<string, string>> {
  const words = inImage(dockerfile, 'ENV').flatMap((text) => text.split(/\s+/));
  return Object.fromEntries(words.filter((word) => !word.includes('${')).map(assignmentIn));
}

function assignmentIn(text: string): readonly [name: string, value: string] {
  const [name = '', ...value] = text.split('=');
  return [name, value.join('=')];
}

function instructionsOf(text: string): readonly Instruction[] {
  const lines = text
    .replaceAll(/^\s*#.*\n/gm, '')
    .replaceAll(/\\\n\s*/g, '')
    .split('\n');
  return lines
    .map((line) => line.trim())
    .filter((line) => line !== '')
    .map((line) => {
      const [name = ''] = line.split(/\s/, 1);
      return { name: name.toUpperCase(), text: line.slice(name.length).trim() };
    });
}
