/** `lockwarden review timeline`: who held a lock when, with gaps and rejections, drawn. */
import { LockwardenError } from '../errors.ts';
import type { Entry, LockName } from '../review-report/entry.ts';
import { lockKey } from '../review-report/entry.ts';
import { Newest } from '../review-report/newest.ts';
import { timelineOf, type Timeline } from '../review-report/timeline.ts';
import { drawHtml } from './review-html.ts';
import { choiceOf } from './choice.ts';
import { lockOrName } from './lock-name.ts';
import { takesColour } from './terminal.ts';
import { processReviewIo, sinceOf, type ReviewIo, type ReviewSourceOptions } from './review-io.ts';
import { readWhole, tornSentence } from './review-sources.ts';
import { drawText } from './review-drawing.ts';

/** What `review timeline` is told. */
export interface ReviewTimelineOptions extends ReviewSourceOptions {
  /** `lease/NAME`, `configmap/NAME` or `endpoints/NAME`. */
  readonly lock: string;
  readonly namespace: string;
  readonly output: string;
}

/**
 * Draws the lock's history. Resolves to the exit code.
 *
 * @throws LockwardenError where no line tells of the lock
 */
export async function reviewTimeline(
  options: ReviewTimelineOptions,
  io: ReviewIo = processReviewIo(),
): Promise<number> {
  const format = choiceOf('--output', options.output, ['text', 'html', 'json']);
  const { kind, name } = lockOrName(options.lock);
  const lock: LockName = { lockKind: kind ?? 'Lease', namespace: options.namespace, name };
  const since = sinceOf(options.since);
  const newest = new Newest();
  const take = (entry: Entry): void => {
    if (lockKey(entry.record) === lockKey(lock)) newest.add(entry);
  };
  const counts = await readWhole(options, take, io);
  io.stderr.write(tornSentence(counts));
  const fromMs = since === null ? null : io.clock.wallMs() - since;
  const toMs = since === null ? null : io.clock.wallMs();
  const told = timelineOf(lock, newest.entries(), { fromMs, toMs });
  if (told === null) {
    const where = `\`${options.lock}\` in the namespace \`${options.namespace}\``;
    throw new LockwardenError(
      'StorageFailed',
      `no line tells of ${where}: check -n, --since, and which logs these are`,
    );
  }
  io.stdout.write(drawn(told, format, io));
  return 0;
}

function drawn(timeline: Timeline, format: 'text' | 'html' | 'json', io: ReviewIo): string {
  switch (format) {
    case 'json':
      return `${JSON.stringify(asJson(timeline), null, 2)}\n`;
    case 'html':
      return drawHtml(timeline);
    case 'text':
      return drawText(timeline, {
        width: io.stdout.columns ?? 100,
        colour: takesColour(io.stdout, io.env),
        unicode: isUtf8(io.env),
      });
  }
}

/** With instants as the records have them. */
function asJson({ lock, fromMs, toMs, spans, rejections }: Timeline): object {
  const time = (ms: number): string => new Date(ms).toISOString();
  return {
    lock,
    from: time(fromMs),
    to: time(toMs),
    spans: spans.map(({ fromMs: from, toMs: to, ...span }) => ({
      ...span,
      from: time(from),
      to: time(to),
      durationMs: to - from,
    })),
    rejections: rejections.map(({ record }) => record),
  };
}

/** SOURCE: POSIX, the locale's variables by precedence; the first that is set and not empty counts. */
function isUtf8({ LC_ALL, LC_CTYPE, LANG }: ReviewIo['env']): boolean {
  const locale = [LC_ALL, LC_CTYPE, LANG].find((each) => each !== undefined && each !== '') ?? '';
  return /utf-?8/i.test(locale);
}
