/** Notices changes of files. */
import { watch } from 'node:fs/promises';
import { dirname } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

/** LIMIT: editors write a file in several steps, and `git checkout` many files, within moments. */
const settleMs = 100;

/** A watch that goes on while something else is done, so that no change is missed. It ends when its signal aborts. */
export class FileWatch {
  readonly #signal: AbortSignal;
  readonly #followed = new Set<string>();
  #changes = 0;
  #seen = 0;
  #wake: () => void = () => undefined;

  constructor(signal: AbortSignal) {
    this.#signal = signal;
    signal.addEventListener('abort', () => {
      this.#wake();
    });
  }

  /** Watches a folder with all that is below it. */
  followFolder(folder: string): void {
    void this.#follow(folder, true);
  }

  /** Watches files; those that are watched already go on being so. */
  followFiles(files: readonly string[]): void {
    for (const folder of new Set(files.map((file) => dirname(file)))) void this.#follow(folder, false);
  }

  /** Resolves when something has changed since the last time, and come to rest; false when the watch has ended. */
  async changed(): Promise<boolean> {
    while (!this.#signal.aborted && this.#changes === this.#seen) {
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
    while (!this.#signal.aborted && this.#changes !== this.#seen) {
      this.#seen = this.#changes;
      // NB: what aborts the sleep ends the watch.
      await sleep(settleMs, undefined, { signal: this.#signal }).catch(() => undefined);
    }
    return !this.#signal.aborted;
  }

  async #follow(folder: string, recursive: boolean): Promise<void> {
    if (this.#followed.has(folder)) return;
    this.#followed.add(folder);
    try {
      // NB: where an editor replaces a file, a watch on the file itself would go on watching the old one.
      const events = watch(folder, { recursive, signal: this.#signal })[Symbol.asyncIterator]();
      while ((await events.next()).done !== true) this.#touch();
    } catch {
      // A folder that goes away is a change too, and may come back.
      this.#followed.delete(folder);
      this.#touch();
    }
  }

  #touch(): void {
    this.#changes += 1;
    this.#wake();
  }
}
