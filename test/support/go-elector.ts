import { spawn } from 'node:child_process';
import { createInterface } from 'node:readline';

/** One line of the elector's output. `at` is RFC 3339 with nanoseconds, by the elector's clock. */
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
  /** Path of the binary: `inject('elector')`. */
  readonly binary: string;
  readonly kubeconfig: string;
  readonly namespace: string;
  readonly name: string;
  readonly identity: string;
  readonly leaseDurationMs?: number;
  readonly renewDeadlineMs?: number;
  readonly retryPeriodMs?: number;
  readonly releaseOnCancel?: boolean;
}

/** A running candidate. */
export interface GoElector {
  readonly identity: string;
  readonly pid: number;
  /** Everything it has said so far. */
  readonly events: readonly ElectorEvent[];
  /** The first event of this kind, said already or yet to come, for which `where` holds. */
  until(event: ElectorEvent['event'], where?: (event: ElectorEvent) => boolean): Promise<ElectorEvent>;
  /** SIGTERM: it stops in order. Resolves to its exit code (0 when told, 1 when it had lost the lock). */
  stop(): Promise<number | null>;
  /** SIGKILL: a crash. */
  kill(): Promise<void>;
  /** SIGSTOP, SIGCONT: a process that hangs, as in a long garbage collection. */
  pause(): void;
  resume(): void;
  [Symbol.asyncDispose](): Promise<void>;
}

/** LIMIT: several lease durations of the longest election in the suite. */
const patienceMs = 30_000;

/** Starts one candidate. Scaled for tests: lease 3 s, renew deadline 2 s, retry period 250 ms. */
export function startElector(options: ElectorOptions): GoElector {
  const child = spawn(options.binary, flagsOf(options), { stdio: ['ignore', 'pipe', 'pipe'] });
  const events: ElectorEvent[] = [];
  const waiters = new Set<() => void>();
  const wake = (): void => {
    for (const waiter of [...waiters]) waiter();
  };
  let stderr = '';
  let ended = false;
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    stderr += text;
  });
  createInterface({ input: child.stdout }).on('line', (line) => {
    events.push(JSON.parse(line) as ElectorEvent);
    wake();
  });
  const gone = new Promise<number | null>((resolve, reject) => {
    child.once('error', reject).once('close', resolve);
  }).finally(() => {
    ended = true;
    wake();
  });
  gone.catch(() => undefined);

  const until: GoElector['until'] = (event, where = () => true) =>
    new Promise((resolve, reject) => {
      const story = (): string => `${events.map((said) => JSON.stringify(said)).join('\n')}\n${stderr}`;
      const settle = (act: () => void): void => {
        clearTimeout(timer);
        waiters.delete(look);
        act();
      };
      const look = (): void => {
        const hit = events.find((said) => said.event === event && where(said));
        if (hit !== undefined) {
          settle(() => {
            resolve(hit);
          });
        } else if (ended) {
          settle(() => {
            reject(new Error(`${options.identity} ended without \`${event}\`; it said:\n${story()}`));
          });
        }
      };
      const timer = setTimeout(() => {
        settle(() => {
          reject(
            new Error(
              `${options.identity} did not say \`${event}\` within ${patienceMs} ms; it said:\n${story()}`,
            ),
          );
        });
      }, patienceMs);
      waiters.add(look);
      look();
    });

  const end = async (signal: NodeJS.Signals): Promise<number | null> => {
    child.kill(signal);
    // NB: a paused process does not see SIGTERM before it goes on.
    child.kill('SIGCONT');
    return gone;
  };
  return {
    identity: options.identity,
    pid: child.pid ?? 0,
    events,
    until,
    stop: () => end('SIGTERM'),
    kill: async () => {
      await end('SIGKILL');
    },
    pause: () => {
      child.kill('SIGSTOP');
    },
    resume: () => {
      child.kill('SIGCONT');
    },
    [Symbol.asyncDispose]: async () => {
      await end('SIGKILL');
    },
  };
}

function flagsOf(options: ElectorOptions): string[] {
  const {
    leaseDurationMs = 3_000,
    renewDeadlineMs = 2_000,
    retryPeriodMs = 250,
    releaseOnCancel = false,
  } = options;
  return [
    `--kubeconfig=${options.kubeconfig}`,
    `--namespace=${options.namespace}`,
    `--name=${options.name}`,
    `--identity=${options.identity}`,
    `--lease-duration=${leaseDurationMs}ms`,
    `--renew-deadline=${renewDeadlineMs}ms`,
    `--retry-period=${retryPeriodMs}ms`,
    `--release-on-cancel=${releaseOnCancel}`,
  ];
}
