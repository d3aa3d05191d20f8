/** `lockwarden serve`: a guard that lives as long as its process. */
import { systemClock } from '../clock.ts';
import { serveConfigOf, type ServeOptions } from '../config.ts';
import { Guard } from '../guard/guard.ts';
import { createLogging } from '../review/logger.ts';
import { untilSignalled } from './signals.ts';

const standardOutput = 1;

/** Serves until SIGTERM or SIGINT; a second one ends at once. Resolves to the exit code. */
export async function serve(options: ServeOptions): Promise<number> {
  const config = serveConfigOf(options);
  const logging = createLogging({ level: config.logLevel, fd: standardOutput, pretty: process.stdout.isTTY });
  const { log } = logging;
  try {
    const guard = new Guard(config, { log, clock: systemClock(), processMetrics: true });
    const signalled = untilSignalled();
    const failed = guard.start().then(() => signalled.first);
    try {
      const signal = await Promise.race([failed, signalled.first]);
      log.info({ signal }, 'stopping');
    } finally {
      void signalled.second.then(() => guard.stop());
      await guard.stop();
    }
    log.info({}, 'stopped');
    return 0;
  } finally {
    await logging.close();
  }
}
