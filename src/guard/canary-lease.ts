/**
 * The canary itself: a Lease that is live by the API server's own stamps, so that every replica, however new, must refuse to have it
 * taken. It is written plainly and by compare-and-swap, by whichever replica finds that it has to be; none leads.
 */
import { canaryName, canarySettings } from '../core/canary.ts';
import { expiryOf, isTimed } from '../core/expiry.ts';
import { stampEntriesMax } from '../core/lock.ts';
import { renewStamp } from '../core/stamps.ts';
import { secondOf } from '../core/time.ts';
import type { KubeClient, KubeRequest, KubeResponse } from '../kube/client.ts';
import { KubeError } from '../kube/errors.ts';
import { objectAt, stringAt, type JsonObject } from '../kube/json.ts';
import { readLock } from '../locks/registry.ts';

/** The Lease as the API server has it, and the API server's time when it said so: whole seconds, rounded down. */
export interface CanaryReading {
  readonly lease: JsonObject;
  readonly serverMs: number;
}

/** LIMIT: an hour is longer than most outages, and one write in half an hour costs nothing. */
const leaseDurationMs = 3_600_000;
const rogueName = 'lockwarden-canary-rogue';

/** The Lease in one namespace. Its methods reject with a KubeError: `conflict`, `already-exists` or `not-found` when others write too. */
export class CanaryLease {
  readonly #client: KubeClient;
  readonly #collection: string;
  readonly #path: string;
  readonly #timeoutMs: number;

  /** @param timeoutMs for each request */
  constructor(client: KubeClient, namespace: string, timeoutMs: number) {
    this.#client = client;
    this.#collection = `/apis/coordination.k8s.io/v1/namespaces/${encodeURIComponent(namespace)}/leases`;
    this.#path = `${this.#collection}/${canaryName}`;
    this.#timeoutMs = timeoutMs;
  }

  /** The Lease, which is live: written first where it is missing, somebody else's, or half run out. */
  async keep(signal: AbortSignal): Promise<CanaryReading> {
    const found = await this.#read(signal);
    if (found === null) return this.#create(signal);
    if (isSound(found)) return found;
    const body = { ...found.lease, spec: specOf(canaryName, found.serverMs) };
    const renewed = readingOf(await this.#send({ method: 'PUT', path: this.#path, body, signal }));
    if (isTracked(renewed)) return renewed;
    // What somebody has done to its stamps stays for as long as the object does.
    await this.#delete(renewed, signal);
    return this.#create(signal);
  }

  /**
   * Tries to take the Lease as a thief would, in a dry run.
   * @returns the warnings that came with the success
   */
  async attempt({ lease, serverMs }: CanaryReading, signal: AbortSignal): Promise<readonly string[]> {
    const body = { ...lease, spec: { ...specOf(rogueName, serverMs), leaseTransitions: 1 } };
    const query = { dryRun: 'All' };
    const { warnings } = await this.#send({ method: 'PUT', path: this.#path, body, query, signal });
    return warnings;
  }

  async #read(signal: AbortSignal): Promise<CanaryReading | null> {
    try {
      return readingOf(await this.#send({ method: 'GET', path: this.#path, signal }));
    } catch (error) {
      if (error instanceof KubeError && error.kind === 'not-found') return null;
      throw error;
    }
  }

  async #create(signal: AbortSignal): Promise<CanaryReading> {
    // The renew time is to be the API server's.
    const now = dateOf(await this.#send({ method: 'GET', path: '/version', signal }));
    const body = {
      apiVersion: 'coordination.k8s.io/v1',
      kind: 'Lease',
      metadata: { name: canaryName, labels: { 'app.kubernetes.io/managed-by': 'lockwarden' } },
      spec: specOf(canaryName, now),
    };
    return readingOf(await this.#send({ method: 'POST', path: this.#collection, body, signal }));
  }

  async #delete({ lease }: CanaryReading, signal: AbortSignal): Promise<void> {
    const metadata = objectAt(lease, 'metadata');
    const resourceVersion = stringAt(metadata, 'resourceVersion');
    const body = { preconditions: { uid: stringAt(metadata, 'uid'), resourceVersion } };
    await this.#send({ method: 'DELETE', path: this.#path, body, signal });
  }

  #send(request: KubeRequest): Promise<KubeResponse> {
    const writes = request.method === 'PUT' || request.method === 'POST';
    const query = { ...request.query, ...(writes && { fieldManager: 'lockwarden' }) };
    return this.#client.request({ ...request, query, timeoutMs: this.#timeoutMs });
  }
}

/** Whether any replica can prove the Lease to be live, for at least half of its duration. */
function isSound({ lease, serverMs }: CanaryReading): boolean {
  const state = readLock('Lease', lease);
  const now = secondOf(serverMs);
  const expiry = expiryOf(state, null, now, canarySettings.toleranceMs);
  return (
    isTracked({ lease }) &&
    !state.terminating &&
    isTimed(expiry) &&
    expiry.verdict === 'live' &&
    expiry.holder === canaryName &&
    expiry.leaseDurationMs === leaseDurationMs &&
    expiry.ageMs.max <= leaseDurationMs / 2
  );
}

/** Whether the API server stamps what is written to it, and does so without effort. */
function isTracked({ lease }: Pick<CanaryReading, 'lease'>): boolean {
  const { stamps } = readLock('Lease', lease);
  return renewStamp(stamps) !== null && stamps.count <= stampEntriesMax;
}

function specOf(holderIdentity: string, serverMs: number): JsonObject {
  // NB: a MicroTime is refused unless it has six digits.
  const now = new Date(serverMs).toISOString().replace('Z', '000Z');
  const leaseDurationSeconds = leaseDurationMs / 1000;
  return { holderIdentity, leaseDurationSeconds, acquireTime: now, renewTime: now, leaseTransitions: 0 };
}

function readingOf(response: KubeResponse): CanaryReading {
  return { lease: objectAt(response, 'body'), serverMs: dateOf(response) };
}

function dateOf({ dateMs }: KubeResponse): number {
  if (dateMs === null) throw new KubeError('malformed', 'the answer carries no date');
  return dateMs;
}
