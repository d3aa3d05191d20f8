/** What can be said to `lockwarden completion`, and what shells ask it. */
import { Argument, type Command } from 'commander';

/** The shells there are scripts for. */
export const shells = ['bash', 'zsh', 'fish'] as const;

/** One of them. */
export type Shell = (typeof shells)[number];

/** The functions behind them. Each resolves to the exit code. */
export interface CompletionActions {
  completion(shell: Shell): Promise<number>;
  complete(program: Command, words: readonly string[]): Promise<number>;
}

/** Adds the commands. */
export function addCompletion(
  program: Command,
  actions: CompletionActions,
  hear: (exitCode: number) => void,
): void {
  program
    .command('completion')
    .description('Print a script by which a shell completes commands, flags and files.')
    .addArgument(new Argument('<shell>', 'which one').choices(shells))
    .addHelpText('after', completionExamples)
    .action(async (shell: Shell) => {
      hear(await actions.completion(shell));
    });

  // NB: nobody reads what is said to a shell that asks: whatever follows is taken for words, and none is wrong usage.
  program
    .command('complete', { hidden: true })
    .description('Say what may come next. The last word is the one that is being typed.')
    .argument('[words...]')
    .helpOption(false)
    .allowUnknownOption()
    .passThroughOptions()
    .action(async (words: string[]) => {
      hear(await actions.complete(program, words));
    });
}

const completionExamples = `
Examples:
  source <(lockwarden completion bash)                              in this bash; put it into ~/.bashrc for all
  source <(lockwarden completion zsh)                               in this zsh; put it into ~/.zshrc, after compinit
  lockwarden completion zsh > "\${fpath[1]}/_lockwarden"             or load it when it is needed
  lockwarden completion fish | source                               in this fish
  lockwarden completion fish > ~/.config/fish/completions/lockwarden.fish
                                                                    for all

The scripts call the \`lockwarden\` that is on the path. No cluster is asked and nothing is read, so names of locks, namespaces and
contexts are not completed.`;
