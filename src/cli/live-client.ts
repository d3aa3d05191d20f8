/** Requests to a read API over a connection of their own. */
import { Agent, request, type IncomingMessage } from 'node:http';
import type { Duplex } from 'node:stream';
import type { TLSSocket } from 'node:tls';
import { LockwardenError, messageOf } from '../errors.ts';
import { jsonLines } from '../kube/json-lines.ts';
import { arrayAt, isObject, objectAt, stringAt, type JsonObject } from '../kube/json.ts';
import { reviewRoot } from '../read-api/ask.ts';
import type { Door } from './live-door.ts';

/** What to ask for. */
export interface LiveAsk {
  readonly token: string;
  /** Null: all namespaces. */
  readonly namespace: string | null;
  /** RFC 3339, or null. */
  readonly since: string | null;
  readonly signal: AbortSignal;
}

/** A replica that refused, or could not be reached. `passing`: it may work a moment later. */
export class LiveError extends LockwardenError {
  /** HTTP status; 0: there was no answer. */
  readonly status: number;

  constructor(message: string, status: number) {
    super(status === 401 || status === 403 ? 'PermissionMissing' : 'ClusterUnreachable', message);
    this.status = status;
  }

  get passing(): boolean {
    return this.status === 0 || this.status === 429 || this.status >= 500;
  }
}

/** LIMIT: the longest record has 6 KiB, and a page 500 of them. */
const answerBytesMax = 10 * 1024 * 1024;
const lineBytesMax = 256 * 1024;
/** LIMIT: a replica answers within milliseconds, once the API server has told it who asks. */
const timeoutMs = 15_000;
const pageLength = '500';

/**
 * Every record that the replica has, the newest first. By one connection: through a Service each may lead to another replica, which knows nothing
 * of the pages of this one. Where it breaks between two pages everything is told again.
 */
export async function* recordsOf(door: Door, ask: LiveAsk): AsyncGenerator<JsonObject> {
  for (let attempt = 1; ; attempt += 1) {
    const told = { any: false };
    try {
      yield* pagesOf(door, ask, told);
      return;
    } catch (error) {
      const isBroken = error instanceof LiveError && (error.passing || error.status === gone);
      if (!isBroken || !told.any || attempt === attemptsMax) throw error;
    }
  }
}

const gone = 410;
/** LIMIT: a replica that serves a new certificate ends connections once in days. */
const attemptsMax = 3;

async function* pagesOf(door: Door, ask: LiveAsk, told: { any: boolean }): AsyncGenerator<JsonObject> {
  const connection = new OneConnection(await dialled(door));
  try {
    for (let continued = ''; ;) {
      const query = { limit: pageLength, ...(continued !== '' && { continue: continued }) };
      const page = await bodyOf(door, await get(door, ask, query, connection));
      yield* arrayAt(page, 'items').filter(isObject);
      told.any = true;
      continued = stringAt(objectAt(page, 'metadata'), 'continue');
      if (continued === '') return;
    }
  } finally {
    connection.destroy();
  }
}

/** Records as they are, and then as they come; ends when the replica ends it. `onBegun` is called once the replica has let us in. */
export async function* streamOf(door: Door, ask: LiveAsk, onBegun: () => void): AsyncGenerator<JsonObject> {
  const connection = new OneConnection(await dialled(door));
  try {
    const response = await get(door, ask, { watch: 'true' }, connection);
    onBegun();
    for await (const line of jsonLines(response as AsyncIterable<Buffer>, lineBytesMax)) {
      const type = stringAt(line, 'type');
      if (type === 'ADDED' || type === 'MODIFIED') yield objectAt(line, 'object');
      else if (type === 'ERROR') throw refused(door, objectAt(line, 'object'));
    }
  } catch (error) {
    throw unreached(door, error);
  } finally {
    connection.destroy();
  }
}

/** Sends requests one after the other on a connection that is there already, and makes no other. */
class OneConnection extends Agent {
  readonly #socket: TLSSocket;
  #given = false;

  constructor(socket: TLSSocket) {
    super({ keepAlive: true, maxSockets: 1 });
    this.#socket = socket;
  }

  /** NB: asked a second time, the other side has ended the connection with its last answer. */
  override createConnection(
    _options: unknown,
    callback?: (error: Error | null, stream: Duplex) => void,
  ): Duplex | undefined {
    if (!this.#given) {
      this.#given = true;
      return this.#socket;
    }
    callback?.(new Error('the connection was ended'), this.#socket);
    return undefined;
  }

  override destroy(): void {
    super.destroy();
    this.#socket.destroy();
  }
}

async function dialled(door: Door): Promise<TLSSocket> {
  try {
    return await door.dial();
  } catch (error) {
    throw unreached(door, error);
  }
}

async function get(
  door: Door,
  { token, namespace, since, signal }: LiveAsk,
  more: Readonly<Record<string, string>>,
  agent: OneConnection,
): Promise<IncomingMessage> {
  const query = new URLSearchParams({
    ...(namespace !== null && { namespace }),
    ...(since !== null && { since }),
    ...more,
  });
  try {
    const { promise, resolve, reject } = Promise.withResolvers<IncomingMessage>();
    const outgoing = request({
      agent,
      host: door.name,
      path: `${reviewRoot}/rejections?${query.toString()}`,
      headers: { authorization: `Bearer ${token}`, accept: 'application/json' },
      signal,
    });
    const timer = setTimeout(
      () => outgoing.destroy(new Error(`no answer within ${String(timeoutMs)} ms`)),
      timeoutMs,
    );
    outgoing.on('error', reject).on('response', resolve).end();
    const response = await promise.finally(() => {
      clearTimeout(timer);
    });
    if (response.statusCode === 200) return response;
    throw refused(door, await bodyOf(door, response));
  } catch (error) {
    throw unreached(door, error);
  }
}

async function bodyOf(door: Door, response: IncomingMessage): Promise<unknown> {
  const chunks: Buffer[] = [];
  let length = 0;
  try {
    for await (const chunk of response as AsyncIterable<Buffer>) {
      chunks.push(chunk);
      length += chunk.length;
      if (length > answerBytesMax) throw new Error('the answer is too long');
    }
    return JSON.parse(Buffer.concat(chunks).toString('utf8'));
  } catch (error) {
    throw unreached(door, error);
  }
}

function refused({ name }: Door, status: unknown): LiveError {
  const code = isObject(status) && typeof status['code'] === 'number' ? status['code'] : 1;
  return new LiveError(`${name} refuses: ${stringAt(status, 'message') || 'it did not say why'}`, code);
}

function unreached({ name }: Door, error: unknown): LockwardenError {
  if (error instanceof LockwardenError) return error;
  return new LiveError(`${name} cannot be read from: ${messageOf(error)}`, 0);
}
