import { execFile } from 'node:child_process';
import { mkdtemp, readFile, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { parseAllDocuments } from 'yaml';
import { issueServingCertificate, type ServingCertificate } from '../support/serving-certificate.ts';
import {
  broughtBundle,
  offerOf,
  readBrought,
  readBroughtSecret,
  type BroughtFiles,
} from '../../src/certs/brought.ts';
import { readCertificate } from '../../src/certs/certificate.ts';
import { day, hour, t0 } from './support/rotation.ts';

const run = promisify(execFile);
const hosts = ['lockwarden.lockwarden-system.svc'];
const issue = (nowMs = t0, validityMs = day): Promise<ServingCertificate> =>
  issueServingCertificate({ hosts, nowMs, validityMs, backdateMs: hour });

let made: ServingCertificate;
let other: ServingCertificate;
let files: BroughtFiles;
beforeAll(async () => {
  [made, other] = [await issue(), await issue()];
  files = { chain: made.certPem, key: made.keyPem, ca: made.caPem };
});

describe('what was brought', () => {
  it('is read, comments and all, and offered', () => {
    const commented = { ...files, ca: `subject=CN = somebody\n${made.caPem}\n` };
    const reading = readBrought(commented, hosts, t0);
    expect(reading).toEqual({
      kind: 'brought',
      brought: {
        leaf: { chainPem: made.certPem, keyPem: made.keyPem },
        fingerprint: readCertificate(made.certPem)?.fingerprint,
        caPem: made.caPem,
      },
    });
    expect(offerOf(reading)).toEqual({ leaf: { chainPem: made.certPem, keyPem: made.keyPem } });
  });

  it.each<[string, () => Partial<BroughtFiles>, string]>([
    [
      'nothing',
      () => ({ chain: null, key: null, ca: null }),
      'there is none of `tls.crt`, `tls.key`, `ca.crt`',
    ],
    ['no key', () => ({ key: null }), '`tls.key` missing'],
    ['only an authority', () => ({ chain: null, key: null }), '`tls.crt`, `tls.key` missing'],
    [
      'no authority',
      () => ({ ca: null }),
      '`ca.crt` is missing: API servers have to be told which authority to trust',
    ],
    [
      'half a certificate',
      () => ({ chain: made.certPem.slice(0, 200) }),
      '`tls.crt` is cut short or is not a certificate chain',
    ],
    [
      'half an authority',
      () => ({ ca: made.caPem.slice(0, 200) }),
      '`ca.crt` is cut short or is not a certificate',
    ],
    [
      'a leaf among the authorities',
      () => ({ ca: made.caPem + other.certPem }),
      '`ca.crt` holds a certificate that is not an authority',
    ],
    ['the key of another', () => ({ key: other.keyPem }), '`tls.key` is not the key of `tls.crt`'],
    [
      'the authority of another',
      () => ({ ca: other.caPem }),
      '`tls.crt` was not signed by what is in `ca.crt`',
    ],
    ['far too much', () => ({ ca: made.caPem.repeat(1000) }), 'a file is longer than 256 KB'],
  ])('is refused with %s, and says why', (_, changed, why) => {
    const reading = readBrought({ ...files, ...changed() }, hosts, t0);
    expect(reading.kind).not.toBe('brought');
    expect(offerOf(reading)).toEqual({ whyNone: why });
  });

  it('is refused when it has expired or does not name the host', () => {
    expect(readBrought(files, hosts, t0 + day)).toEqual({
      kind: 'broken',
      why: 'the certificate expired at 2026-01-03T03:04:05Z',
    });
    expect(readBrought(files, ['b.svc'], t0)).toMatchObject({ why: 'the certificate does not name b.svc' });
  });

  it('comes from a Secret as well, whatever else it holds', () => {
    const encode = (text: string): string => Buffer.from(text).toString('base64');
    const data = {
      'tls.crt': encode(made.certPem),
      'tls.key': encode(made.keyPem),
      'ca.crt': encode(made.caPem),
      x: 'eA==',
    };
    expect(readBroughtSecret(data, hosts, t0).kind).toBe('brought');
    expect(readBroughtSecret({ ...data, 'ca.crt': '' }, hosts, t0)).toMatchObject({ kind: 'broken' });
    for (const none of [null, undefined, {}, 'text', 7]) {
      expect(readBroughtSecret(none, hosts, t0).kind).toBe('missing');
    }
  });

  it('widens the bundle when the authority changes, and narrows it when all have moved', async () => {
    const expired = await issue(t0 - 2 * day);
    const reading = readBrought({ chain: other.certPem, key: other.keyPem, ca: other.caPem }, hosts, t0);
    if (reading.kind !== 'brought') throw new Error(reading.why);
    const observed = [made.caPem + expired.caPem, 'junk'];
    expect(broughtBundle(reading.brought, observed, t0, false)).toBe(other.caPem + made.caPem);
    expect(broughtBundle(reading.brought, observed, t0, true)).toBe(other.caPem);
  });
});

const openssl = await run('openssl', ['version']).then(
  () => true,
  () => false,
);

describe.skipIf(!openssl)('certs/openssl.sh', () => {
  let directory: string;
  beforeAll(async () => {
    directory = await mkdtemp(join(tmpdir(), 'lockwarden-openssl-'));
  });
  afterAll(() => rm(directory, { recursive: true }));

  /** Runs the recipe into `name` and reads what it made. */
  async function recipe(name: string, ...names: readonly string[]): Promise<BroughtFiles> {
    await run('sh', ['certs/openssl.sh', join(directory, name), ...names]);
    const text = (file: string): Promise<string> => readFile(join(directory, name, file), 'utf8');
    return { chain: await text('tls.crt'), key: await text('tls.key'), ca: await text('ca.crt') };
  }

  it('makes what can be brought, with a key for its owner alone and none of the authority', async () => {
    const reading = readBrought(await recipe('a'), hosts, Date.now());
    expect(reading.kind).toBe('brought');
    expect((await stat(join(directory, 'a', 'tls.key'))).mode & 0o077).toBe(0);
    await expect(stat(join(directory, 'a', 'ca.key'))).rejects.toMatchObject({ code: 'ENOENT' });
  });

  it('names the hosts that it is given, and a new authority each time', async () => {
    const [one, two] = [
      await recipe('b', '127.0.0.1', 'x.ns.svc'),
      await recipe('b', '127.0.0.1', 'x.ns.svc'),
    ];
    expect(readBrought(one, ['127.0.0.1', 'x.ns.svc'], Date.now()).kind).toBe('brought');
    expect(readBrought({ ...one, ca: two.ca }, ['x.ns.svc'], Date.now())).toMatchObject({
      why: '`tls.crt` was not signed by what is in `ca.crt`',
    });
  });
});

describe('certs/cert-manager', () => {
  it('asks for a certificate that lockwarden takes', async () => {
    const text = await readFile('certs/cert-manager/certificate.yaml', 'utf8');
    const objects = parseAllDocuments(text).map((each) => each.toJS() as { kind: string; spec: object });
    expect(objects.map(({ kind }) => kind)).toEqual(['Issuer', 'Certificate', 'Issuer', 'Certificate']);
    expect(objects.at(-1)).toMatchObject({
      metadata: { namespace: 'lockwarden-system' },
      spec: {
        secretName: 'lockwarden-tls',
        dnsNames: expect.arrayContaining(hosts) as string[],
        privateKey: { algorithm: 'ECDSA', size: 256, rotationPolicy: 'Always' },
        usages: ['digital signature', 'server auth'],
      },
    });
  });
});
