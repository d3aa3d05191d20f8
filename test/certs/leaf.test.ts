import { X509Certificate } from 'node:crypto';
import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { connect, createServer, type ConnectionOptions } from 'node:tls';
import { describe, expect, it } from 'vitest';
import { issueLeaf } from '../../src/certs/leaf.ts';
import { issueServingCertificate, type ServingCertificate } from '../support/serving-certificate.ts';
import { createAuthority, randomSerial } from '../../src/certs/authority.ts';

const nowMs = Date.UTC(2026, 0, 2, 3, 4, 5, 678);
const hour = 3_600_000;

function issue(hosts: readonly string[], at = nowMs): Promise<ServingCertificate> {
  return issueServingCertificate({ hosts, nowMs: at, validityMs: 24 * hour, backdateMs: hour });
}

describe('a serving certificate', () => {
  it('names its hosts, serves only, and is verified by its authority alone', async () => {
    const { caPem, certPem, keyPem, notAfterMs } = await issue(['webhook.ns.svc', '127.0.0.1', '::1']);
    const [ca, leaf] = [new X509Certificate(caPem), new X509Certificate(certPem)];
    expect(leaf.subjectAltName).toBe('DNS:webhook.ns.svc, IP Address:127.0.0.1, IP Address:0:0:0:0:0:0:0:1');
    expect(leaf.keyUsage).toEqual(['1.3.6.1.5.5.7.3.1']);
    expect(leaf.publicKey.asymmetricKeyDetails).toEqual({ namedCurve: 'prime256v1' });
    expect(leaf.checkIssued(ca) && leaf.verify(ca.publicKey)).toBe(true);
    expect([leaf.ca, ca.ca]).toEqual([false, true]);
    expect(keyPem).toMatch(/^-----BEGIN PRIVATE KEY-----\n/);
    expect(new Date(leaf.validTo).getTime()).toBe(notAfterMs);
  });

  it('is valid an hour ago already, and not a second longer than said', async () => {
    const { certPem, caPem, notAfterMs } = await issue(['a']);
    expect(notAfterMs).toBe(Date.UTC(2026, 0, 3, 3, 4, 5));
    for (const pem of [certPem, caPem]) {
      const certificate = new X509Certificate(pem);
      expect(new Date(certificate.validFrom).getTime()).toBe(Date.UTC(2026, 0, 2, 2, 4, 5));
      expect(new Date(certificate.validTo).getTime()).toBe(notAfterMs);
    }
  });

  it('has an authority without path length, so that the next one can be signed by it', async () => {
    const { caPem } = await issue(['a']);
    const der = new X509Certificate(caPem).raw.toString('hex');
    // basicConstraints, critical, SEQUENCE { BOOLEAN TRUE } and nothing after it.
    expect(der).toContain('0603551d130101ff040530030101ff');
  });

  it('never repeats a serial, a key or an authority', async () => {
    const made = await Promise.all(Array.from({ length: 8 }, () => issue(['a'])));
    const certificates = made.flatMap(({ caPem, certPem }) => [
      new X509Certificate(caPem),
      new X509Certificate(certPem),
    ]);
    expect(new Set(certificates.map(({ serialNumber }) => serialNumber)).size).toBe(16);
    expect(
      new Set(certificates.map(({ publicKey }) => publicKey.export({ type: 'spki', format: 'pem' }))).size,
    ).toBe(16);
    // DER integers are signed: a serial whose first bit is set must not turn negative.
    expect(certificates.every(({ serialNumber }) => /^[0-9A-F]+$/.test(serialNumber))).toBe(true);
    expect(randomSerial()).toMatch(/^[0-9a-f]{32}$/);
  });

  it('can be issued again under an authority that is kept, whose key cannot be exported', async () => {
    const authority = await createAuthority({ notBeforeMs: nowMs - hour, notAfterMs: nowMs + hour });
    const [one, two] = [await issueLeaf(authority, ['a']), await issueLeaf(authority, ['b'])];
    const ca = new X509Certificate(authority.certificate.toString('pem'));
    expect([one, two].every(({ certPem }) => new X509Certificate(certPem).verify(ca.publicKey))).toBe(true);
    expect(authority.signingKey.extractable).toBe(false);
  });

  it('is not issued for nobody', async () => {
    await expect(issue([])).rejects.toMatchObject({ code: 'CertificateInvalid' });
  });
});

describe('a handshake', () => {
  /** Connects to a server with a certificate for `hosts`; resolves with null, or with the code of the client's refusal. */
  async function handshake(
    hosts: readonly string[],
    trust: (own: string) => string,
    client: ConnectionOptions,
  ): Promise<string | null> {
    const { caPem, certPem, keyPem } = await issue(hosts, Date.now());
    const server = createServer({ cert: certPem, key: keyPem });
    server.on('tlsClientError', () => undefined);
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    const { port } = server.address() as AddressInfo;
    const socket = connect({ host: '127.0.0.1', port, ca: trust(caPem), ...client });
    try {
      await once(socket, 'secureConnect');
      return null;
    } catch (error) {
      return (error as NodeJS.ErrnoException).code ?? 'unknown';
    } finally {
      socket.destroy();
      server.close();
    }
  }
  const own = (caPem: string): string => caPem;

  it('succeeds for whoever trusts the authority and nothing else', async () => {
    expect(await handshake(['lockwarden.ns.svc'], own, { servername: 'lockwarden.ns.svc' })).toBeNull();
    expect(await handshake(['127.0.0.1'], own, {})).toBeNull();
  });

  it('fails for another name or address', async () => {
    expect(await handshake(['lockwarden.ns.svc'], own, { servername: 'other.ns.svc' })).toBe(
      'ERR_TLS_CERT_ALTNAME_INVALID',
    );
    expect(await handshake(['127.0.0.2'], own, {})).toBe('ERR_TLS_CERT_ALTNAME_INVALID');
  });

  it('fails for whoever trusts another authority, though it has the same name', async () => {
    const { caPem } = await issue(['127.0.0.1'], Date.now());
    expect(await handshake(['127.0.0.1'], () => caPem, {})).toMatch(
      /^(CERT_SIGNATURE_FAILURE|UNABLE_TO_VERIFY_LEAF_SIGNATURE|UNABLE_TO_GET_ISSUER_CERT_LOCALLY)$/,
    );
  });
});
