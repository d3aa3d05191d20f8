/**
 * The log: one JSON line each, or readable lines on a terminal. Neither a closed pipe nor a full disk ends or stalls the
 * process (sink.ts). No worker thread (pino's usual way to be pretty): what is in another thread when the process ends is lost.
 */
import { pino, stdTimeFunctions, type Logger } from 'pino';
import { prettyFactory } from 'pino-pretty';
import type { LogLevel } from './log-level.ts';
import { changeMessage } from './record.ts';
import { LineSink } from './sink.ts';

/** What the rest of the program sees of the log: fields first, then a constant message. */
export type Log = Pick<Logger, LogLevel>;

/** A log with its end. */
export interface Logging {
  readonly log: Log;
  /** How many lines could not be written so far. */
  dropped(): number;
  /** Writes what is left and stops; what cannot be written is dropped. May be called more than once. */
  close(): Promise<void>;
  /** Writes what is left at once, for the last moment of a process. Never throws. */
  flush(): void;
}

/** How to log. */
export interface LoggerOptions {
  readonly level: LogLevel;
  /** A file descriptor; 1 is standard output. */
  readonly fd: number;
  /** Readable lines instead of JSON: only for a terminal. */
  readonly pretty: boolean;
  /** Called for each line that is dropped. */
  readonly onDrop?: () => void;
}

/**
 * Opens the log. No pid and no hostname in the lines: the container runtime knows the pod, and each line would repeat it.
 */
export function createLogging(options: LoggerOptions): Logging {
  let dropped = 0;
  const sink = new LineSink(options.fd, () => {
    dropped++;
    options.onDrop?.();
  });
  const render = options.pretty ? prettyLine() : (line: string) => line;
  const write = (line: string): void => {
    sink.write(render(withoutSecrets(line)));
  };
  return {
    log: pino(pinoOptions(options.level), { write }),
    dropped: () => dropped,
    close: () => sink.close(),
    flush: () => {
      sink.flush();
    },
  };
}

function pinoOptions(level: LogLevel): pino.LoggerOptions {
  return {
    level,
    base: null,
    timestamp: stdTimeFunctions.isoTime,
    formatters: { level: (label) => ({ level: label }) },
    redact: { paths: secretKeys.flatMap((key) => [key, `*.${key}`, `*.*.${key}`]), censor: '[secret]' },
  };
}

const secretKeys = ['token', 'authorization', 'Authorization', 'password', 'keyPem', 'clientKey', 'bearer'];

/**
 * A line without what looks like a credential, wherever it came from: an error's message may quote a header.
 * INVARIANT: no pattern matches a quote or a backslash, so a JSON line stays one.
 */
function withoutSecrets(line: string): string {
  return line
    .replace(/eyJ[\w-]{10,}\.[\w-]{10,}(?:\.[\w-]*)?/g, '[secret]')
    .replace(/\bBearer [^\s"\\]+/gi, 'Bearer [secret]')
    .replace(
      /-----BEGIN ([A-Z ]*)PRIVATE KEY-----[\s\S]*?(?:-----END [A-Z ]*PRIVATE KEY-----|(?="))/g,
      '[secret]',
    );
}

/** Keys of a rejection whose meaning is in its sentence (`detail`), or which only programs read: they read JSON. */
const unreadKeys = [
  ...['recordVersion', 'namespace', 'name', 'lockUid', 'operation', 'transition', 'holder', 'podUid', 'rule'],
  ...['policy', 'alsoViolated', 'evidence', 'elapsedMinMs', 'elapsedMaxMs', 'leaseDurationMs', 'newHolder'],
  ...['remainingMinMs', 'remainingMaxMs', 'dryRun', 'enforcement', 'firstSeen', 'lastSeen', 'instance'],
  ...['count', 'leaseTransitions'],
];

/** What a person reads of a line. A change of holder has no sentence of its own, as a violation has. */
function sentenceOf(line: Readonly<Record<string, unknown>>, messageKey: string): string {
  const message = String(line[messageKey]);
  if (message !== changeMessage) return message;
  const { namespace, name, holder, newHolder } = line;
  const who = (identity: unknown): string => (typeof identity === 'string' ? identity : 'nobody');
  return `${message}: ${String(namespace)}/${String(name)}, from ${who(holder)} to ${who(newHolder)}`;
}

function prettyLine(): (line: string) => string {
  const pretty = prettyFactory({
    colorize: true,
    translateTime: 'SYS:HH:MM:ss.l',
    singleLine: true,
    messageFormat: sentenceOf,
    ignore: unreadKeys.join(','),
  });
  return (line) => {
    try {
      return pretty(line);
    } catch {
      return line;
    }
  };
}
