/** The replicas that there are, and what each of them serves: a list that all of them write, or just this one. */
import { messageOf } from '../errors.ts';
import type { KubeClient } from '../kube/client.ts';
import { objectAt } from '../kube/json.ts';
import type { Logger, MonotonicClock } from '../kube/ports.ts';
import { ObservedObject } from './observed-object.ts';
import {
  forget,
  isSucceeded,
  living,
  Presence,
  presenceName,
  readReplicas,
  type Replica,
  type ReplicaState,
} from './presence.ts';

/** The replicas, as a leader needs to know them. */
export interface Roster {
  start(): void;
  stop(): Promise<void>;
  /** What this replica says of itself from now on. */
  tell(state: ReplicaState): void;
  /** Those that live, this one among them. */
  living(): readonly Replica[];
  /** Says that this replica is about to end, and finds out whether it is the last that answers. Never rejects. */
  leave(signal: AbortSignal): Promise<boolean>;
  /** Takes away the lines of those that were killed. Never rejects. */
  tidy(): Promise<void>;
}

/** What a roster needs. */
export interface RosterOptions {
  readonly client: KubeClient;
  readonly namespace: string;
  readonly name: string;
  /** The API server's time, in Unix milliseconds; null: not known yet. */
  readonly nowMs: () => number | null;
  readonly onChange: () => void;
  readonly clock: MonotonicClock;
  readonly logger: Logger;
}

/** LIMIT: long after nobody waits for it any more, and while somebody who looks may still want to know. */
const forgottenMs = 5 * 60_000;

/** A roster in the cluster. */
export function sharedRoster(options: RosterOptions): Roster {
  const { client, namespace, name, nowMs, onChange, clock, logger } = options;
  const presence = new Presence({ client, namespace, name, nowMs, logger });
  const told: ObservedObject = new ObservedObject(
    { collection: `/api/v1/namespaces/${namespace}/configmaps`, name: presenceName },
    {
      ...{ client, clock, logger, what: `configmap/${presenceName}` },
      onChange: () => {
        // Somebody has deleted the list, or this line of it: until it is back, a leader would not wait for this replica.
        if (!Object.hasOwn(objectAt(told.object, 'data'), name)) presence.repeat();
        onChange();
      },
    },
  );
  const all = (): readonly Replica[] => readReplicas(told.object);
  return {
    start: () => {
      presence.start();
      told.start();
    },
    stop: async () => {
      await Promise.all([presence.stop(), told.stop()]);
    },
    tell: (state) => {
      presence.tell(state);
    },
    living: () => living(all(), nowMs() ?? 0),
    leave: async (signal) => {
      let list = told.object;
      try {
        list = await presence.leave(signal);
      } catch (error) {
        logger.warn({ replica: name, reason: messageOf(error) }, 'leave not told');
      }
      // Where the time is not known, all that there are count as living.
      return !isSucceeded(readReplicas(list), name, nowMs() ?? 0);
    },
    tidy: async () => {
      const now = nowMs();
      const gone = all().filter(({ saidAtMs }) => now !== null && now - saidAtMs > forgottenMs);
      if (gone.length === 0) return;
      try {
        await forget(
          { client, namespace },
          gone.map((each) => each.name),
        );
      } catch (error) {
        logger.warn({ reason: messageOf(error) }, 'roster not tidied');
      }
    },
  };
}

/** The roster of a replica that is alone. */
export function soleRoster({ name, nowMs, onChange }: RosterOptions): Roster {
  let state: ReplicaState | null = null;
  return {
    start: () => undefined,
    stop: () => Promise.resolve(),
    tell: (told) => {
      if (JSON.stringify(told) === JSON.stringify(state)) return;
      state = told;
      onChange();
    },
    living: () => (state === null ? [] : [{ ...state, name, saidAtMs: nowMs() ?? 0 }]),
    leave: () => Promise.resolve(true),
    tidy: () => Promise.resolve(),
  };
}
