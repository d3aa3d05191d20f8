/** `lockwarden serve`: a guard that lives as long as its process. */
import { systemClock } from '../clock.ts';
import { serveConfigOf, type ServeOptions } from '../config.ts';
import { Guard } from '../guard/guard.ts';
import { createLogging } from '../review/logger.ts';
import { version } from '../version.ts';
import { untilSignalled } from './signals.ts';

const standardOutput = 1;
/** LIMIT: long enough for the last words on standard error to leave; the log has been flushed. */
const lingerMs = 250;

/** Serves until SIGTERM or SIGINT; a second one ends at once. Resolves to the exit code. */
export async function serve(options: ServeOptions): Promise<number> {
  const config = serveConfigOf(options);
  let countDropped = (): void => undefined;
  const logging = createLogging({
    level: config.logLevel,
    fd: standardOutput,
    pretty: process.stdout.isTTY,
    onDrop: () => {
      countDropped();
    },
  });
  const { log } = logging;
  process.once('exit', () => {
    logging.flush();
  });
  try {
    const guard = new Guard(config, {
      log,
      clock: systemClock(),
      version: version(),
      processMetrics: true,
    });
    countDropped = () => {
      guard.lineDropped();
    };
    const { first, second } = untilSignalled();
    try {
      const signal = await Promise.race([guard.start().then(() => first), first]);
      log.info({ signal }, 'stopping');
    } finally {
      void second.then(() => guard.stop());
      await guard.stop();
    }
    log.info({}, 'stopped');
    return 0;
  } finally {
    await logging.close();
    // What is still under way by now waits for an API server that does not answer, and nobody waits for it.
    setTimeout(() => process.exit(), lingerMs).unref();
  }
}
