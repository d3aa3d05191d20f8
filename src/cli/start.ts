/**
 * `lockwarden start`: guards the cluster that is named, or else an embedded one. Neither `KUBECONFIG` nor the home directory
 * is looked at: no cluster is touched that was not named.
 */
import { systemClock } from '../clock.ts';
import { LockwardenError } from '../errors.ts';
import { localAddress } from '../kube/local-address.ts';
import { loadKubeconfig } from '../kube/kubeconfig.ts';
import { createLogging } from '../review/logger.ts';
import { showProgress } from '../sandbox/progress.ts';
import { playEmbedded } from '../scene/embedded.ts';
import type { StartOptions } from './program.ts';
import { serve } from './serve.ts';
import { untilSignalled } from './signals.ts';

const standardError = 2;

/** Resolves to the exit code, after Ctrl-C or, with `--once`, after the scene. */
export async function start(options: StartOptions): Promise<number> {
  if (options.kubeconfig === undefined) return startEmbedded(options);
  if (options.once)
    throw misused('--once', 'the scene is played on the embedded control plane only: leave out --kubeconfig');
  if (options.webhookUrl !== undefined) return serve(options);
  const webhookUrl = await urlFor(options.kubeconfig, options);
  console.error(
    `lockwarden: no --webhook-url was given, so ${webhookUrl} is registered, the address from which this machine reaches the API server; nothing is guarded unless the API server reaches it`,
  );
  return serve({ ...options, webhookUrl });
}

async function urlFor(file: string, { context, port }: StartOptions): Promise<string> {
  const config = loadKubeconfig({ file, ...(context === undefined ? {} : { context }) });
  const address = await localAddress(config);
  return `https://${address.includes(':') ? `[${address}]` : address}:${port}`;
}

async function startEmbedded({ once, context, webhookUrl }: StartOptions): Promise<number> {
  if (context !== undefined)
    throw misused('--context', 'it needs --kubeconfig, which names the cluster to guard');
  if (webhookUrl !== undefined)
    throw misused('--webhook-url', 'it needs --kubeconfig, which names the cluster to guard');
  const { first, second } = untilSignalled();
  const calledOff = new AbortController();
  void first.then(() => {
    calledOff.abort();
  });
  // What is still running ends with this process.
  void second.then(() => process.exit(1));
  const logging = createLogging({ level: 'warn', fd: standardError, pretty: process.stderr.isTTY });
  try {
    await playEmbedded({
      tell: console.log,
      progress: showProgress(process.stderr),
      log: logging.log,
      clock: systemClock(),
      signal: calledOff.signal,
      afterwards: async () => {
        if (once) return;
        console.log('lockwarden goes on guarding it until Ctrl-C.');
        await first;
      },
    });
    return 0;
  } catch (error) {
    if (!calledOff.signal.aborted) throw error;
    console.error('lockwarden: called off before the scene was over');
    return once ? 1 : 0;
  } finally {
    await logging.close();
  }
}

function misused(flag: string, advice: string): LockwardenError {
  return new LockwardenError('UsageInvalid', `${flag} cannot be used like this: ${advice}`);
}
