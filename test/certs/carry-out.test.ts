import type { X509Certificate } from 'node:crypto';
import { beforeAll, describe, expect, it } from 'vitest';
import type { AuthorityState } from '../../src/certs/authority-state.ts';
import { bundleFor, splitBundle, trustsAll } from '../../src/certs/bundle.ts';
import { isSignedBy, readCertificate, readChain } from '../../src/certs/certificate.ts';
import { day, hour, lifetimes, second, stable, step, t0 } from './support/rotation.ts';

let first: AuthorityState;
let prepared: AuthorityState;
let switched: AuthorityState;
beforeAll(async () => {
  first = await stable();
  prepared = await step(first, 'prepare', t0 + day, { token: 'asked' });
  switched = await step(prepared, 'switch', t0 + day + 30 * second);
});

describe('carrying out', () => {
  it('creates an authority for a year and a leaf for a month, both valid an hour ago', () => {
    const { current, leaf } = first;
    expect([current?.certificate.notBeforeMs, current?.certificate.notAfterMs]).toEqual([
      t0 - hour,
      t0 + 365 * day,
    ]);
    expect([leaf?.certificate.notBeforeMs, leaf?.certificate.notAfterMs]).toEqual([t0 - hour, t0 + 30 * day]);
    expect(first).toMatchObject({
      createdAtMs: t0,
      switchedAtMs: t0,
      confirmedAtMs: t0,
      next: null,
      retired: [],
    });
  });

  it('gives each authority a name of its own, and every certificate key identifiers', () => {
    const names = [first.current, prepared.next].map((each) => each?.certificate.x509.subject ?? '');
    expect(names[0]).toMatch(/^CN=lockwarden 2026-01-02 [0-9a-f]{8}$/);
    expect(names[1]).toMatch(/^CN=lockwarden 2026-01-03 [0-9a-f]{8}$/);
    for (const each of [first.current, first.leaf, prepared.next]) {
      const der = each?.certificate.x509.raw.toString('hex') ?? '';
      expect([der.includes('0603551d0e'), der.includes('0603551d23')]).toEqual([true, true]);
    }
  });

  it('prepares with a cross-signature of the same key, valid while both are', () => {
    const { next, current } = prepared;
    const { cross, certificate } = next!;
    expect(isSignedBy(cross!, current!.certificate)).toBe(true);
    const key = (x509: X509Certificate): string => x509.publicKey.export({ format: 'pem', type: 'spki' });
    expect(key(cross!.x509)).toBe(key(certificate.x509));
    expect(cross!.notAfterMs).toBe(current!.certificate.notAfterMs);
    expect(cross!.notBeforeMs).toBe(certificate.notBeforeMs);
    expect([prepared.rotatedFor, prepared.leaf]).toEqual(['asked', first.leaf]);
  });

  it('switches, and keeps of the old authority only what is public', () => {
    expect(switched.current).toEqual({
      certificate: prepared.next!.certificate,
      keyPem: prepared.next!.keyPem,
    });
    expect(switched.retired).toEqual([
      { certificate: first.current!.certificate, retiredAtMs: t0 + day + 30 * second },
    ]);
    expect(switched).toMatchObject({ next: null, confirmedAtMs: null, rotatedFor: 'asked' });
    expect(JSON.stringify(switched)).not.toContain(JSON.stringify(first.current!.keyPem).slice(1, -1));
  });

  it('keeps the cross-signature when the leaf is renewed, until its signer retires or it expires', async () => {
    const { cross } = prepared.next!;
    const renewed = await step(switched, 'renewLeaf', t0 + 10 * day);
    expect(renewed.leaf!.crosses).toEqual([cross]);
    const retired = await step(renewed, 'retire', t0 + 11 * day, {
      authorities: [first.current!.certificate.fingerprint],
    });
    expect([retired.retired, retired.leaf!.crosses]).toEqual([[], []]);
    expect(retired.leaf!.certificate).toBe(renewed.leaf!.certificate);
    const late = await step(switched, 'renewLeaf', t0 + 365 * day);
    expect(late.leaf!.crosses).toEqual([]);
  });

  it('never lets a leaf outlive its authority, nor be valid before it', async () => {
    const late = await step(first, 'renewLeaf', t0 + 350 * day);
    expect(late.leaf!.certificate.notAfterMs).toBe(first.current!.certificate.notAfterMs);
    const tiny = { ...lifetimes, caValidityMs: 20 * second, leafValidityMs: 20 * second };
    const state = await step(null, 'create', t0, { lifetimes: tiny });
    expect(state.leaf!.certificate.notBeforeMs).toBe(t0 - 10 * second);
    expect(state.current!.certificate.notBeforeMs).toBe(t0 - 10 * second);
  });

  it('refuses what the state does not allow', async () => {
    for (const attempt of [
      step(first, 'switch', t0),
      step(null, 'prepare', t0),
      step({ ...prepared, current: null, leaf: null }, 'renewLeaf', t0),
      step(first, 'renewLeaf', t0, { hosts: [] }),
    ]) {
      await expect(attempt).rejects.toMatchObject({ code: 'CertificateInvalid' });
    }
  });
});

describe('the bundle', () => {
  it('holds what is in use, what is next and what is retired, each once, and nothing that has expired', async () => {
    const again = await step(switched, 'prepare', t0 + 2 * day);
    const pems = [again.current!, again.next!, again.retired[0]!].map(({ certificate }) => certificate.pem);
    expect(bundleFor(again, t0 + 2 * day)).toBe(pems.join(''));
    expect(bundleFor(again, t0 + 365 * day)).toBe(pems.slice(0, 2).join(''));
    expect(bundleFor(again, t0 + 999 * day)).toBe('');
    expect(bundleFor({ ...again, retired: [...again.retired, ...again.retired] }, t0)).toBe(pems.join(''));
  });

  it('is compared by what it trusts, not by how it is written', () => {
    const bundle = bundleFor(switched, t0);
    const [one, two] = splitBundle(bundle);
    const shuffled = `# comment\r\n${two!.pem.replaceAll('\n', '\r\n')}\n\n${one!.pem}${one!.pem}trailing`;
    expect(splitBundle(shuffled).map(({ pem }) => pem)).toEqual([two!.pem, one!.pem]);
    expect(trustsAll(shuffled, bundle)).toBe(true);
    expect(trustsAll(one!.pem, bundle)).toBe(false);
    expect(trustsAll('', '')).toBe(true);
  });

  it('does not trip over what is not a certificate', () => {
    const junk = '-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n';
    const { pem } = first.current!.certificate;
    expect(splitBundle(junk + pem)).toHaveLength(1);
    expect([readCertificate(junk), readCertificate(pem + pem), readChain(pem + junk), readChain('')]).toEqual(
      [null, null, null, null],
    );
  });
});
