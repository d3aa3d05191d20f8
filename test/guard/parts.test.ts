import { describe, expect, it } from 'vitest';
import { serveConfigOf } from '../../src/config.ts';
import { webhookAddress, webhookHosts } from '../../src/guard/address.ts';
import { untilAgreed } from '../../src/guard/retry.ts';
import { ServingCertificates } from '../../src/guard/serving-certificate.ts';
import { KubeError } from '../../src/kube/errors.ts';

const config = serveConfigOf({
  namespace: 'guards',
  port: '9443',
  healthPort: '0',
  bindAddress: '127.0.0.1',
  inspectRenewals: false,
  logLevel: 'info',
});

describe('where the API server finds lockwarden', () => {
  it('its Service, by the name in the certificate', () => {
    expect(webhookAddress(config, 9443, '/validate')).toEqual({
      kind: 'service',
      namespace: 'guards',
      name: 'lockwarden',
      port: 443,
      path: '/validate',
    });
    expect(webhookHosts(config)).toContain('lockwarden.guards.svc');
  });

  it('a URL, with the port that was found when any would do', () => {
    const outside = { ...config, webhookUrl: new URL('https://127.0.0.1:1/validate') };
    expect(webhookAddress(outside, 4711, '/validate')).toEqual({
      kind: 'url',
      url: 'https://127.0.0.1:1/validate',
    });
    expect(webhookAddress({ ...outside, port: 0 }, 4711, '/validate')).toEqual({
      kind: 'url',
      url: 'https://127.0.0.1:4711/validate',
    });
    expect(webhookHosts({ ...config, webhookUrl: new URL('https://[::1]:1/validate') })).toEqual(['::1']);
  });
});

describe('asking again', () => {
  const silent = { info: () => undefined, error: () => undefined };

  it('one line for each failure, until it succeeds', async () => {
    const lines: object[] = [];
    const told: string[] = [];
    let left = 2;
    const result = await untilAgreed(
      () =>
        left-- > 0 ? Promise.reject(new KubeError('unreachable', 'nobody there')) : Promise.resolve('done'),
      {
        logger: { ...silent, warn: (fields, message) => void lines.push({ ...fields, message }) },
        signal: new AbortController().signal,
        message: 'not reached',
        onFailure: (reason) => void told.push(reason),
        sleep: () => Promise.resolve(),
      },
    );
    expect(result).toBe('done');
    expect(lines).toMatchObject([
      { reason: 'nobody there', message: 'not reached' },
      { message: 'not reached' },
    ]);
    expect(told).toEqual(['nobody there', 'nobody there']);
  });

  it('gives up when told to, without a word, and does not hide a defect', async () => {
    const stopping = new AbortController();
    const warnings: string[] = [];
    const options = {
      logger: { ...silent, warn: (_fields: object, message: string) => void warnings.push(message) },
      message: 'x',
      sleep: () => Promise.resolve(),
    };
    const never = untilAgreed(
      () => {
        stopping.abort();
        return Promise.reject(new KubeError('aborted', 'the request was given up'));
      },
      { ...options, signal: stopping.signal },
    );
    expect(await never).toBeNull();
    expect(warnings).toEqual([]);
    const defect = untilAgreed(() => Promise.reject(new TypeError('oops')), {
      ...options,
      signal: new AbortController().signal,
    });
    await expect(defect).rejects.toThrow(TypeError);
  });
});

describe('the serving certificate', () => {
  const validityMs = 3_600_000;
  const t0 = Date.parse('2026-03-01T12:00:00Z');

  async function issued() {
    const published: string[] = [];
    const served: string[] = [];
    const ports = {
      publish: (bundle: string) => Promise.resolve(void published.push(bundle)),
      serve: ({ certPem }: { certPem: string }) => void served.push(certPem),
    };
    const certificates = await ServingCertificates.issue(
      { hosts: ['127.0.0.1'], validityMs, overlapMs: 1000 },
      ports,
      t0,
    );
    return { certificates, published, served };
  }

  it('is left alone while two thirds of its life are to come or have not passed', async () => {
    const { certificates, published } = await issued();
    await certificates.tend(t0 + (validityMs * 2) / 3 - 1000);
    expect(published).toEqual([]);
  });

  it('is replaced by widening the bundle first, and serving the new leaf only after that', async () => {
    const { certificates, published, served } = await issued();
    const first = certificates.served;
    const due = t0 + (validityMs * 2) / 3 + 1000;
    await certificates.tend(due);
    expect(published).toHaveLength(1);
    expect(published[0]).toContain(first.caPem.trim());
    expect(published[0]?.match(/BEGIN CERTIFICATE/g)).toHaveLength(2);
    expect(certificates.caBundle).toBe(published[0]);
    await certificates.tend(due + 999);
    expect(served).toEqual([]);
    await certificates.tend(due + 1000);
    expect(served).toEqual([certificates.served.certPem]);
    expect(certificates.served).not.toBe(first);
    expect(certificates.caBundle).toContain(first.caPem.trim());
  });

  it('stays when the new bundle could not be published', async () => {
    const failing = await ServingCertificates.issue(
      { hosts: ['127.0.0.1'], validityMs, overlapMs: 0 },
      {
        publish: () => Promise.reject(new KubeError('unreachable', 'no')),
        serve: () => {
          throw new Error('served');
        },
      },
      t0,
    );
    const before = failing.caBundle;
    await expect(failing.tend(t0 + validityMs)).rejects.toThrow('no');
    expect(failing.caBundle).toBe(before);
  });
});
