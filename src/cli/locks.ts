/** `lockwarden locks`: every lock of a cluster, who holds it, what holds for it, and what is wrong with it. It writes nothing. */
import { setTimeout as delay } from 'node:timers/promises';
import { systemClock } from '../clock.ts';
import { namespaceOf } from '../config.ts';
import { createKubeClient } from '../kube/client.ts';
import { loadKubeconfig } from '../kube/kubeconfig.ts';
import { findingCodes, type FindingCode } from '../locks-report/findings.ts';
import { sorted, sortKeys } from '../locks-report/rows.ts';
import { choiceOf, choicesOf } from './choice.ts';
import { Look } from './locks-look.ts';
import { LocksPrinter, type LocksFormat } from './locks-table.ts';
import { exitCodeFor, tellRest, type LocksIo, type Told } from './locks-told.ts';
import { follow } from './locks-watch.ts';
import { untilSignalled } from './signals.ts';
import { takesColour } from './terminal.ts';

/** What `locks` is told. */
export interface LocksOptions {
  readonly kubeconfig?: string;
  readonly context?: string;
  /** By default the context's, or `default`. */
  readonly namespace?: string;
  readonly allNamespaces: boolean;
  readonly watch: boolean;
  readonly output: string;
  readonly sortBy: string;
  /** Names of findings, separated by commas, or `any`. */
  readonly failOn?: string;
  /** lockwarden's own namespace, of which nothing is judged. */
  readonly lockwardenNamespace: string;
}

/**
 * Prints the locks. Resolves to the exit code: 3 where `--fail-on` found something, 0 otherwise.
 *
 * @throws KubeError where no kind of lock can be listed
 */
export async function locks(options: LocksOptions, io: LocksIo = processIo()): Promise<number> {
  const { stdout, env } = io;
  const format = choiceOf('--output', options.output, formats);
  const sortBy = choiceOf('--sort-by', options.sortBy, sortKeys);
  const failOn = failOnOf(options.failOn);
  const ownNamespace = namespaceOf(options.lockwardenNamespace);
  const config = loadKubeconfig({ file: options.kubeconfig, context: options.context });
  const chosen = options.namespace ?? config.getContextObject(config.currentContext)?.namespace ?? 'default';
  const namespace = options.allNamespaces ? null : namespaceOf(chosen);
  const printer = new LocksPrinter({
    format,
    allNamespaces: options.allNamespaces,
    colour: takesColour(stdout, env),
  });
  const client = createKubeClient(config);
  const look = new Look({ client, clock: io.clock, namespace, ownNamespace });
  const told = { format, printer, sortBy, failOn, namespace };
  try {
    return options.watch ? await follow(look, told, io) : await once(look, told, io);
  } finally {
    client.close();
  }
}

function processIo(): LocksIo {
  return {
    stdout: process.stdout,
    stderr: process.stderr,
    env: process.env,
    clock: systemClock(),
    sleep: (ms, signal) => delay(ms, undefined, { signal }).catch(() => undefined),
    interrupted: () => untilSignalled().first,
  };
}

async function once(look: Look, told: Told, { stdout, stderr }: LocksIo): Promise<number> {
  await look.take();
  const rows = sorted(look.rows(), told.sortBy);
  stdout.write(told.printer.whole(rows, look.limits));
  // JSON and YAML have it all.
  if (told.format !== 'json' && told.format !== 'yaml') tellRest(rows, look.limits, told, stderr);
  return exitCodeFor(rows, told);
}

const formats: readonly LocksFormat[] = ['table', 'wide', 'json', 'yaml', 'name'];

/** `any` is not what nothing judges: of that there is some in every cluster. */
function failOnOf(text: string | undefined): readonly FindingCode[] {
  const any = findingCodes.filter((code) => code !== 'unguarded');
  return choicesOf('--fail-on', text, ['any', ...findingCodes], any);
}
