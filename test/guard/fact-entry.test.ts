import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { LockRef } from '../../src/core/lock.ts';
import {
  joined,
  noFacts,
  type Assertion,
  type Deletion,
  type LockFacts,
} from '../../src/core/shared-facts.ts';
import { serverMs } from '../../src/core/time.ts';
import { assertionsMax, fitting, lineOf, readLine } from '../../src/guard/fact-entry.ts';
import { lock, t0 } from '../support/locks.ts';

const uid = '705ab4f5-6393-11e8-b7cc-42010a800002';
const pod = { namespace: 'team', name: 'op-7d4b9', uid: '805ab4f5-6393-11e8-b7cc-42010a800002' };
const says = (more: Partial<Assertion> = {}): Assertion => ({
  ...{
    uid,
    version: 5,
    holder: 'op-7d4b9_x',
    pod,
    acquireTime: '2026-03-01T12:00:00.123456Z',
    transitions: 3,
  },
  ...more,
});
const deleted = (more: Partial<Deletion> = {}): Deletion => ({
  ...{ uid, version: 9, attribution: 'other', holderPod: pod, holder: 'op', leaseDurationMs: 15_000 },
  ...{ renewTime: { raw: '2026-03-01T12:00:00.123456Z', at: serverMs(t0 + 123) } },
  ...{ stampedAt: serverMs(t0), spentBy: serverMs(t0 + 20_000) },
  ...more,
});

describe('a line', () => {
  it('is compact, and in plain words where it can be', () => {
    const facts = {
      asserted: [says(), says({ version: 8, pod: { ...pod, namespace: 'x' } })],
      deleted: null,
    };
    expect(lineOf(lock, facts)).toBe(
      `lease/team/election [1,[[5,"${uid}","op-7d4b9_x",["","op-7d4b9","${pod.uid}"],"2026-03-01T12:00:00.123456Z",3],` +
        `[8,"","op-7d4b9_x",["x","op-7d4b9","${pod.uid}"],"2026-03-01T12:00:00.123456Z",3]],null]`,
    );
  });

  const name = fc.stringMatching(/^[a-z][a-z0-9.-]{0,40}$/);
  const anyPod = fc.option(fc.record({ namespace: name, name, uid: name }));
  const assertion: fc.Arbitrary<Assertion> = fc.record({
    uid: fc.constantFrom('u1', 'u2'),
    version: fc.integer({ min: 1, max: 1_000_000 }),
    holder: fc.string({ minLength: 1, maxLength: 256 }),
    pod: anyPod,
    acquireTime: fc.option(fc.string({ minLength: 1, maxLength: 64 })),
    transitions: fc.option(fc.integer()),
  });
  const kinds: readonly LockRef['kind'][] = ['Lease', 'ConfigMap', 'Endpoints'];

  it('is read as it was meant, whatever names and holders it is about', () => {
    fc.assert(
      fc.property(
        fc.record({ kind: fc.constantFrom(...kinds), namespace: name, name }),
        fc.array(assertion, { maxLength: 6 }),
        fc.option(
          fc.constantFrom(deleted(), deleted({ holderPod: null, stampedAt: null, attribution: 'holder' })),
        ),
        (ref, asserted, deletion) => {
          const facts = joined(noFacts, { asserted, deleted: deletion }, assertionsMax);
          const line = lineOf(ref, facts);
          if (line === null) return;
          expect(line).not.toContain('\n');
          expect(readLine(line)).toEqual({ lock: ref, facts });
        },
      ),
    );
  });

  it('of a time without an offset keeps the text', () => {
    const facts: LockFacts = {
      asserted: [],
      deleted: deleted({ renewTime: { raw: '2026-03-01 12:00:00', at: null } }),
    };
    expect(readLine(lineOf(lock, facts)!)).toEqual({ lock, facts });
  });

  it('of a later layout is not touched', () => {
    expect(readLine('lease/team/election [2,{"anything":1}]')).toBe('foreign');
  });

  const good = `["v5"]`.replace('"v5"', `5,"u","h",null,null,null`);
  it.each([
    ['', 'nothing'],
    ['lease/team/election', 'no value'],
    ['lease/team/election {}', 'no list'],
    ['lease/team/election [1,[],null', 'no JSON'],
    ['lease/team/election [0,[],null]', 'no layout'],
    ['lease/team/election ["1",[],null]', 'no number for a layout'],
    ['lease/team/election [1,{},null]', 'no assertions'],
    ['lease/team/election [1,[7],null]', 'no assertion'],
    ['lease/team/election [1,[[5,"","h",null,null,null]],null]', 'no uid'],
    ['lease/team/election [1,[[-5,"u","h",null,null,null]],null]', 'no version'],
    ['lease/team/election [1,[[5.5,"u","h",null,null,null]],null]', 'half a version'],
    ['lease/team/election [1,[[5,"u","",null,null,null]],null]', 'no holder'],
    ['lease/team/election [1,[[5,"u",7,null,null,null]],null]', 'a number for a holder'],
    ['lease/team/election [1,[[5,"u","h","p",null,null]],null]', 'no pod'],
    ['lease/team/election [1,[[5,"u","h",["",7,"u"],null,null]],null]', 'no name of a pod'],
    ['lease/team/election [1,[[5,"u","h",null,7,null]],null]', 'no time'],
    ['lease/team/election [1,[[5,"u","h",null,null,"7"]],null]', 'no count'],
    [`lease/team/election [1,[${[good, good, good, good, good].join(',')}],null]`, 'too many'],
    [`lease/team/election [1,[[5,"u","${'h'.repeat(257)}",null,null,null]],null]`, 'too long a holder'],
    [`lease/team/election [1,[],null,"${'x'.repeat(5000)}"]`, 'too long a line'],
    ['lease/team/election [1,[],7]', 'no deletion'],
    ['lease/team/election [1,[],[9,"u","nobody",null,"h",1,"t",null,1]]', 'nobody who deletes'],
    ['lease/team/election [1,[],[9,"u","other",7,"h",1,"t",null,1]]', 'no pod of a holder'],
    ['lease/team/election [1,[],[9,"u","other",null,"h",0,"t",null,1]]', 'no duration'],
    ['lease/team/election [1,[],[9,"u","other",null,"h",1,"",null,1]]', 'no renew time'],
    ['lease/team/election [1,[],[9,"u","other",null,"h",1,"t","x",1]]', 'no stamp'],
    ['lease/team/election [1,[],[9,"u","other",null,"h",1,"t",null,null]]', 'no end'],
    ['lease/team/election [1,[],[9,"u","other",null,"",1,"t",null,1]]', 'nobody who held'],
    ['secret/team/election [1,[],null]', 'no lock'],
    ['lease/team [1,[],null]', 'no name'],
    ['lease//election [1,[],null]', 'no namespace'],
    ['lease/team/election/x [1,[],null]', 'too much of a name'],
    [`lease/team/${'x'.repeat(254)} [1,[],null]`, 'too long a name'],
  ])('%j is none: %s', (line) => {
    expect(readLine(line)).toBe('broken');
  });
});

describe('what can be written down', () => {
  it('leaves out what its writers made too long, and says how much', () => {
    const long = 'x'.repeat(257);
    const asserted = [
      says(),
      says({ version: 6, holder: long }),
      says({ version: 7, acquireTime: 'x'.repeat(65) }),
      says({ version: 8, uid: 'x'.repeat(65) }),
      says({ version: 9, pod: { ...pod, name: 'x'.repeat(254) } }),
    ];
    expect(fitting({ asserted, deleted: deleted({ holder: long }) })).toEqual({
      facts: { asserted: [asserted[0]], deleted: null },
      dropped: 5,
    });
    const renewTime = { raw: 'x'.repeat(65), at: null };
    expect(fitting({ asserted: [], deleted: deleted({ renewTime }) }).dropped).toBe(1);
    expect(fitting({ asserted: [], deleted: deleted() })).toEqual({
      facts: { asserted: [], deleted: deleted() },
      dropped: 0,
    });
  });

  it('are the latest four assertions', () => {
    const asserted = [1, 2, 3, 4, 5].map((version) => says({ version }));
    expect(fitting({ asserted, deleted: null })).toEqual({
      facts: { asserted: asserted.slice(1), deleted: null },
      dropped: 0,
    });
  });

  it('is no line that is longer than can be read', () => {
    const wide = { namespace: 'x'.repeat(253), name: 'x'.repeat(253), uid: 'x'.repeat(64) };
    const asserted = [1, 2, 3, 4].map((version) =>
      says({ version, holder: '"'.repeat(256), pod: wide, uid: String(version).repeat(64) }),
    );
    expect(lineOf(lock, { asserted, deleted: null })).toBeNull();
  });
});
