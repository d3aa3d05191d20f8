/** `lockwarden locks --watch`: the locks, and then each that changes. */
import { describeLock } from '../core/lock.ts';
import { KubeError } from '../kube/errors.ts';
import type { LockRow } from '../locks-report/report.ts';
import { sameShown, sorted } from '../locks-report/rows.ts';
import { watchLocks } from './cluster-locks.ts';
import { PodWatch } from './cluster-pods.ts';
import type { Look } from './locks-look.ts';
import type { RowChange } from './locks-table.ts';
import { exitCodeFor, exitFound, tellRest, type LocksIo, type Told } from './locks-told.ts';
import type { Printed } from './terminal.ts';

/** LIMIT: what people take for at once. */
const tickMs = 1_000;
/** LIMIT: four small requests in ten seconds; policies and what replicas tell change seldom. */
const lookAroundMs = 10_000;

/** Prints until somebody has seen enough, or `--fail-on` has found something. Resolves to the exit code. */
export async function follow(look: Look, told: Told, io: LocksIo): Promise<number> {
  await look.take();
  const first = sorted(look.rows(), told.sortBy);
  const isTable = told.format === 'table' || told.format === 'wide';
  io.stdout.write(isTable ? told.printer.whole(first, []) : told.printer.changes(first, new Map()));
  tellRest(first, look.limits, told, io.stderr);
  if (exitCodeFor(first, told) !== 0) return exitFound;

  const { client, clock, namespace } = look.place;
  const ending = new AbortController();
  const end = Promise.withResolvers<undefined>();
  const pods = look.pods === null ? null : new PodWatch(client, look.pods, clock);
  const limits = new Limits(look, pods, io.stderr);
  const onLimit = (limit: string): void => {
    limits.say(limit);
  };
  const watching = watchLocks({ client, clock, observer: look.book, namespace, until: end.promise, onLimit });
  pods?.start();
  const interrupted = io.interrupted().then(() => 'interrupted' as const);
  const changes = new Changes(look, told, first);
  try {
    for (;;) {
      const why = await Promise.race([io.sleep(tickMs, ending.signal), interrupted, watching]);
      if (why === 'interrupted') return 0;
      await limits.tell();
      const { text, rows } = changes.next();
      if (text !== '') io.stdout.write(text);
      if (exitCodeFor(rows, told) !== 0) return exitFound;
    }
  } finally {
    ending.abort();
    end.resolve(undefined);
    await Promise.all([pods?.stop(), watching.catch(() => undefined)]);
  }
}

/** What has changed since it was last printed. */
class Changes {
  readonly #look: Look;
  readonly #told: Told;
  #shown: ReadonlyMap<string, LockRow>;

  constructor(look: Look, told: Told, shown: readonly LockRow[]) {
    this.#look = look;
    this.#told = told;
    this.#shown = byLock(shown);
  }

  next(): { readonly text: string; readonly rows: readonly LockRow[] } {
    const rows = this.#look.rows();
    const now = byLock(rows);
    const changed = rows.filter((row) => {
      const known = this.#shown.get(describeLock(row));
      return known === undefined || !sameShown(known, row);
    });
    const gone: readonly RowChange[] = [...this.#shown.values()]
      .filter((row) => !now.has(describeLock(row)))
      .map(({ kind, namespace, name }) => ({ kind, namespace, name, deleted: true }));
    const { printer, sortBy } = this.#told;
    const text = printer.changes([...sorted(changed, sortBy), ...gone], this.#shown);
    this.#shown = now;
    return { text, rows };
  }
}

/** Looks around again from time to time, and tells each thing that is not known once. */
class Limits {
  readonly #look: Look;
  readonly #pods: PodWatch | null;
  readonly #stderr: Printed;
  readonly #toldOf: Set<string>;
  #lookedAt: number;

  constructor(look: Look, pods: PodWatch | null, stderr: Printed) {
    this.#look = look;
    this.#pods = pods;
    this.#stderr = stderr;
    this.#toldOf = new Set(look.limits);
    this.#lookedAt = look.place.clock.monotonicMs();
  }

  async tell(): Promise<void> {
    const { clock } = this.#look.place;
    if (clock.monotonicMs() - this.#lookedAt < lookAroundMs) return;
    const failed = await this.#again();
    this.#lookedAt = clock.monotonicMs();
    for (const limit of [...this.#look.limits, failed, this.#pods?.limit() ?? null]) {
      if (limit !== null) this.say(limit);
    }
  }

  say(limit: string): void {
    if (this.#toldOf.has(limit)) return;
    this.#toldOf.add(limit);
    this.#stderr.write(`lockwarden: ${limit}\n`);
  }

  /** An API server that does not answer for a while is not the end of a watch. */
  async #again(): Promise<string | null> {
    try {
      await this.#look.lookAround();
      return null;
    } catch (error) {
      if (error instanceof KubeError) return `policies are as they were a while ago: ${error.message}`;
      throw error;
    }
  }
}

function byLock(rows: readonly LockRow[]): ReadonlyMap<string, LockRow> {
  return new Map(rows.map((row) => [describeLock(row), row]));
}
