/**
 * The sandbox's keys and certificates: one authority that lives as long as the control plane, a serving certificate for
 * the loopback address, a client certificate for the administrator, and the key that signs ServiceAccount tokens.
 */
import 'reflect-metadata';

import { generateKeyPairSync, randomBytes, webcrypto } from 'node:crypto';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';

import {
  BasicConstraintsExtension,
  ExtendedKeyUsage,
  ExtendedKeyUsageExtension,
  KeyUsageFlags,
  KeyUsagesExtension,
  PemConverter,
  SubjectAlternativeNameExtension,
  X509CertificateGenerator,
  type Extension,
  type X509Certificate,
} from '@peculiar/x509';

import { systemClock } from '../clock.ts';
import { loopback } from './free-port.ts';

/** A certificate and its key as PEM text. */
export interface PemPair {
  readonly certificate: string;
  readonly key: string;
}

/** Paths of the files the servers read, and the PEM texts the clients need. */
export interface Credentials {
  readonly authority: string;
  readonly admin: PemPair;
  readonly files: {
    readonly authority: string;
    readonly serving: string;
    readonly servingKey: string;
    readonly serviceAccountKey: string;
    readonly serviceAccountPublicKey: string;
  };
}

const algorithm = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' };

const dayMs = 86_400_000;

/** LIMIT: no sandbox runs for a month; a day of backdating covers a clock that steps back. */
const validity = { beforeMs: dayMs, afterMs: 30 * dayMs };

/** Makes everything new and writes it beneath `folder`, readable by this user only. */
export async function createCredentials(
  folder: string,
  nowMs = systemClock().wallMs(),
): Promise<Credentials> {
  const authority = await createAuthority(nowMs);
  const serving = await issue(authority, nowMs, 'CN=lockwarden-sandbox', [
    new ExtendedKeyUsageExtension([ExtendedKeyUsage.serverAuth, ExtendedKeyUsage.clientAuth]),
    new SubjectAlternativeNameExtension([
      { type: 'ip', value: loopback },
      { type: 'dns', value: 'localhost' },
    ]),
  ]);
  // SOURCE: RBAC binds the group system:masters to cluster-admin; a client certificate's O is its group.
  const admin = await issue(authority, nowMs, 'O=system:masters, CN=sandbox-admin', [
    new ExtendedKeyUsageExtension([ExtendedKeyUsage.clientAuth]),
  ]);
  const tokens = generateKeyPairSync('ec', {
    namedCurve: 'P-256',
    privateKeyEncoding: { type: 'pkcs8', format: 'pem' },
    publicKeyEncoding: { type: 'spki', format: 'pem' },
  });
  const write = async (name: string, text: string): Promise<string> => {
    const path = join(folder, name);
    await writeFile(path, text, { mode: 0o600 });
    return path;
  };
  const authorityPem = authority.certificate.toString('pem');
  return {
    authority: authorityPem,
    admin,
    files: {
      authority: await write('ca.crt', authorityPem),
      serving: await write('server.crt', serving.certificate),
      servingKey: await write('server.key', serving.key),
      serviceAccountKey: await write('service-account.key', tokens.privateKey),
      serviceAccountPublicKey: await write('service-account.pub', tokens.publicKey),
    },
  };
}

interface Authority {
  readonly certificate: X509Certificate;
  readonly keys: CryptoKeyPair;
}

type CryptoKeyPair = webcrypto.CryptoKeyPair;

async function createAuthority(nowMs: number): Promise<Authority> {
  const keys = await createKeys();
  const certificate = await X509CertificateGenerator.createSelfSigned({
    ...common(nowMs),
    name: 'CN=lockwarden-sandbox-ca',
    keys,
    extensions: [
      new BasicConstraintsExtension(true, 0, true),
      new KeyUsagesExtension(KeyUsageFlags.keyCertSign | KeyUsageFlags.cRLSign, true),
    ],
  });
  return { certificate, keys };
}

async function issue(
  authority: Authority,
  nowMs: number,
  subject: string,
  extensions: Extension[],
): Promise<PemPair> {
  const keys = await createKeys();
  const certificate = await X509CertificateGenerator.create({
    ...common(nowMs),
    subject,
    issuer: authority.certificate.subject,
    publicKey: keys.publicKey,
    signingKey: authority.keys.privateKey,
    extensions: [new KeyUsagesExtension(KeyUsageFlags.digitalSignature, true), ...extensions],
  });
  const key = await webcrypto.subtle.exportKey('pkcs8', keys.privateKey);
  return { certificate: certificate.toString('pem'), key: PemConverter.encode(key, 'PRIVATE KEY') };
}

function createKeys(): Promise<CryptoKeyPair> {
  return webcrypto.subtle.generateKey(algorithm, true, ['sign', 'verify']);
}

function common(nowMs: number): {
  serialNumber: string;
  notBefore: Date;
  notAfter: Date;
  signingAlgorithm: typeof algorithm;
} {
  // NB: a first byte below 0x80 keeps the serial number positive.
  const serial = randomBytes(16);
  serial[0] = (serial[0] ?? 0) & 0x7f;
  return {
    serialNumber: serial.toString('hex'),
    notBefore: new Date(nowMs - validity.beforeMs),
    notAfter: new Date(nowMs + validity.afterMs),
    signingAlgorithm: algorithm,
  };
}
