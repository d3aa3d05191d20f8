/**
 * A small TCP balancer in the place of a Service: each connection goes to a replica that says it is ready. It knows
 * nothing of TLS, so what it forwards is what the API server and the replica say to each other.
 *
 * Unlike kube-proxy it tries the next replica when one does not take the connection: for how long a cluster goes on
 * sending connections to a process that is dead is the cluster's doing, and not what is under test.
 */
import { once } from 'node:events';
import { connect, createServer, type AddressInfo, type Server, type Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';

/** A replica behind the balancer. */
export interface Backend {
  readonly name: string;
  readonly port: number;
  /** Port of its `/readyz`. */
  readonly healthPort: number;
}

interface Member extends Backend {
  ready: boolean;
  /** Probes in a row that nobody has answered. */
  silent: number;
}

const host = '127.0.0.1';
/** LIMIT: ten times as often as a kubelet, so that a test need not wait for it. */
const probeMs = 100;
/** LIMIT: a kubelet's default. A machine that stalls must not make every replica unready at once. */
const silentMax = 3;

export class Balancer {
  readonly #server: Server;
  readonly #probing = new AbortController();
  readonly #sockets = new Set<Socket>();
  #members: Member[] = [];
  #next = 0;
  #pinned: string | null = null;
  #blocked = false;
  /** Open connections to each replica. */
  readonly #open = new Map<string, number>();
  /** Connections for which no replica could be found. */
  unserved = 0;

  private constructor() {
    this.#server = createServer({ allowHalfOpen: true, noDelay: true }, (socket) => {
      void this.#accept(socket);
    });
  }

  static async start(): Promise<Balancer> {
    const balancer = new Balancer();
    balancer.#server.listen(0, host);
    await once(balancer.#server, 'listening');
    void balancer.#probe();
    return balancer;
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  add(backend: Backend): void {
    this.#members = [...this.#members, { ...backend, ready: false, silent: 0 }];
  }

  remove(name: string): void {
    this.#members = this.#members.filter((each) => each.name !== name);
  }

  /** Whether a replica gets connections now. */
  isReady(name: string): boolean {
    return this.#members.some((each) => each.name === name && each.ready);
  }

  /** How many connections lead to a replica now. */
  connectionsTo(name: string): number {
    return this.#open.get(name) ?? 0;
  }

  /** Sends every new connection to one replica (null: to all again), and closes the present ones: for quiet moments. */
  pin(name: string | null): void {
    this.#pinned = name;
    this.hangUp();
  }

  /** From now on connections are accepted and nothing is ever said on them: a path that is blocked. */
  block(blocked: boolean): void {
    this.#blocked = blocked;
    this.hangUp();
  }

  hangUp(): void {
    for (const socket of this.#sockets) socket.destroy();
  }

  async close(): Promise<void> {
    this.#probing.abort();
    this.hangUp();
    this.#server.close();
    await once(this.#server, 'close');
  }

  async #accept(caller: Socket): Promise<void> {
    this.#sockets.add(caller);
    caller.once('close', () => this.#sockets.delete(caller)).on('error', () => caller.destroy());
    if (this.#blocked) return;
    for (const member of this.#candidates()) {
      const replica = await connected(member);
      if (replica === null) continue;
      this.#count(member.name, 1);
      caller.once('close', () => {
        this.#count(member.name, -1);
      });
      join(caller, replica);
      return;
    }
    this.unserved += 1;
    caller.destroy();
  }

  #count(name: string, by: number): void {
    this.#open.set(name, this.connectionsTo(name) + by);
  }

  #candidates(): readonly Member[] {
    const ready = this.#members.filter(({ name, ready }) => ready && (this.#pinned ?? name) === name);
    this.#next += 1;
    return ready.map((_, index) => ready[(index + this.#next) % ready.length]!);
  }

  async #probe(): Promise<void> {
    const { signal } = this.#probing;
    while (!signal.aborted) {
      await Promise.all(
        this.#members.map(async (member) => {
          const answer = await readiness(member);
          member.silent = answer === null ? member.silent + 1 : 0;
          member.ready = answer ?? (member.ready && member.silent < silentMax);
        }),
      );
      await sleep(probeMs, undefined, { signal }).catch(() => undefined);
    }
  }
}

/** What a replica says of itself; null: nothing. */
async function readiness({ healthPort }: Member): Promise<boolean | null> {
  try {
    const url = `http://${host}:${String(healthPort)}/readyz`;
    return (await fetch(url, { signal: AbortSignal.timeout(1_000) })).ok;
  } catch {
    return null;
  }
}

function connected({ port }: Member): Promise<Socket | null> {
  return new Promise((resolve) => {
    const socket = connect({ port, host, allowHalfOpen: true, noDelay: true });
    socket.once('connect', () => {
      resolve(socket);
    });
    socket.once('error', () => {
      resolve(null);
    });
  });
}

/** Each end learns at once what becomes of the other: an end of file as one, a reset as a close. */
function join(caller: Socket, replica: Socket): void {
  caller.pipe(replica);
  replica.pipe(caller);
  for (const [one, other] of [
    [caller, replica],
    [replica, caller],
  ] as const) {
    one.on('error', () => other.destroy());
    one.on('close', () => other.destroy());
  }
}
