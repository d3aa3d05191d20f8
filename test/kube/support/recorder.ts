/** Ears for what the code under test reports. */
import type { Logger } from '../../../src/kube/ports.ts';
import type { WatchedObject } from '../../../src/kube/resource.ts';
import type { WatchSink } from '../../../src/kube/watch.ts';

/** A list that can be waited on. */
export class Recorded {
  readonly lines: string[] = [];
  #waiters: (() => void)[] = [];

  add(line: string): void {
    this.lines.push(line);
    for (const waiter of this.#waiters.splice(0)) waiter();
  }

  /** Resolves once the last line is `line`. */
  async until(line: string): Promise<void> {
    while (this.lines.at(-1) !== line) await new Promise<void>((resolve) => this.#waiters.push(resolve));
  }

  /** The lines so far, which are forgotten. */
  take(): readonly string[] {
    return this.lines.splice(0);
  }
}

/** A sink that writes down its calls: `added ns/a@5`. */
export class RecordingSink extends Recorded implements WatchSink {
  listed(objects: readonly WatchedObject[]): void {
    this.add(`listed ${objects.map(label).join(' ')}`);
  }
  synced(): void {
    this.add('synced');
  }
  added(object: WatchedObject): void {
    this.add(`added ${label(object)}`);
  }
  modified(object: WatchedObject): void {
    this.add(`modified ${label(object)}`);
  }
  deleted(object: WatchedObject): void {
    this.add(`deleted ${label(object)}`);
  }
  deletedUnseen(object: { namespace: string; name: string; uid: string }): void {
    this.add(`deletedUnseen ${object.namespace}/${object.name} ${object.uid}`);
  }
  connected(): void {
    this.add('connected');
  }
  disconnected(error: Error & { kind: string }): void {
    this.add(`disconnected ${error.kind}`);
  }
}

function label(object: WatchedObject): string {
  return `${object.namespace}/${object.name}@${object.resourceVersion}`;
}

/** A logger that keeps level and message, and the fields of the last line. */
export class RecordingLogger extends Recorded implements Logger {
  readonly fields: object[] = [];
  info(fields: object, message: string): void {
    this.#log('info', fields, message);
  }
  warn(fields: object, message: string): void {
    this.#log('warn', fields, message);
  }
  error(fields: object, message: string): void {
    this.#log('error', fields, message);
  }
  #log(level: string, fields: object, message: string): void {
    this.fields.push(fields);
    this.add(`${level} ${message}`);
  }
}
