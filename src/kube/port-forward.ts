/** A connection to a port of a pod, through the API server, as `kubectl port-forward` makes one. */
import { Duplex, PassThrough, Writable } from 'node:stream';
import type { ReadableWritablePair } from 'node:stream/web';
import { PortForward, type KubeConfig } from '@kubernetes/client-node';
import { messageOf } from '../errors.ts';
import { KubeError } from './errors.ts';

/** Where to. */
export interface ForwardTarget {
  readonly namespace: string;
  readonly pod: string;
  readonly port: number;
}

/** The parts of client-node's WebSocket that are used. */
interface Tunnel {
  onclose: (() => void) | null;
  close(): void;
}

/** LIMIT: an API server asks the kubelet of the pod's node, which is a matter of milliseconds. */
const timeoutMs = 10_000;

/**
 * Connects. What is written goes to the pod, and what it sends can be read; the end of either side ends both.
 *
 * @throws KubeError where the API server does not let it, or does not answer
 */
export async function forwardTo(config: KubeConfig, target: ForwardTarget): Promise<Duplex> {
  const [toPod, fromPod] = [new PassThrough(), new PassThrough()];
  // NB: Node takes its own streams as well, and its types name the web's only.
  const socket = Duplex.from({ writable: toPod, readable: fromPod } as unknown as ReadableWritablePair);
  // NB: it may come while nobody listens yet; whoever uses the stream then finds it destroyed.
  socket.on('error', () => undefined);
  // NB: the kubelet tells on this channel that nothing listens on the port, say; its first message is empty but for the port.
  const complaints = new Writable({
    write: (chunk: Buffer, _encoding, done) => {
      const complaint = chunk.toString().trim();
      if (complaint !== '') socket.destroy(new Error(complaint));
      done();
    },
  });
  const { namespace, pod, port } = target;
  const forward = new PortForward(config);
  try {
    const opening = forward.portForward(
      namespace,
      encodeURIComponent(pod),
      [port],
      fromPod,
      complaints,
      toPod,
    );
    const tunnel = (await inTime(opening)) as unknown as Tunnel;
    tunnel.onclose = () => {
      fromPod.end();
    };
    socket.on('close', () => {
      tunnel.close();
    });
    return socket;
  } catch (error) {
    socket.destroy();
    if (error instanceof KubeError) throw error;
    throw new KubeError('unreachable', `port-forward to the pod \`${pod}\` failed: ${complaintOf(error)}`, {
      cause: error,
    });
  }
}

async function inTime<T>(work: Promise<T>): Promise<T> {
  const { promise: givenUp, reject } = Promise.withResolvers<never>();
  const timer = setTimeout(() => {
    reject(new KubeError('timeout', `the API server did not begin a port-forward within ${timeoutMs} ms`));
  }, timeoutMs);
  try {
    return await Promise.race([work, givenUp]);
  } finally {
    clearTimeout(timer);
  }
}

/** NB: client-node rejects with an event, whose message has the HTTP status and nothing else. */
function complaintOf(error: unknown): string {
  const told =
    typeof error === 'object' && error !== null && 'message' in error
      ? String(error.message)
      : messageOf(error);
  return told.includes('403') ? `${told}; it needs \`create\` on \`pods/portforward\`` : told;
}
