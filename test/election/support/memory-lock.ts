/** A Lease in memory, written by compare-and-swap, whose answers a test can hold back, lose or refuse. */
import { LeaseConflict, type ElectionLock, type Patience } from '../../../src/election/lease-lock.ts';
import { recordOf, specOf, type LeaseRecord, type StoredLease } from '../../../src/election/record.ts';
import { objectAt, stringAt, type JsonObject } from '../../../src/kube/json.ts';

export type Operation = 'get' | 'create' | 'update';

/** What becomes of a request. `lost`: it is stored, and the answer never comes. */
export type Fate = 'done' | 'lost' | 'unsent' | Error;

/** The Lease itself, which several locks may share. */
export class MemoryLease {
  object: JsonObject | null = null;
  #version = 0;

  /** Puts a spec there, whoever may hold it; null removes the Lease. */
  put(spec: JsonObject | null, metadata: JsonObject = {}): void {
    this.#version += 1;
    const resourceVersion = String(this.#version);
    this.object =
      spec === null ? null : { metadata: { uid: 'lease-uid', ...metadata, resourceVersion }, spec };
  }

  get version(): string {
    return stringAt(objectAt(this.object, 'metadata'), 'resourceVersion');
  }

  get record(): LeaseRecord {
    return recordOf(this.object?.['spec']);
  }
}

export class MemoryLock implements ElectionLock {
  readonly identity: string;
  readonly namespace = 'foo';
  readonly name = 'bar';
  readonly lease: MemoryLease;
  /** Every request, in order. */
  readonly operations: Operation[] = [];
  /** Every record that was to be written. */
  readonly records: LeaseRecord[] = [];
  readonly patience: Patience[] = [];
  isClosed = false;
  /** Decides about each request; `count` numbers those of its kind from 1. The answer comes when it resolves. */
  fate: (operation: Operation, count: number) => Fate | Promise<Fate> = () => 'done';

  constructor(identity = 'baz', lease = new MemoryLease()) {
    this.identity = identity;
    this.lease = lease;
  }

  read(patience: Patience): Promise<StoredLease | null> {
    return this.#answer('get', patience, () => this.#stored());
  }

  create(record: LeaseRecord, patience: Patience): Promise<StoredLease> {
    this.records.push(record);
    return this.#answer('create', patience, () => {
      if (this.lease.object !== null) throw new LeaseConflict('it exists');
      this.lease.put(specOf(record));
      return this.#stored()!;
    });
  }

  replace(stored: StoredLease, record: LeaseRecord, patience: Patience): Promise<StoredLease> {
    this.records.push(record);
    return this.#answer('update', patience, () => {
      const metadata = objectAt(stored.object, 'metadata');
      if (stringAt(metadata, 'resourceVersion') !== this.lease.version) {
        throw new LeaseConflict('it has been modified');
      }
      this.lease.put({ ...objectAt(stored.object, 'spec'), ...specOf(record) }, metadata);
      return this.#stored()!;
    });
  }

  close(): void {
    this.isClosed = true;
  }

  #stored(): StoredLease | null {
    return this.lease.object === null ? null : { record: this.lease.record, object: this.lease.object };
  }

  async #answer<T>(operation: Operation, patience: Patience, act: () => T): Promise<T> {
    this.operations.push(operation);
    this.patience.push(patience);
    const count = this.operations.filter((each) => each === operation).length;
    const decided = this.fate(operation, count);
    // NB: the request reaches the Lease at once; what is held back is the answer.
    const fate = decided instanceof Promise ? null : decided;
    if (fate instanceof Error) throw fate;
    if (fate === 'unsent') return aborted(patience.signal);
    const answer = act();
    if (fate === 'lost') return aborted(patience.signal);
    const late = await Promise.race([decided, aborted<Fate>(patience.signal)]);
    if (late instanceof Error) throw late;
    return answer;
  }
}

/** Rejects as soon as the request is given up. */
function aborted<T>(signal: AbortSignal): Promise<T> {
  return new Promise((_, reject) => {
    const giveUp = (): void => {
      reject(new Error('the request was given up'));
    };
    if (signal.aborted) giveUp();
    else signal.addEventListener('abort', giveUp, { once: true });
  });
}
