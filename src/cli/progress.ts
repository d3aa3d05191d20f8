/** How far something is. */
import { showProgress, type ProgressStream } from '../sandbox/progress.ts';

/** One line about how far it is, on a terminal only: a log wants the report and nothing else. */
export class Progress {
  readonly #stream: ProgressStream;
  readonly #begun: string;
  #end: () => void = () => undefined;

  /** @param begun how each line begins */
  constructor(stream: ProgressStream, begun: string) {
    this.#stream = stream;
    this.#begun = begun;
  }

  begin(line: () => string): void {
    if (this.#stream.isTTY !== true) return;
    const { progress, intervalMs, done } = showProgress(this.#stream);
    const begun = this.#begun;
    progress(begun);
    const timer = setInterval(() => {
      progress(`${begun}: ${line()}`);
    }, intervalMs);
    this.#end = () => {
      clearInterval(timer);
      done();
    };
  }

  end(): void {
    this.#end();
  }
}
