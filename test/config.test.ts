import { describe, expect, it } from 'vitest';
import { serveConfigOf, type ServeOptions } from '../src/config.ts';
import { LockwardenError } from '../src/errors.ts';

const given: ServeOptions = {
  namespace: 'lockwarden-system',
  port: '9443',
  healthPort: '8080',
  bindAddress: '0.0.0.0',
  inspectRenewals: false,
  logLevel: 'info',
};

describe('what serve is told', () => {
  it('the defaults are usable', () => {
    expect(serveConfigOf(given)).toMatchObject({
      kubeconfig: null,
      context: null,
      port: 9443,
      webhookUrl: null,
    });
  });

  it('a webhook URL without a path gets the one that reviews are taken on', () => {
    expect(serveConfigOf({ ...given, webhookUrl: 'https://127.0.0.1:9443' }).webhookUrl?.href).toBe(
      'https://127.0.0.1:9443/validate',
    );
    expect(serveConfigOf({ ...given, webhookUrl: 'https://[::1]:9443/validate' }).webhookUrl?.hostname).toBe(
      '[::1]',
    );
  });

  it.each([
    ['--port', { port: '65536' }],
    ['--port', { port: '-1' }],
    ['--port', { port: 'https' }],
    ['--health-port', { healthPort: '' }],
    ['--namespace', { namespace: 'Not A Name' }],
    ['--bind-address', { bindAddress: 'localhost' }],
    ['--webhook-url', { webhookUrl: 'http://127.0.0.1' }],
    ['--webhook-url', { webhookUrl: 'https://u:p@127.0.0.1' }],
    ['--webhook-url', { webhookUrl: 'https://127.0.0.1/elsewhere' }],
    ['--webhook-url', { webhookUrl: 'nonsense' }],
    ['--log-level', { logLevel: 'loud' }],
  ])('%s is named when %o cannot be used', (flag, wrong) => {
    const attempt = (): unknown => serveConfigOf({ ...given, ...wrong });
    expect(attempt).toThrow(LockwardenError);
    expect(attempt).toThrow(new RegExp(`^${flag} does not take`));
  });
});
