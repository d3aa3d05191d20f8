import { describe, expect, it } from 'vitest';
import { serveConfigOf } from '../../src/config.ts';
import { webhookAddress, webhookHosts } from '../../src/guard/address.ts';
import { untilAgreed } from '../../src/guard/retry.ts';
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
