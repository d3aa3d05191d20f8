import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { holdsMoreValues, reviewBytesMax, reviewValuesMax } from '../../src/admission/bounds.ts';
import { findUid, parseReview } from '../../src/admission/review.ts';
import { leaseReview, leaseReviewBody, parsedLeaseRequest, reviewUid } from '../support/admission-review.ts';

describe('a review', () => {
  it('is read from bytes and from text alike', () => {
    const expected = { ok: true, request: parsedLeaseRequest };
    expect(parseReview(leaseReviewBody())).toEqual(expected);
    expect(parseReview(Buffer.from(leaseReviewBody()))).toEqual(expected);
  });

  it('may leave out what is empty', () => {
    const parsed = parseReview(
      leaseReviewBody({
        name: undefined,
        userInfo: {},
        options: null,
        dryRun: undefined,
        operation: 'CREATE',
        oldObject: null,
      }),
    );
    expect(parsed).toEqual({
      ok: true,
      request: {
        ...parsedLeaseRequest,
        name: '',
        operation: 'CREATE',
        userInfo: { username: '', groups: [], extra: {} },
        oldObject: null,
        fieldManager: null,
      },
    });
  });

  it('of a kind lockwarden does not know is read all the same', () => {
    const parsed = parseReview(leaseReviewBody({ kind: { group: 'apps', version: 'v9', kind: 'Surprise' } }));
    expect(parsed).toMatchObject({
      ok: true,
      request: { kind: { group: 'apps', version: 'v9', kind: 'Surprise' } },
    });
  });

  it('of a dry run says so', () => {
    expect(parseReview(leaseReviewBody({ dryRun: true }))).toMatchObject({ request: { dryRun: true } });
  });

  it('takes user extras named like members of Object.prototype for plain keys', () => {
    const body = leaseReviewBody().replace('"extra":{', '"extra":{"__proto__":["x"],"constructor":["y", 7],');
    const parsed = parseReview(body);
    if (!parsed.ok) throw new Error(parsed.message);
    const { extra } = parsed.request.userInfo;
    expect(Object.getPrototypeOf(extra)).toBe(Object.prototype);
    expect(Object.entries(extra)).toEqual([
      ['__proto__', ['x']],
      ['constructor', ['y']],
      ['authentication.kubernetes.io/pod-name', ['controller-1']],
    ]);
  });
});

describe('what is no review', () => {
  const malformed: readonly [string, string | Buffer, string, string][] = [
    ['an empty body', '', '', 'the body is empty'],
    ['text', 'hello', '', 'the body is not JSON'],
    ['a truncated review', leaseReviewBody().slice(0, -20), reviewUid, 'the body is not JSON'],
    ['bytes that are not UTF-8', Buffer.from([0x22, 0xff, 0x22]), '', 'the body is not UTF-8'],
    ['null', 'null', '', 'the body is not an AdmissionReview of admission.k8s.io/v1'],
    ['a list', '[]', '', 'the body is not an AdmissionReview of admission.k8s.io/v1'],
    ['a Lease', '{"kind":"Lease"}', '', 'the body is not an AdmissionReview of admission.k8s.io/v1'],
    [
      'a review of another version',
      JSON.stringify({ ...leaseReview(), apiVersion: 'admission.k8s.io/v1beta1' }),
      reviewUid,
      'the body is not an AdmissionReview of admission.k8s.io/v1',
    ],
    [
      'a review without request',
      '{"kind":"AdmissionReview","apiVersion":"admission.k8s.io/v1"}',
      '',
      'the review has no request',
    ],
    ['a request without uid', leaseReviewBody({ uid: undefined }), '', 'the request has no uid'],
    ['a request with a uid of odd type', leaseReviewBody({ uid: 7 }), '', 'the request has no uid'],
    [
      'a request with a uid too long to echo',
      leaseReviewBody({ uid: 'x'.repeat(129) }),
      '',
      'the request has no uid',
    ],
    [
      'an unknown operation',
      leaseReviewBody({ operation: 'PATCH' }),
      reviewUid,
      'the operation is not one of CREATE, UPDATE, DELETE, CONNECT',
    ],
    [
      'an update without object',
      leaseReviewBody({ object: null }),
      reviewUid,
      'the UPDATE carries no object',
    ],
    [
      'an update with a list for an object',
      leaseReviewBody({ object: [] }),
      reviewUid,
      'the UPDATE carries no object',
    ],
    [
      'an update without old object',
      leaseReviewBody({ oldObject: 3 }),
      reviewUid,
      'the UPDATE carries no oldObject',
    ],
    [
      'a create without object',
      leaseReviewBody({ operation: 'CREATE', object: undefined }),
      reviewUid,
      'the CREATE carries no object',
    ],
    [
      'a delete without old object',
      leaseReviewBody({ operation: 'DELETE', oldObject: undefined }),
      reviewUid,
      'the DELETE carries no oldObject',
    ],
    ['a request without kind', leaseReviewBody({ kind: undefined }), reviewUid, 'the kind is missing'],
    [
      'a kind without version',
      leaseReviewBody({ kind: { kind: 'Lease' } }),
      reviewUid,
      'the kind is missing',
    ],
    [
      'a request without resource',
      leaseReviewBody({ resource: 'leases' }),
      reviewUid,
      'the resource is missing',
    ],
  ];

  it.each(malformed)(
    '%s is refused with 400, and the uid where there is one',
    (_what, body, uid, message) => {
      expect(parseReview(body)).toEqual({ ok: false, uid, status: 400, message });
    },
  );

  it('never makes the parser throw: any text, any bytes, any JSON, any damage to a review', () => {
    const total = (body: string | Buffer): void => {
      const parsed = parseReview(body);
      if (!parsed.ok) expect(parsed.status).toBeGreaterThanOrEqual(400);
    };
    fc.assert(fc.property(fc.string({ unit: 'binary' }), total));
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => {
        total(Buffer.from(bytes));
      }),
    );
    fc.assert(fc.property(fc.json(), total));
    fc.assert(
      fc.property(
        fc.constantFrom(...Object.keys(parsedLeaseRequest), 'options'),
        fc.jsonValue(),
        (key, value) => {
          total(leaseReviewBody({ [key]: value }));
        },
      ),
    );
  });
});

describe('a review beyond measure', () => {
  const padded = (bytes: number): string => {
    const frame = leaseReviewBody({ object: { padding: '' } });
    return leaseReviewBody({ object: { padding: 'x'.repeat(bytes - frame.length) } });
  };

  it('is judged at 7 MiB, and up to the limit', () => {
    expect(parseReview(padded(7 * 1024 * 1024)).ok).toBe(true);
    expect(parseReview(padded(reviewBytesMax)).ok).toBe(true);
  });

  it('is refused with 413 and its uid beyond the limit', () => {
    expect(parseReview(padded(reviewBytesMax + 1))).toMatchObject({ ok: false, status: 413, uid: reviewUid });
  });

  it('of the largest objects that etcd stores fits, even when each of their bytes is escaped to six', () => {
    const stored = '\\u003c'.repeat(1.5 * 1024 * 1024);
    const object = (): string => `{"data":"${stored}"}`;
    const body = leaseReviewBody({ object: { o: 1 }, oldObject: { o: 2 } })
      .replace('{"o":1}', object)
      .replace('{"o":2}', object);
    expect(parseReview(body)).toMatchObject({
      ok: true,
      request: { object: { data: '<'.repeat(1.5 * 1024 * 1024) } },
    });
  });

  it('with a thousand managedFields entries before and after is judged', () => {
    const fields = (n: number): unknown => ({
      manager: `m${n}`,
      operation: 'Update',
      apiVersion: 'coordination.k8s.io/v1',
      time: '2026-01-01T00:00:00Z',
      fieldsType: 'FieldsV1',
      fieldsV1: {
        'f:spec': { 'f:holderIdentity': {}, 'f:renewTime': {} },
        'f:metadata': { 'f:labels': { [`f:l${n}`]: {} } },
      },
    });
    const object = { metadata: { managedFields: Array.from({ length: 1000 }, (_, n) => fields(n)) } };
    expect(parseReview(leaseReviewBody({ object, oldObject: object })).ok).toBe(true);
  });

  it('neither overflows the stack nor stalls when it is nested as deeply as its bytes allow', () => {
    const depth = 2_000_000;
    const nested = `${'['.repeat(depth)}${']'.repeat(depth)}`;
    const body = leaseReviewBody({ object: { o: 1 } }).replace('{"o":1}', () => `{"deep":${nested}}`);
    expect(parseReview(body)).toMatchObject({ ok: false, status: 413, uid: reviewUid });

    const allowed = 100_000;
    const shallower = `${'['.repeat(allowed)}${']'.repeat(allowed)}`;
    expect(parseReview(body.replace(nested, () => shallower)).ok).toBe(true);
  });

  it('is measured in values outside strings', () => {
    const holds = (json: string, values: number): void => {
      expect(holdsMoreValues(Buffer.from(json), values)).toBe(false);
      expect(holdsMoreValues(Buffer.from(json), values - 1)).toBe(true);
    };
    holds('[1,2,{"a":[],"b":"[,{"}]', 6);
    holds(String.raw`["\",[[[\\",","]`, 2);
    expect(holdsMoreValues(Buffer.from('"never ends, [,,,'), 1)).toBe(false);
    expect(parseReview(`[${'1,'.repeat(reviewValuesMax)}1]`)).toMatchObject({ status: 413 });
  });
});

describe('the number of values', () => {
  /** Byte by byte. */
  const counted = (json: Buffer): number => {
    let [values, inString] = [0, false];
    for (let at = 0; at < json.length; at++) {
      const character = String.fromCharCode(json[at] ?? 0);
      if (inString && character === '\\') at++;
      else if (character === '"') inString = !inString;
      else if (!inString && ',[{'.includes(character)) values++;
    }
    return values;
  };
  // Long enough for strings to be searched, and full of what ends, continues and escapes them.
  const piece = fc.constantFrom(
    '"',
    '\\',
    '\\"',
    '\\\\"',
    ',',
    '[',
    '{',
    ':',
    'x'.repeat(63),
    'x'.repeat(64),
    'y'.repeat(200),
  );
  const text = fc.array(piece, { maxLength: 60 }).map((pieces) => Buffer.from(pieces.join('')));

  it('is the same whether strings are searched or looked through', () => {
    fc.assert(
      fc.property(text, (json) => {
        const values = counted(json);
        expect(holdsMoreValues(json, values)).toBe(false);
        if (values > 0) expect(holdsMoreValues(json, values - 1)).toBe(true);
      }),
      { numRuns: 2_000 },
    );
  });
});

describe('the uid of what cannot be parsed', () => {
  it('is found where the API server writes it', () => {
    expect(findUid(Buffer.from(leaseReviewBody().slice(0, 200)))).toBe(reviewUid);
    expect(findUid(Buffer.from(`{"request" : {\n "uid" : "a-b.c_1", "x`))).toBe('a-b.c_1');
  });

  it('is not looked for elsewhere', () => {
    expect(findUid(Buffer.from('{"metadata":{"uid":"an-object"}'))).toBe('');
    expect(findUid(Buffer.from(`${' '.repeat(2000)}${leaseReviewBody()}`))).toBe('');
    expect(findUid(Buffer.from('{"request":{"uid":"<script>"'))).toBe('');
  });
});
