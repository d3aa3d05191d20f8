import { describe, expect, it } from 'vitest';
import { allowed, couldNotJudge, denied, errored } from '../../src/admission/response.ts';

const envelope = { apiVersion: 'admission.k8s.io/v1', kind: 'AdmissionReview' };

describe('an answer', () => {
  it('that allows holds nothing but the uid', () => {
    expect(allowed('u1')).toEqual({ ...envelope, response: { uid: 'u1', allowed: true } });
  });

  it('that allows carries warnings and audit annotations', () => {
    expect(allowed('u1', { warnings: ['careful'], auditAnnotations: { reason: 'UntimedRecord' } })).toEqual({
      ...envelope,
      response: {
        uid: 'u1',
        allowed: true,
        warnings: ['careful'],
        auditAnnotations: { reason: 'UntimedRecord' },
      },
    });
  });

  it('that denies is 403 Forbidden, never 409', () => {
    expect(denied('u1', { message: 'held by `a`', warnings: ['w'] })).toEqual({
      ...envelope,
      response: {
        uid: 'u1',
        allowed: false,
        status: { status: 'Failure', message: 'held by `a`', reason: 'Forbidden', code: 403 },
        warnings: ['w'],
      },
    });
  });

  it.each([
    [400, 'BadRequest'],
    [404, 'NotFound'],
    [405, 'MethodNotAllowed'],
    [408, 'Timeout'],
    [413, 'RequestEntityTooLarge'],
    [415, 'UnsupportedMediaType'],
    [418, 'BadRequest'],
    [500, 'InternalError'],
    [503, 'ServiceUnavailable'],
  ])('to what is no review names %i %s', (code, reason) => {
    expect(errored('', { code, message: 'm' }).response).toEqual({
      uid: '',
      allowed: false,
      status: { status: 'Failure', message: 'm', reason, code },
    });
  });

  it('to what could not be judged lets it pass and says so', () => {
    expect(couldNotJudge('u1', 'it took too long').response).toEqual({
      uid: 'u1',
      allowed: true,
      warnings: ['lockwarden could not judge this write, and let it pass: it took too long [CouldNotJudge]'],
      auditAnnotations: { reason: 'CouldNotJudge' },
    });
  });
});

describe('the text of an answer', () => {
  const messageOf = (message: string): string | undefined =>
    denied('u', { message }).response.status?.message;
  const warningsOf = (...warnings: string[]): readonly string[] | undefined =>
    allowed('u', { warnings }).response.warnings;

  it('is cut to what an Event holds', () => {
    expect(messageOf('m'.repeat(1024))).toBe('m'.repeat(1024));
    expect(messageOf('m'.repeat(1025))).toBe(`${'m'.repeat(1023)}…`);
  });

  it('holds no control characters, for which the API server would drop a warning', () => {
    expect(warningsOf('a\nb\u001b[31m\u0085\u202ec\u2028')).toEqual([
      'a\\u{a}b\\u{1b}[31m\\u{85}\\u{202e}c\\u{2028}',
    ]);
    expect(messageOf('half a pair: \ud800')).toBe('half a pair: \\u{d800}');
  });

  it('stays well-formed where it is cut', () => {
    expect(messageOf('😀'.repeat(600))?.isWellFormed()).toBe(true);
  });

  it('keeps warnings together within half of what the API server passes on', () => {
    const kept = warningsOf(...Array.from({ length: 30 }, (_, n) => `${n}`.padStart(200, 'w'))) ?? [];
    expect(kept).toHaveLength(10);
    expect(kept.join('').length).toBeLessThanOrEqual(2048);
  });

  it('drops empty and repeated warnings', () => {
    expect(warningsOf('', 'a', 'a', 'b')).toEqual(['a', 'b']);
    expect(warningsOf('')).toBeUndefined();
  });

  it('bounds audit annotations as well', () => {
    const { auditAnnotations } = allowed('u', {
      auditAnnotations: { holder: '\u0000'.repeat(5000) },
    }).response;
    expect(auditAnnotations?.['holder']).toHaveLength(1024);
  });
});
