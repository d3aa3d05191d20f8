import { systemClock, type Clock } from '../clock.ts';

/** Takes one line, without its line end, about something that takes a while. */
export type Progress = (line: string) => void;

/** Where progress is shown: the part of a stream that is used. */
export interface ProgressStream {
  readonly isTTY?: boolean | undefined;
  write(text: string): unknown;
}

/** LIMIT: on a log, a line every 15 s shows life during a build of five minutes without filling a screen. */
const logIntervalMs = 15_000;

/** LIMIT: on a terminal one line is rewritten, so that each second can be shown. */
const terminalIntervalMs = 1_000;

/** Progress on a stream, how often to show it there, and what ends the line that is left open. */
export interface ShownProgress {
  readonly progress: Progress;
  readonly intervalMs: number;
  readonly done: () => void;
}

/** Plain lines on a log. On a terminal, a line that goes on as its predecessor began is written over it. */
export function showProgress(stream: ProgressStream): ShownProgress {
  if (stream.isTTY !== true) {
    return {
      progress: (line) => stream.write(`${line}\n`),
      intervalMs: logIntervalMs,
      done: () => undefined,
    };
  }
  let begun: string | null = null;
  return {
    progress: (line) => {
      if (begun === null || !line.startsWith(begun)) {
        if (begun !== null) stream.write('\n');
        begun = line;
      }
      stream.write(`\r\x1b[2K${line}`);
    },
    intervalMs: terminalIntervalMs,
    done: () => {
      if (begun !== null) stream.write('\n');
      begun = null;
    },
  };
}

/** Where and how often elapsed time is shown; by default every 15 s. */
export interface ElapsedOptions {
  readonly progress: Progress;
  readonly intervalMs?: number | undefined;
  readonly clock?: Clock;
}

/** Says `line` now, again with the time elapsed every `intervalMs` while `work` runs, and how long it took at the end. */
export async function withElapsed<T>(
  line: string,
  { progress, intervalMs = logIntervalMs, clock = systemClock() }: ElapsedOptions,
  work: () => Promise<T>,
): Promise<T> {
  const startedMs = clock.monotonicMs();
  const elapsed = (): string => formatSeconds(clock.monotonicMs() - startedMs);
  progress(line);
  const timer = setInterval(() => {
    progress(`${line} (${elapsed()})`);
  }, intervalMs);
  try {
    const result = await work();
    progress(`${line}: done in ${elapsed()}`);
    return result;
  } finally {
    clearInterval(timer);
  }
}

function formatSeconds(ms: number): string {
  const seconds = Math.round(ms / 1_000);
  return seconds < 60 ? `${seconds} s` : `${Math.floor(seconds / 60)} min ${seconds % 60} s`;
}
