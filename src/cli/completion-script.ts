/**
 * `lockwarden completion`: the script for a shell. Each asks `lockwarden complete`, as cobra's do of their programs. NB: cobra's, and what
 * others made of them, evaluate what stands on the line, so that a Tab can run it; these do not.
 */
import { bashScript } from './completion-bash.ts';
import type { Shell } from './completion-command.ts';
import { fishScript } from './completion-fish.ts';
import { zshScript } from './completion-zsh.ts';

const scripts: Readonly<Record<Shell, string>> = { bash: bashScript, zsh: zshScript, fish: fishScript };

/** Prints it. Resolves to the exit code. */
export function completion(shell: Shell): Promise<number> {
  process.stdout.write(scripts[shell]);
  return Promise.resolve(0);
}
