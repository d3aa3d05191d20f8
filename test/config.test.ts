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
      readPort: null,
    });
    expect(serveConfigOf({ ...given, readPort: '9444' }).readPort).toBe(9_444);
  });

  it('the API server stands in for a lockwarden that is down, unless told otherwise', () => {
    expect(serveConfigOf(given).standIn).toBe(true);
    expect(serveConfigOf({ ...given, standIn: false }).standIn).toBe(false);
    expect(serveConfigOf(given).generatePolicies).toBe(true);
    const applied = serveConfigOf({ ...given, generatePolicies: false });
    expect(applied).toMatchObject({ standIn: true, generatePolicies: false });
  });

  it('a webhook URL without a path gets the one that reviews are taken on', () => {
    expect(serveConfigOf({ ...given, webhookUrl: 'https://127.0.0.1:9443' }).webhookUrl?.href).toBe(
      'https://127.0.0.1:9443/validate',
    );
    expect(serveConfigOf({ ...given, webhookUrl: 'https://[::1]:9443/validate' }).webhookUrl?.hostname).toBe(
      '[::1]',
    );
  });

  it('a process behind a Service is one of several; one that registers a URL is alone, unless told otherwise', () => {
    const election = { leaseDurationMs: 15_000, renewDeadlineMs: 10_000, retryPeriodMs: 2_000 };
    expect(serveConfigOf(given)).toMatchObject({ election, shutdownGraceMs: 100_000 });
    const outside = { ...given, webhookUrl: 'https://127.0.0.1' };
    expect(serveConfigOf(outside)).toMatchObject({ election: null, shutdownGraceMs: 2_500 });
    expect(serveConfigOf({ ...outside, leaderElect: true, shutdownGracePeriod: '5s' })).toMatchObject({
      election,
      shutdownGraceMs: 5_000,
    });
    expect(serveConfigOf({ ...given, leaderElect: false }).election).toBeNull();
  });

  it('lifetimes go down to seconds, and what cannot work together is told in a sentence', () => {
    const short = { caValidity: '2m', certificateValidity: '30s', publishDwell: '1s', retireAfter: '0s' };
    expect(serveConfigOf({ ...given, ...short }).certificates).toMatchObject({
      kind: 'own',
      lifetimes: { caValidityMs: 120_000, leafValidityMs: 30_000, publishDwellMs: 1_000, retireAfterMs: 0 },
    });
    expect(() => serveConfigOf({ ...given, caValidity: '1h' })).toThrow(
      /^these lifetimes cannot work: the validity/,
    );
  });

  it('certificates come from one place', () => {
    expect(serveConfigOf({ ...given, tlsSecret: 'lockwarden-tls' }).certificates).toMatchObject({
      kind: 'secret',
      name: 'lockwarden-tls',
    });
    expect(serveConfigOf({ ...given, tlsDir: '/tls', publishDwell: '1s' }).certificates).toEqual({
      kind: 'folder',
      path: '/tls',
      publishDwellMs: 1_000,
    });
  });

  it.each([
    ['--leader-elect-lease-duration', { leaderElectLeaseDuration: '1500ms' }],
    ['--leader-elect-lease-duration', { leaderElectLeaseDuration: '10s' }],
    ['--leader-elect-lease-duration', { leaderElectLeaseDuration: 'long' }],
    ['--leader-elect-renew-deadline', { leaderElectRenewDeadline: '2s' }],
    ['--replica-name', { replicaName: 'a/b' }],
    ['--ca-validity', { caValidity: '1y' }],
    ['--tls-secret', { tlsSecret: 'No Name' }],
    ['--tls-dir', { tlsSecret: 'a', tlsDir: 'b' }],
    ['--shutdown-grace-period', { shutdownGracePeriod: '-1s' }],
    ['--port', { port: '65536' }],
    ['--port', { port: '-1' }],
    ['--port', { port: 'https' }],
    ['--health-port', { healthPort: '' }],
    ['--read-port', { readPort: '65536' }],
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
