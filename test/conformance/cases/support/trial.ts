/** One lock that is guarded, and what its clients are promised: an answer, what is stored afterwards, and what is logged. */
import { setTimeout as sleep } from 'node:timers/promises';

import { expect } from 'vitest';

import type { Clause } from '../../../../src/core/decision.ts';
import { reasons, type Reason } from '../../../../src/core/reasons.ts';
import { builtInDefaults } from '../../../../src/core/settings.ts';
import { objectAt, stringAt, type JsonObject } from '../../../../src/kube/json.ts';
import type { RejectionRecord } from '../../../../src/review/record-schema.ts';
import { leaderAnnotation, microTime, type Plural } from '../../../kube/support/cluster.ts';
import { messageOf, type Answer, type Place, type Writer } from './writer.ts';

/** A rule as messages name it: clause and reason. */
export type Rule = `${Clause} ${Reason}`;

/** What an allowed write comes to. */
export interface Expected {
  /** Fields of the stored record (null: absent), or null where the object is gone. */
  readonly record?: Readonly<Record<string, unknown>> | null;
  /** Of what its client is warned, in the order of the headers. */
  readonly warns?: readonly Rule[];
}

/** What a trial needs from its surroundings. */
export interface TrialPorts {
  readonly admin: Writer;
  readonly rejections: () => readonly RejectionRecord[];
}

/** LIMIT: the watch delivers within milliseconds; a machine that is busy takes its time. */
const patienceMs = 10_000;
const pollMs = 20;

const absent = {
  holderIdentity: null,
  leaseDurationSeconds: null,
  acquireTime: null,
  renewTime: null,
  leaseTransitions: null,
};

const kinds: Readonly<Record<Plural, string>> = {
  leases: 'Lease',
  configmaps: 'ConfigMap',
  endpoints: 'Endpoints',
};

export class Trial implements Place {
  readonly plural: Plural;
  readonly namespace: string;
  readonly name: string;
  readonly #ports: TrialPorts;
  #writtenAt = 0;
  #knownAt = 0;

  constructor({ plural, namespace, name }: Place, ports: TrialPorts) {
    this.plural = plural;
    this.namespace = namespace;
    this.name = name;
    this.#ports = ports;
  }

  /** The object as stored, or null. */
  async stored(): Promise<JsonObject | null> {
    const { status, body } = await this.#ports.admin.get(this);
    return status === 404 ? null : body;
  }

  /** The stored record, with null for what is absent. Null where there is no object. */
  async record(): Promise<JsonObject | null> {
    const stored = await this.stored();
    if (stored === null) return null;
    if (this.plural === 'leases') return { ...absent, ...objectAt(stored, 'spec') };
    const text = stringAt(objectAt(objectAt(stored, 'metadata'), 'annotations'), leaderAnnotation);
    return { ...absent, ...(JSON.parse(text === '' ? '{}' : text) as JsonObject) };
  }

  /** The write succeeds, is stored, and leaves no line in the log. */
  async allows(write: () => Promise<Answer>, { record, warns = [] }: Expected = {}): Promise<Answer> {
    const before = this.rejections();
    const answer = await write();
    this.#writtenAt = performance.now();
    expect([200, 201], `${String(answer.status)} ${messageOf(answer)}`).toContain(answer.status);
    expect(rulesIn(answer)).toEqual(warns);
    expect(this.rejections()).toEqual(before);
    if (record === null) expect(await this.stored()).toBeNull();
    else expect(versionOf(await this.stored())).toBe(versionOf(answer.body));
    if (record != null) expect(await this.record()).toMatchObject(record);
    return answer;
  }

  /** The write is refused for this one reason, changes nothing, and leaves one line in the log, unless it only repeats one. */
  async refuses(write: () => Promise<Answer>, rule: Rule): Promise<void> {
    const [clause, reason] = rule.split(' ') as [Clause, Reason];
    await this.#inApiServersCache();
    const stored = await this.stored();
    const logged = this.rejections().length;
    const answer = await write();
    const { status, body, warnings } = answer;
    expect({ status, reason: body['reason'], message: messageOf(answer) }, warnings.join()).toEqual({
      status: 403,
      reason: 'Forbidden',
      message: expect.stringContaining(`: ${reasons[reason]}`) as string,
    });
    const bySwitch = saysSwitch(answer, reason);
    if (!bySwitch)
      expect(messageOf(answer)).toMatch(
        new RegExp(`\\[lockwarden ${rule}, ${builtInDefaults.policy}\\]$`, 'u'),
      );
    expect(await this.stored()).toEqual(stored);
    const [line, ...others] = this.rejections().slice(logged);
    expect(others).toEqual([]);
    // What takes evidence away the API server refuses before it asks anybody.
    if (bySwitch) {
      expect(['StrippedTiming', 'EvidenceTampered']).toContain(reason);
      expect(line).toBeUndefined();
      return;
    }
    const told = { rule: clause, reason, lockKind: kinds[this.plural], dryRun: false };
    if (line === undefined) expect(this.rejections()).toContainEqual(expect.objectContaining(told));
    else {
      expect(line).toMatchObject(told);
      expect(messageOf(answer)).toContain(line.detail);
    }
  }

  /** The log has one refusal of this lock, with these fields. */
  logged(fields: Partial<RejectionRecord>): void {
    expect(this.rejections()).toMatchObject([fields]);
  }

  /** The log's refusals of real writes to this lock. */
  rejections(): readonly RejectionRecord[] {
    return this.#lines().filter((line) => !line.dryRun);
  }

  /**
   * Resolves once the guard's watch has shown it the stored promise. A dry run says so: of a promise that it has only
   * admitted, or whose stamps are all it has, the guard knows no lower bound of the age, or none of its own.
   */
  async seen(): Promise<void> {
    const deadline = AbortSignal.timeout(patienceMs);
    for (;;) {
      const logged = this.#lines().length;
      const answer = await this.#ports.admin.patch(this, 'merge', this.#thief(), { dryRun: true });
      const line = this.#lines().slice(logged).at(-1);
      if (line === undefined ? !rulesIn(answer).includes('U13 UncertainExpiry') : isWitnessed(line)) break;
      if (deadline.aborted) throw new Error(`the guard has not seen ${this.name}: ${messageOf(answer)}`);
      await sleep(pollMs);
    }
    this.#knownAt = performance.now();
  }

  /** Resolves when the promise of the last allowed write has run out for everybody, the guard included. */
  async runsOut(durationS: number): Promise<void> {
    await this.seen();
    const dueAt = Math.max(this.#writtenAt, this.#knownAt - builtInDefaults.toleranceMs) + durationS * 1000;
    await sleep(Math.max(0, dueAt - performance.now()));
  }

  #lines(): readonly RejectionRecord[] {
    const { namespace, name } = this;
    return this.#ports
      .rejections()
      .filter(
        (line) => line.namespace === namespace && line.name === name && line.lockKind === kinds[this.plural],
      );
  }

  #thief(): JsonObject {
    const record = { holderIdentity: 'thief', leaseDurationSeconds: 15, renewTime: microTime() };
    if (this.plural === 'leases') return { spec: record };
    return { metadata: { annotations: { [leaderAnnotation]: JSON.stringify(record) } } };
  }

  /**
   * The API server may first judge a write by an object from its cache, and again by the one that is stored. Reading
   * "not older than" makes the cache catch up, so that what is refused is refused once.
   * SOURCE: https://kubernetes.io/docs/reference/using-api/api-concepts/#semantics-for-get-and-list
   */
  async #inApiServersCache(): Promise<void> {
    const stored = await this.stored();
    if (stored === null) return;
    await this.#ports.admin.get(this, { resourceVersion: versionOf(stored) });
  }
}

/**
 * Whether the switch refused, for this reason. NB: not by which clause: the requester's own stamp is of another second or of the same, and so
 * the switch sees two entries touched (U19) or one (U18).
 */
export function saysSwitch(answer: Answer, reason: Reason): boolean {
  return new RegExp(`\\[lockwarden U\\d+ ${reason}, switch\\]$`, 'u').test(messageOf(answer));
}

/** Whether the guard knows by its own observation how old the promise is at least. */
function isWitnessed({ evidence, elapsedMinMs }: RejectionRecord): boolean {
  return evidence === 'observed' && (elapsedMinMs ?? 0) > 0;
}

/** The rules of which an answer warns. Other warnings, as of the deprecated Endpoints, are the API server's own. */
export function rulesIn({ warnings }: Answer): readonly string[] {
  return warnings.flatMap(
    (warning) => /\[lockwarden (?<rule>\w+ \w+), /u.exec(warning)?.groups?.['rule'] ?? [],
  );
}

function versionOf(object: JsonObject | null): string {
  return stringAt(objectAt(object, 'metadata'), 'resourceVersion');
}
