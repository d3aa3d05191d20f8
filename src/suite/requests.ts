/** From what an actor does to the request that client-go would send. */
import type { LockRef } from '../core/lock.ts';
import type { JsonObject } from '../locks/json.ts';
import { durationMs } from '../policy/duration.ts';
import type { LockRequest } from './cluster.ts';
import { changedLock, foundIn, microTime, newLock, type Found, type Written } from './lock-object.ts';
import type { Action, Actor } from './suite.ts';

/** What an action meets. */
export interface Scene {
  readonly lock: LockRef;
  readonly actor: Actor;
  /** The lock's object as it was just read; null: there is none. */
  readonly object: JsonObject | null;
  /** Whether the lock was deleted in this test. */
  readonly wasDeleted: boolean;
  /** The API server's time, in Unix milliseconds. */
  readonly nowMs: number;
}

/** The request, or why the action cannot be done: what the test assumes is not so. */
export type Planned = LockRequest | { readonly impossible: string };

/** LIMIT: what client-go leaves behind when it releases. */
const releasedLeaseMs = 1_000;

/** Plans an action. */
export function plan(action: Action, scene: Scene): Planned {
  const { lock, object } = scene;
  const found = object === null ? null : foundIn(lock.kind, object);
  switch (action.kind) {
    case 'acquire':
      return acquire(action, scene, found);
    case 'recreate':
      if (object !== null) return { impossible: 'the lock exists' };
      if (!scene.wasDeleted) return { impossible: 'the lock was not deleted before: `acquire` creates it' };
      return { verb: 'create', object: newLock(lock, taken(action, scene, null)) };
    case 'takeOver':
      return takeOver(action, scene, found);
    case 'renew':
      return renew(action, scene, found);
    case 'release':
      return release(scene, found);
    case 'delete':
      return object === null ? { impossible: 'there is no lock' } : { verb: 'delete' };
    case 'patch':
      return object === null
        ? { impossible: 'there is no lock' }
        : { verb: 'merge', patch: withTimes(action.body, clockOf(scene)) as JsonObject };
  }
}

type Taking = Extract<Action, { kind: 'acquire' | 'takeOver' | 'recreate' }>;

function acquire(action: Taking, scene: Scene, found: Found | null): Planned {
  const { lock, object } = scene;
  if (object === null) return { verb: 'create', object: newLock(lock, taken(action, scene, null)) };
  if (found !== null && found.holder !== '' && found.holder !== action.holder) {
    return { impossible: `\`${found.holder}\` holds the lock: \`takeOver\` takes it from its holder` };
  }
  return replace(object, taken(action, scene, found), scene);
}

function takeOver(action: Taking, scene: Scene, found: Found | null): Planned {
  const { object } = scene;
  if (object === null) return { impossible: 'there is no lock' };
  if (found === null || found.holder === '')
    return { impossible: 'nobody holds the lock: `acquire` takes it' };
  if (found.holder === action.holder) return { impossible: `\`${action.holder}\` holds the lock already` };
  return replace(object, taken(action, scene, found), scene);
}

function renew(action: Extract<Action, { kind: 'renew' }>, scene: Scene, found: Found | null): Planned {
  const { object } = scene;
  if (object === null || found === null) return { impossible: 'there is no lock' };
  if (found.holder !== action.holder) {
    const holder = found.holder === '' ? 'nobody' : `\`${found.holder}\``;
    return { impossible: `${holder} holds the lock, not \`${action.holder}\`` };
  }
  const written = {
    ...taken({ ...action, leaseDurationMs: action.leaseDurationMs ?? found.leaseDurationMs }, scene, found),
    transitions: found.transitions,
  };
  return replace(object, written, scene, true);
}

/** SOURCE: https://github.com/kubernetes/client-go/blob/v0.36.3/tools/leaderelection/leaderelection.go (release) */
function release(scene: Scene, found: Found | null): Planned {
  const { object } = scene;
  if (object === null) return { impossible: 'there is no lock' };
  if (found === null || found.holder === '') return { impossible: 'nobody holds the lock' };
  const now = clockOf(scene);
  return replace(
    object,
    {
      holder: '',
      leaseDurationMs: releasedLeaseMs,
      acquiredMs: now,
      renewedMs: now,
      transitions: found.transitions,
    },
    scene,
  );
}

function taken(
  { holder, leaseDurationMs }: { readonly holder: string; readonly leaseDurationMs: number },
  scene: Scene,
  found: Found | null,
): Written {
  const now = clockOf(scene);
  // As client-go counts: taking a lock that was there is a transition, also when nobody held it.
  const transitions = found === null ? 0 : found.transitions + (found.holder === holder ? 0 : 1);
  return { holder, leaseDurationMs, acquiredMs: now, renewedMs: now, transitions };
}

function replace(object: JsonObject, written: Written, { lock }: Scene, keepsAcquireTime = false): Planned {
  return { verb: 'replace', object: changedLock(lock.kind, object, written, keepsAcquireTime) };
}

function clockOf({ nowMs, actor }: Scene): number {
  return nowMs + actor.clockMs;
}

const timeForm = /\$\(now(?:([+-])(\d{1,6}(?:\.\d{1,3})?(?:ms|s|m|h)))?\)/g;

/** `$(now)`, `$(now-1h)` in any text of a value, as times. */
function withTimes(value: unknown, nowMs: number): unknown {
  if (typeof value === 'string') {
    return value.replaceAll(timeForm, (_, sign: string | undefined, text: string | undefined) => {
      const offsetMs = text === undefined ? 0 : (durationMs(text) ?? 0);
      return microTime(nowMs + (sign === '-' ? -offsetMs : offsetMs));
    });
  }
  if (Array.isArray(value)) return value.map((item) => withTimes(item, nowMs));
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([key, child]) => [key, withTimes(child, nowMs)]));
}
