/** One test of a file with its defaults filled in: its lock, its actors, its steps. */
import type { LockRef } from '../core/lock.ts';
import { durationMs } from '../policy/duration.ts';
import { defaultNamespace, type ActorEntry, type LockEntry, type StepEntry } from './format.ts';
import { suggestion } from '../yaml/nearest.ts';
import type { Path } from '../yaml/places.ts';
import type { Action, Actor, Identity, Step } from './suite.ts';

/** Takes what is wrong: a path within the test, and a clause in lower case. */
export type Wrong = (path: Path, message: string) => void;

const defaultName = 'lock';
const defaultAccount = 'candidate';
/** LIMIT: client-go's own default. */
const defaultLeaseDurationMs = 15_000;

/** The lock of a test: what the test says over what the suite says over the defaults. */
export function lockOf(
  suite: LockEntry = {},
  test: LockEntry = {},
): {
  readonly lock: LockRef;
  readonly leaseDurationMs: number;
  readonly start: NonNullable<LockEntry['start']> | null;
} {
  const { kind, namespace, name, leaseDuration, start } = { ...suite, ...test };
  return {
    lock: {
      kind: kind ?? 'Lease',
      namespace: namespace ?? defaultNamespace,
      name: name ?? defaultName,
    },
    leaseDurationMs: msOf(leaseDuration) ?? defaultLeaseDurationMs,
    start: start ?? null,
  };
}

/** The actors of a test. */
export class Cast {
  readonly #entries: Readonly<Record<string, ActorEntry | null>>;
  readonly #namespace: string;
  readonly #leaseDurationMs: number;
  readonly #wrong: Wrong;
  readonly #actors = new Map<string, Actor>();

  constructor(
    entries: Readonly<Record<string, ActorEntry | null>>,
    namespace: string,
    leaseDurationMs: number,
    wrong: Wrong,
  ) {
    this.#entries = entries;
    this.#namespace = namespace;
    this.#leaseDurationMs = leaseDurationMs;
    this.#wrong = wrong;
  }

  /** The actor of that name, mentioned at `path`. Where any are listed, others are not known. */
  actor(name: string, path: Path): Actor {
    const known = this.#actors.get(name);
    if (known !== undefined) return known;
    const listed = Object.keys(this.#entries);
    if (listed.length > 0 && !listed.includes(name)) {
      this.#wrong(path, `there is no actor \`${name}\`${suggestion(name, listed)}`);
    }
    const actor = this.#create(name, this.#entries[name] ?? {}, path);
    this.#actors.set(name, actor);
    return actor;
  }

  /** Someone who has no part in the test, to make what nobody holds. */
  bystander(): Actor {
    return this.#create('bystander', { pod: null }, []);
  }

  #create(name: string, entry: ActorEntry, path: Path): Actor {
    const as = this.#identity(name, entry, path);
    const pod = as.kind === 'account' ? as.pod : null;
    return {
      name,
      as,
      identity: entry.identity ?? pod ?? name,
      clockMs: offsetMs(entry.clock),
      leaseDurationMs: msOf(entry.leaseDuration) ?? this.#leaseDurationMs,
      fieldManager: entry.fieldManager ?? as.name,
    };
  }

  #identity(name: string, entry: ActorEntry, path: Path): Identity {
    const { user, groups, serviceAccount, namespace, pod } = entry;
    if (user !== undefined) {
      if (serviceAccount !== undefined || namespace !== undefined || pod !== undefined) {
        this.#wrong(path, `\`${name}\` is a user, and so has no serviceAccount, namespace or pod`);
      }
      return { kind: 'user', name: user, groups: groups ?? [] };
    }
    if (groups !== undefined) {
      this.#wrong(
        path,
        `\`${name}\` has groups, which only a user can have: those of a ServiceAccount are given`,
      );
    }
    if (pod === undefined && !/^[a-z0-9]([-.a-z0-9]{0,251}[a-z0-9])?$/.test(name)) {
      this.#wrong(path, `\`${name}\` is no name of a pod: give the actor a pod`);
    }
    return {
      kind: 'account',
      namespace: namespace ?? this.#namespace,
      name: serviceAccount ?? defaultAccount,
      pod: pod === undefined ? name : pod,
    };
  }
}

/** The steps of a test. */
export function stepsOf(
  entries: readonly StepEntry[],
  cast: Cast,
  wrong: Wrong,
  lineOf: (index: number) => number,
): readonly Step[] {
  let lastMs = 0;
  return entries.map((entry, index) => {
    const path = ['steps', index];
    const atMs = msOf(entry.at) ?? lastMs;
    if (atMs < lastMs) wrong([...path, 'at'], '`at` is before the step above');
    lastMs = Math.max(lastMs, atMs);
    const actor = cast.actor(entry.actor, [...path, 'actor']);
    const action = actionOf(entry, actor, (at, message) => {
      wrong([...path, ...at], message);
    });
    return { line: lineOf(index), atMs, actor, action, expect: entry.expect };
  });
}

function actionOf(entry: StepEntry, actor: Actor, wrong: Wrong): Action {
  const { action: kind, patch } = entry;
  const takes = kind === 'acquire' || kind === 'takeOver' || kind === 'recreate';
  const only = (field: 'patch' | 'holder' | 'leaseDuration', applies: boolean): void => {
    if (!applies && entry[field] !== undefined) wrong([field], `\`${field}\` has no meaning for \`${kind}\``);
  };
  only('patch', kind === 'patch');
  only('holder', takes || kind === 'renew');
  only('leaseDuration', takes || kind === 'renew');
  const holder = entry.holder ?? actor.identity;
  const leaseDurationMs = msOf(entry.leaseDuration);
  if (takes) return { kind, holder, leaseDurationMs: leaseDurationMs ?? actor.leaseDurationMs };
  if (kind === 'renew') return { kind, holder, leaseDurationMs: leaseDurationMs ?? null };
  if (kind !== 'patch') return { kind };
  if (patch === undefined) wrong(['action'], '`patch` is missing: the JSON merge patch to send');
  return { kind, body: patch ?? {} };
}

function msOf(text: string | undefined): number | undefined {
  return text === undefined ? undefined : (durationMs(text) ?? undefined);
}

function offsetMs(text: string | undefined): number {
  if (text === undefined) return 0;
  const ms = durationMs(text.slice(1)) ?? 0;
  return text.startsWith('-') ? -ms : ms;
}
