/** Recordings of real clients, as the admission requests that the API server would have sent. */
import { readdirSync, readFileSync } from 'node:fs';
import type { AdmissionRequest } from '../../src/admission/review.ts';
import { textAt } from '../../src/locks/json.ts';

const folder = new URL('../fixtures/wire/', import.meta.url);

/** One write of a recording. `atMs`: its arrival, in Unix milliseconds with a fraction. */
export interface RecordedWrite {
  readonly atMs: number;
  readonly stored: boolean;
  readonly agent: string;
  readonly request: AdmissionRequest;
}

interface Line {
  readonly at: string;
  readonly verb: 'create' | 'update' | 'patch';
  readonly stored: boolean;
  readonly agent: string;
  readonly user: AdmissionRequest['userInfo'];
  readonly object: unknown;
}

/** The names of all recordings. */
export function recordings(): string[] {
  return readdirSync(folder)
    .filter((name) => name.endsWith('.jsonl'))
    .map((name) => name.replace('.jsonl', ''))
    .sort();
}

/** The writes of a recording in the order of their arrival, each with the object it met. */
export function writesOf(name: string): RecordedWrite[] {
  const lines = readFileSync(new URL(`${name}.jsonl`, folder), 'utf8')
    .trim()
    .split('\n');
  const current = new Map<string, unknown>();
  return lines.map((text, index) => {
    const line = JSON.parse(text) as Line;
    const kind = textAt(line.object, 'kind');
    const creates = line.verb === 'create';
    const oldObject = creates ? null : (current.get(kind) ?? null);
    if (line.stored) current.set(kind, line.object);
    return {
      atMs: microseconds(line.at),
      stored: line.stored,
      agent: line.agent,
      request: {
        uid: `${name}-${String(index)}`,
        kind: { group: kind === 'Lease' ? 'coordination.k8s.io' : '', version: 'v1', kind },
        resource: {
          group: kind === 'Lease' ? 'coordination.k8s.io' : '',
          version: 'v1',
          resource: `${kind.toLowerCase()}s`,
        },
        subResource: '',
        namespace: textAt(line.object, 'metadata', 'namespace'),
        name: textAt(line.object, 'metadata', 'name'),
        operation: creates ? 'CREATE' : 'UPDATE',
        userInfo: line.user,
        object: line.object,
        oldObject,
        dryRun: false,
        fieldManager: null,
      },
    };
  });
}

/** Date.parse stops at milliseconds; two writes may arrive within one. */
function microseconds(time: string): number {
  const [, digits = '0'] = /\.(\d+)/.exec(time) ?? [];
  return Date.parse(`${time.slice(0, 19)}Z`) + Number(`0.${digits}`) * 1000;
}
