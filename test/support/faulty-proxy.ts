/** A network between a client and a server that a test makes fail. It moves bytes, and looks into none. */
import { once } from 'node:events';
import { connect, createServer, type AddressInfo, type Server, type Socket } from 'node:net';

/**
 * `pass`: as if it were not there. `drop`: what is sent vanishes, both ways, and nobody is told. `half-open`: what the
 * client sends arrives, and what the server answers vanishes. `delay`: each way takes so long more.
 */
type Mode = 'pass' | 'drop' | 'half-open' | 'delay';

/** Bytes on their way in one direction. */
interface Stream {
  readonly from: Socket;
  readonly to: Socket;
  readonly isLossy: () => boolean;
  /** No bytes overtake others: when the last ones arrive, in milliseconds of `performance.now()`. */
  lastAtMs: number;
  /** Whether bytes have vanished: nothing that follows them makes sense. */
  hasLost: boolean;
}

interface Connection {
  readonly up: Stream;
  readonly down: Stream;
}

/** Listens on a port of its own; connections made and yet to be made all fail alike. */
export class FaultyProxy {
  readonly #server: Server;
  readonly #target: { readonly host: string; readonly port: number };
  readonly #connections = new Set<Connection>();
  #mode: Mode = 'pass';
  #delayMs = 0;

  private constructor(target: { readonly host: string; readonly port: number }) {
    this.#target = target;
    this.#server = createServer((client) => {
      this.#accept(client);
    });
  }

  /** In front of the server at `url`. */
  static async start(url: string): Promise<FaultyProxy> {
    const { hostname, port } = new URL(url);
    const proxy = new FaultyProxy({ host: hostname, port: Number(port) });
    proxy.#server.listen(0, '127.0.0.1');
    await once(proxy.#server, 'listening');
    return proxy;
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  /** Heals. Connections that have lost bytes are reset, as they would be in the end. */
  pass(): void {
    this.#become('pass');
    for (const each of this.#connections) if (each.up.hasLost || each.down.hasLost) close(each);
  }

  drop(): void {
    this.#become('drop');
  }

  halfOpen(): void {
    this.#become('half-open');
  }

  delay(ms: number): void {
    this.#become('delay', ms);
  }

  async close(): Promise<void> {
    for (const each of this.#connections) close(each);
    this.#server.close();
    await once(this.#server, 'close');
  }

  #become(mode: Mode, delayMs = 0): void {
    this.#mode = mode;
    this.#delayMs = delayMs;
  }

  #accept(client: Socket): void {
    const server = connect(this.#target);
    const fresh = { lastAtMs: 0, hasLost: false };
    const connection: Connection = {
      up: { ...fresh, from: client, to: server, isLossy: () => this.#mode === 'drop' },
      down: {
        ...fresh,
        from: server,
        to: client,
        isLossy: () => this.#mode === 'drop' || this.#mode === 'half-open',
      },
    };
    this.#connections.add(connection);
    this.#move(connection.up);
    this.#move(connection.down);
    for (const socket of [client, server]) {
      socket.setNoDelay(true);
      socket.on('error', () => undefined);
      socket.on('close', () => {
        this.#connections.delete(connection);
        close(connection);
      });
    }
  }

  #move(stream: Stream): void {
    const deliver = (bytes: Buffer): void => {
      stream.hasLost ||= stream.isLossy();
      if (!stream.hasLost) stream.to.write(bytes);
    };
    stream.from.on('data', (bytes: Buffer) => {
      const nowMs = performance.now();
      const waitMs = Math.max(0, stream.lastAtMs - nowMs, this.#delayMs);
      stream.lastAtMs = nowMs + waitMs;
      if (waitMs === 0) deliver(bytes);
      // NB: what is on its way when the network breaks is lost as well.
      else setTimeout(deliver, waitMs, bytes);
    });
  }
}

function close({ up }: Connection): void {
  up.from.destroy();
  up.to.destroy();
}
