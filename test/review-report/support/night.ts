/** Log lines of a night: records that the real handler made and the real logger wrote, with times of the test's choice. */
import { closeSync, mkdtempSync, openSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createHandler } from '../../../src/admission/handler.ts';
import { Judge } from '../../../src/admission/judge.ts';
import { LockMemories } from '../../../src/admission/lock-memories.ts';
import type { AdmissionRequest } from '../../../src/admission/review.ts';
import { monotonicMs } from '../../../src/core/time.ts';
import { builtInSettings } from '../../../src/policy/built-in.ts';
import { GuardReviews } from '../../../src/guard/reviews.ts';
import { createLogging } from '../../../src/review/logger.ts';

/** A takeover of a live lock. */
export interface Theft {
  readonly uid?: string;
  readonly holder?: string;
  readonly thief?: string;
  readonly name?: string;
}

const renewedAt = '2026-03-01T03:12:00.250000Z';

function lease(name: string, holder: string, renewTime: string, transitions: number): object {
  const managed = {
    manager: holder,
    operation: 'Update',
    time: `${renewTime.slice(0, 19)}Z`,
    fieldsV1: { 'f:spec': { 'f:renewTime': {}, 'f:holderIdentity': {} } },
  };
  return {
    apiVersion: 'coordination.k8s.io/v1',
    kind: 'Lease',
    metadata: { name, namespace: 'team', uid: 'lock-uid', managedFields: [managed] },
    spec: {
      holderIdentity: holder,
      leaseDurationSeconds: 15,
      renewTime,
      acquireTime: renewTime,
      leaseTransitions: transitions,
    },
  };
}

function requestOf({
  uid = 'review-1',
  holder = 'a-0',
  thief = 'b-0',
  name = 'orders',
}: Theft): AdmissionRequest {
  return {
    uid,
    kind: { group: 'coordination.k8s.io', version: 'v1', kind: 'Lease' },
    resource: { group: 'coordination.k8s.io', version: 'v1', resource: 'leases' },
    subResource: '',
    namespace: 'team',
    name,
    operation: 'UPDATE',
    userInfo: {
      username: 'system:serviceaccount:team:candidate',
      groups: [],
      extra: {
        'authentication.kubernetes.io/pod-name': ['b-0'],
        'authentication.kubernetes.io/pod-uid': ['pod-b'],
      },
    },
    oldObject: lease(name, holder, renewedAt, 1),
    object: lease(name, thief, '2026-03-01T03:12:03.250000Z', 2),
    dryRun: false,
    fieldManager: null,
  };
}

/** The line that a replica writes about a theft, as it is in the file. */
export async function lineOf(theft: Theft = {}): Promise<string> {
  const folder = mkdtempSync(join(tmpdir(), 'lockwarden-review-'));
  const path = join(folder, 'log');
  const fd = openSync(path, 'w');
  try {
    const logging = createLogging({ level: 'info', fd, pretty: false });
    const reviews = new GuardReviews({
      instance: 'replica-0',
      clock: { monotonicMs: () => monotonicMs(0) },
      nowMs: () => Date.parse('2026-03-01T03:12:03.250Z'),
      log: logging.log,
      recordEvent: () => undefined,
      countRejection: () => undefined,
      onDrop: () => undefined,
    });
    const handle = createHandler({
      judge: new Judge({
        memories: new LockMemories(),
        monotonicNow: () => monotonicMs(0),
        settingsFor: (lock) => builtInSettings(lock, 'lockwarden-system'),
        isCanary: () => false,
        podState: () => Promise.reject(new Error('must not be asked')),
      }),
      countDecision: () => undefined,
      tell: (...judged) => {
        reviews.judged(...judged);
      },
    });
    await handle(requestOf(theft));
    await logging.close();
    return readFileSync(path, 'utf8').trimEnd();
  } finally {
    closeSync(fd);
    rmSync(folder, { recursive: true });
  }
}

/** The same line with other fields; with another `time`, the write was seen then. */
export function changed(line: string, fields: object): string {
  const seen = 'time' in fields ? { firstSeen: fields.time, lastSeen: fields.time } : {};
  return JSON.stringify({ ...(JSON.parse(line) as object), ...seen, ...fields });
}

/** `HH:MM:SS` of the night. */
export function at(clock: string): string {
  return `2026-03-01T${clock}.000Z`;
}

/** A line about a change of holder that was allowed. */
export function changeLine(
  clock: string,
  holder: string | null,
  newHolder: string | null,
  more: object = {},
): string {
  return JSON.stringify({
    ...{
      level: 'info',
      time: at(clock),
      recordVersion: 1,
      lockKind: 'Lease',
      namespace: 'team',
      name: 'orders',
    },
    ...{ lockUid: 'lock-uid', operation: 'UPDATE', transition: newHolder === null ? 'release' : 'takeover' },
    ...{ holder, newHolder, requester: 'system:serviceaccount:team:candidate', pod: newHolder ?? holder },
    ...{ evidence: 'stamped', elapsedMinMs: 16_000, elapsedMaxMs: 17_000, leaseDurationMs: 15_000 },
    ...{ leaseTransitions: 2, reviewUid: `change-${clock}`, instance: 'replica-0', ...more },
    msg: 'lock changed hands',
  });
}
