/**
 * One candidate of a client-go leader election, as a process of its own (test/client-go/elector).
 */
import { spawn, type ChildProcess } from 'node:child_process';
import { createInterface } from 'node:readline';
import { endWithParent } from '../sandbox/parent-watch.ts';

/** One line of the candidate's output. `at` is RFC 3339 with nanoseconds, by the candidate's clock. */
export interface ElectorEvent {
  readonly event: 'started' | 'started-leading' | 'stopped-leading' | 'new-leader' | 'error';
  readonly at: string;
  readonly identity: string;
  readonly leader?: string;
  readonly message?: string;
  readonly error?: string;
}

/** What a candidate elects for, and how fast. Durations are in milliseconds; client-go records whole seconds only. */
export interface ElectorOptions {
  /** Path of the program. */
  readonly binary: string;
  readonly kubeconfig: string;
  readonly namespace: string;
  /** Name of the Lease. */
  readonly name: string;
  readonly identity: string;
  /** Default: 3 s, with a renew deadline of 2 s and a retry period of 250 ms. */
  readonly leaseDurationMs?: number;
  readonly renewDeadlineMs?: number;
  readonly retryPeriodMs?: number;
  /** Default: false, as in client-go. */
  readonly releaseOnCancel?: boolean;
  /** Takes every lease for one of this length, whatever its holder promised: a bug, to be refused. Whole seconds. */
  readonly impatienceMs?: number;
}

/** LIMIT: several lease durations of the longest election that is played or tested. */
const patienceMs = 30_000;

/** A candidate that runs from the moment it is made. It ends with this process, however that ends. */
export class Elector {
  readonly identity: string;
  readonly #child: ChildProcess;
  readonly #gone: Promise<number | null>;
  readonly #events: ElectorEvent[] = [];
  readonly #listeners = new Set<() => void>();
  #stderr = '';
  #ended = false;

  constructor(options: ElectorOptions) {
    this.identity = options.identity;
    // NB: a process group of its own keeps a terminal's Ctrl-C away; whoever started it stops it in order.
    const child = spawn(options.binary, flagsOf(options), {
      detached: true,
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    this.#child = child;
    const callOff = child.pid === undefined ? () => undefined : endWithParent(child.pid);
    child.stderr.setEncoding('utf8').on('data', (text: string) => {
      this.#stderr += text;
    });
    createInterface({ input: child.stdout }).on('line', (line) => {
      this.#events.push(JSON.parse(line) as ElectorEvent);
      this.#tellListeners();
    });
    this.#gone = new Promise<number | null>((resolve, reject) => {
      child.once('error', reject).once('close', resolve);
    }).finally(() => {
      callOff();
      this.#ended = true;
      this.#tellListeners();
    });
    this.#gone.catch(() => undefined);
  }

  get pid(): number {
    return this.#child.pid ?? 0;
  }

  /** Everything it has said so far. */
  get events(): readonly ElectorEvent[] {
    return this.#events;
  }

  /** The first event of this kind, said already or yet to come, for which `where` holds; rejects after 30 s. */
  async until(
    event: ElectorEvent['event'],
    where: (event: ElectorEvent) => boolean = () => true,
  ): Promise<ElectorEvent> {
    const { promise, resolve, reject } = Promise.withResolvers<ElectorEvent>();
    const look = (): void => {
      const hit = this.#events.find((said) => said.event === event && where(said));
      if (hit !== undefined) resolve(hit);
      else if (this.#ended) reject(this.#complaint(`ended without \`${event}\``));
    };
    const timer = setTimeout(() => {
      reject(this.#complaint(`did not say \`${event}\` within ${patienceMs} ms`));
    }, patienceMs);
    this.#listeners.add(look);
    look();
    try {
      return await promise;
    } finally {
      clearTimeout(timer);
      this.#listeners.delete(look);
    }
  }

  /** Resolves once it has said that it knows `leader` to lead. */
  untilFollowing(leader: string): Promise<ElectorEvent> {
    return this.until('new-leader', (event) => event.leader === leader);
  }

  /** SIGTERM: it stops in order. Resolves to its exit code (0 when told, 1 when it had lost the lock). */
  stop(): Promise<number | null> {
    return this.#end('SIGTERM');
  }

  /** Resolves to its exit code once it has ended by itself. */
  untilEnd(): Promise<number | null> {
    return this.#gone;
  }

  /** SIGKILL: a crash. */
  async kill(): Promise<void> {
    await this.#end('SIGKILL');
  }

  /** SIGSTOP: it hangs, as in a long garbage collection, until `resume`. */
  pause(): void {
    this.#child.kill('SIGSTOP');
  }

  resume(): void {
    this.#child.kill('SIGCONT');
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.kill();
  }

  #end(signal: NodeJS.Signals): Promise<number | null> {
    this.#child.kill(signal);
    // NB: a paused process does not see SIGTERM before it goes on.
    this.#child.kill('SIGCONT');
    return this.#gone;
  }

  #tellListeners(): void {
    for (const listener of [...this.#listeners]) listener();
  }

  #complaint(what: string): Error {
    const said = this.#events.map((event) => JSON.stringify(event)).join('\n');
    return new Error(`${this.identity} ${what}; it said:\n${said}\n${this.#stderr}`);
  }
}

function flagsOf(options: ElectorOptions): string[] {
  const { leaseDurationMs = 3_000, renewDeadlineMs = 2_000, retryPeriodMs = 250, impatienceMs } = options;
  return [
    `--kubeconfig=${options.kubeconfig}`,
    `--namespace=${options.namespace}`,
    `--name=${options.name}`,
    `--identity=${options.identity}`,
    `--lease-duration=${leaseDurationMs}ms`,
    `--renew-deadline=${renewDeadlineMs}ms`,
    `--retry-period=${retryPeriodMs}ms`,
    `--release-on-cancel=${options.releaseOnCancel ?? false}`,
    ...(impatienceMs === undefined ? [] : [`--impatience=${impatienceMs}ms`]),
  ];
}
