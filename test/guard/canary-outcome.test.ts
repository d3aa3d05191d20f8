import { expect, test } from 'vitest';
import {
  outcomeOfFailure,
  outcomeOfPass,
  remedies,
  type CanaryCause,
} from '../../src/guard/canary-outcome.ts';
import { errorOfStatus, KubeError } from '../../src/kube/errors.ts';

const entry = 'admission webhook "canary.lockwarden.dev"';
const call =
  'Internal error occurred: failed calling webhook "canary.lockwarden.dev": failed to call webhook: Post "https://lockwarden.lockwarden-system.svc:443/validate?timeout=2s"';

const forbidden = (message: string): KubeError => errorOfStatus(403, { reason: 'Forbidden', message });
const failed = (why: string): KubeError =>
  errorOfStatus(500, { reason: 'InternalError', message: `${call}: ${why}` });

test('a refusal of the canary’s own is a proof', () => {
  const message = `${entry} denied the request: lease/lockwarden-system/lockwarden-canary: another identity takes the lock before the holder's lease has run out; free in at most 3599 s; [lockwarden U15 PrematureTakeover, built-in canary]`;
  expect(outcomeOfFailure(forbidden(message))).toEqual({ kind: 'proven' });
});

test.for<[string, KubeError, CanaryCause]>([
  [
    'another authority',
    failed('tls: failed to verify certificate: x509: certificate signed by unknown authority'),
    'untrusted',
  ],
  [
    'a certificate for another name, even one that looks like another failure',
    failed('x509: certificate is valid for connection refused, not lockwarden.lockwarden-system.svc'),
    'untrusted',
  ],
  ['no Service', failed('service "lockwarden" not found'), 'noService'],
  ['no endpoints', failed('no endpoints available for service "lockwarden"'), 'noEndpoints'],
  ['no such port', failed('no service port 443 found for service "lockwarden"'), 'noEndpoints'],
  ['a closed port', failed('dial tcp 127.0.0.1:36005: connect: connection refused'), 'refused'],
  ['no route', failed('dial tcp 10.0.0.7:443: connect: no route to host'), 'refused'],
  ['an unknown host', failed('dial tcp: lookup lockwarden.example on 1.1.1.1:53: no such host'), 'refused'],
  ['a path that swallows everything', failed('context deadline exceeded'), 'timeout'],
  ['a path that swallows the first packet', failed('dial tcp 10.0.0.7:443: i/o timeout'), 'timeout'],
  ['a connection that breaks', failed('EOF'), 'callFailed'],
  [
    'a refusal for another reason',
    forbidden(
      `${entry} denied the request: lease/a/b: x; [lockwarden U19 EvidenceTampered, built-in canary]`,
    ),
    'judgedWrongly',
  ],
  [
    'another webhook’s refusal, whatever it says',
    forbidden('admission webhook "other.example" denied the request: [lockwarden U15 PrematureTakeover, x]'),
    'notPossible',
  ],
  [
    'a policy’s refusal in the words of the canary',
    forbidden(
      `leases.coordination.k8s.io "lockwarden-canary" is forbidden: ValidatingAdmissionPolicy 'x' denied request: ${entry} denied the request: [lockwarden U15 PrematureTakeover, x]`,
    ),
    'notPossible',
  ],
  [
    'too few permissions',
    forbidden(
      'leases.coordination.k8s.io is forbidden: User "u" cannot update resource "leases" in API group "coordination.k8s.io" in the namespace "lockwarden-system"',
    ),
    'notPossible',
  ],
  [
    'no namespace',
    errorOfStatus(404, { reason: 'NotFound', message: 'namespaces "lockwarden-system" not found' }),
    'notPossible',
  ],
  ['no API server', new KubeError('unreachable', 'nothing listens there'), 'unreachable'],
  ['a silent API server', new KubeError('timeout', 'no answer'), 'unreachable'],
  [
    'an API server without its store',
    errorOfStatus(500, { message: 'etcdserver: timed out' }),
    'unreachable',
  ],
])('%s is told apart', ([, error, cause]) => {
  expect(outcomeOfFailure(error)).toEqual({ kind: 'unproven', cause, detail: error.message });
});

test('an attempt that passes without a word was not asked about, one with lockwarden’s warning was judged wrongly', () => {
  expect(outcomeOfPass([])).toMatchObject({ cause: 'allowed' });
  expect(outcomeOfPass(['unknown field "spec.x"'])).toMatchObject({ cause: 'allowed' });
  const warning = 'lockwarden could not judge this write, and let it pass: it took too long [CouldNotJudge]';
  expect(outcomeOfPass(['other', warning])).toEqual({
    kind: 'unproven',
    cause: 'judgedWrongly',
    detail: warning,
  });
});

test('every cause says what to do', () => {
  for (const remedy of Object.values(remedies)) expect(remedy).toMatch(/^[a-z].*[^.]$/u);
});
