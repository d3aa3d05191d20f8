/** `lockwarden review show`: the whole story of one refusal. */
import { stringify } from 'yaml';
import { LockwardenError } from '../errors.ts';
import { groupKey, lockKey, type Entry, type Rejection } from '../review-report/entry.ts';
import { Newest } from '../review-report/newest.ts';
import { grouped } from '../review-report/rejections.ts';
import { storyOf, type Story } from '../review-report/story.ts';
import { choiceOf } from './choice.ts';
import { painter, takesColour } from './terminal.ts';
import { processReviewIo, sinceOf, type ReviewIo, type ReviewSourceOptions } from './review-io.ts';
import { readWhole, tornSentence } from './review-sources.ts';

/** What `review show` is told. */
export interface ReviewShowOptions extends ReviewSourceOptions {
  /** The uid of the review, or the beginning of it. */
  readonly uid: string;
  readonly output: string;
}

/**
 * Prints the story. Resolves to the exit code.
 *
 * @throws LockwardenError where no refusal, or more than one, has that uid
 */
export async function reviewShow(
  options: ReviewShowOptions,
  io: ReviewIo = processReviewIo(),
): Promise<number> {
  const format = choiceOf('--output', options.output, ['text', 'json', 'yaml']);
  const uid = uidOf(options.uid);
  // INVARIANT: what is asked for is kept apart, so that newer lines do not push it out.
  const [found, others] = [new Newest<Rejection>(), new Newest()];
  const since = sinceOf(options.since);
  const sinceMs = since === null ? -Infinity : io.clock.wallMs() - since;
  const take = (entry: Entry): void => {
    if (entry.lastMs < sinceMs) return;
    if (entry.kind === 'rejection' && entry.record.reviewUid.startsWith(uid)) found.add(entry);
    others.add(entry);
  };
  const counts = await readWhole(options, take, io);
  io.stderr.write(tornSentence(counts));
  const rejection = theOne(uid, grouped(found.entries()));
  const ofLock = others.entries().filter(({ record }) => lockKey(record) === lockKey(rejection.record));
  const story = storyOf(rejection, ofLock);
  io.stdout.write(
    renderStory(story, format, { colour: takesColour(io.stdout, io.env), width: io.stdout.columns ?? 100 }),
  );
  return 0;
}

/** LIMIT: 32 bits of a uid, its first group, tell a night's refusals apart; four characters spare the typing. */
const uidLengthMin = 4;

function uidOf(text: string): string {
  if (text.length >= uidLengthMin) return text;
  throw new LockwardenError(
    'UsageInvalid',
    `\`${text}\` is too short for a uid: give at least its first ${String(uidLengthMin)} characters (-o wide shows them)`,
  );
}

function theOne(uid: string, found: readonly Rejection[]): Rejection {
  const [first] = found;
  if (first === undefined) {
    const advice = 'see `lockwarden review -o wide` for those that there are, and --previous, or older logs';
    throw new LockwardenError('StorageFailed', `no line tells of a rejection \`${uid}\`: ${advice}`);
  }
  if (
    found.some(
      (each) => groupKey(each) !== groupKey(first) && each.record.reviewUid !== first.record.reviewUid,
    )
  ) {
    const uids = [...new Set(found.map(({ record }) => record.reviewUid))].slice(0, 5).join(', ');
    throw new LockwardenError(
      'UsageInvalid',
      `\`${uid}\` begins more than one uid: give more of it (${uids})`,
    );
  }
  return first;
}

/** Prints a story, with a line end. */
export function renderStory(
  story: Story,
  format: 'text' | 'json' | 'yaml',
  { colour, width }: { readonly colour: boolean; readonly width: number },
): string {
  const { headline, chapters, rejection } = story;
  const data = { headline, chapters, record: rejection.record };
  if (format === 'json') return `${JSON.stringify(data, null, 2)}\n`;
  if (format === 'yaml') return stringify(data, { lineWidth: 0 });
  const paint = painter(colour);
  const blocks = chapters.map(({ title, sentences, lines = [] }) => {
    const told = [...wrapped(sentences.join(' '), width - margin), ...lines.map((line) => `  ${line}`)];
    return told.map((line, index) =>
      index === 0 ? `${paint('bold', title.padEnd(margin))}${line}` : `${' '.repeat(margin)}${line}`,
    );
  });
  return `${[paint('bold', headline), '', ...blocks.flat()].join('\n')}\n`;
}

/** LIMIT: the longest title and two spaces. */
const margin = 11;
/** LIMIT: longer lines are hard to read. */
const lineMax = 110;

function wrapped(text: string, width: number): readonly string[] {
  const max = Math.max(30, Math.min(lineMax, width));
  const lines: string[] = [];
  let line = '';
  for (const word of text.split(' ')) {
    if (line !== '' && line.length + 1 + word.length > max) {
      lines.push(line);
      line = word;
    } else line = line === '' ? word : `${line} ${word}`;
  }
  return [...lines, line];
}
