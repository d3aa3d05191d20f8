import { describe, expect, test } from 'vitest';

import { asLockwardenError, errorOfEvent, errorOfStatus, errorOfTransport } from '../../src/kube/errors.ts';
import { failure } from './support/fake-api-server.ts';

describe('errors of the API server', () => {
  test.for([
    [400, 'BadRequest', 'invalid'],
    [401, 'Unauthorized', 'unauthorized'],
    [403, 'Forbidden', 'forbidden'],
    [404, 'NotFound', 'not-found'],
    [409, 'AlreadyExists', 'already-exists'],
    [409, 'Conflict', 'conflict'],
    [410, 'Expired', 'gone'],
    [422, 'Invalid', 'invalid'],
    [429, 'TooManyRequests', 'throttled'],
    [500, 'InternalError', 'server-error'],
    [504, 'Timeout', 'server-error'],
    [302, '', 'malformed'],
  ] as const)('status %d %s is %s', ([status, reason, kind]) => {
    const error = errorOfStatus(status, failure(status, reason, 'said so'));
    expect(error).toMatchObject({ kind, status, reason });
    expect(error.message).toContain('said so');
    expect(error.message).not.toMatch(/\n|\.$/u);
  });

  test.for([undefined, null, 'text', [], {}, { message: 1, reason: [] }])(
    'a body of %j still makes a sentence',
    (body) => {
      expect(errorOfStatus(503, body).message).toBe('the API server failed (status 503)');
      expect(errorOfStatus(404, body).message).toBe('the API server answered with status 404');
    },
  );

  test('a missing permission is named: user, verb, resource, group and place', () => {
    const inNamespace = errorOfStatus(
      403,
      failure(
        403,
        'Forbidden',
        'pods "a" is forbidden: User "system:serviceaccount:lockwarden-system:lockwarden" cannot get resource "pods" in API group "" in the namespace "team": RBAC: role.rbac.authorization.k8s.io "x" not found',
      ),
    );
    expect(inNamespace.missing).toEqual({
      user: 'system:serviceaccount:lockwarden-system:lockwarden',
      verb: 'get',
      apiGroup: '',
      resource: 'pods',
      namespace: 'team',
    });
    expect(inNamespace.message).toBe(
      '`system:serviceaccount:lockwarden-system:lockwarden` may not get pods in the namespace `team`; grant it the verb `get` on `pods` of the core API group',
    );
    const anywhere = errorOfStatus(
      403,
      failure(
        403,
        'Forbidden',
        'leases.coordination.k8s.io is forbidden: User "u" cannot list resource "leases" in API group "coordination.k8s.io" at the cluster scope',
      ),
    );
    expect(anywhere.missing?.namespace).toBeNull();
    expect(anywhere.message).toBe(
      '`u` may not list leases in the whole cluster; grant it the verb `list` on `leases` of the API group `coordination.k8s.io`',
    );
    expect(asLockwardenError(anywhere)).toMatchObject({
      code: 'PermissionMissing',
      message: anywhere.message,
    });
  });

  test('a refusal by admission is no missing permission', () => {
    const said = 'admission webhook "leases.lockwarden.dev" denied the request: no';
    const error = errorOfStatus(403, failure(403, 'Forbidden', said));
    expect(error.missing).toBeNull();
    expect(error.message).toBe(`the API server refuses the request: ${said}`);
  });

  test('the Status of an ERROR event is read like an answer', () => {
    expect(errorOfEvent(failure(410, 'Expired'))).toMatchObject({ kind: 'gone', status: 410 });
    const busy = { ...failure(429, 'TooManyRequests'), details: { retryAfterSeconds: 3 } };
    expect(errorOfEvent(busy)).toMatchObject({ kind: 'throttled', retryAfterMs: 3000 });
    expect(errorOfEvent('odd')).toMatchObject({ kind: 'server-error' });
  });

  test.for([
    ['ECONNREFUSED', 'nothing listens there'],
    ['ENOTFOUND', 'the host name is unknown'],
    ['CERT_HAS_EXPIRED', 'its certificate has expired'],
    ['ERR_TLS_CERT_ALTNAME_INVALID', 'its certificate is for another host name'],
    [
      'SELF_SIGNED_CERT_IN_CHAIN',
      'its certificate is not trusted; check the certificate authority of the cluster',
    ],
    ['EODD', 'connect EODD'],
  ])('the system error %s is one sentence', ([code = '', sentence = '']) => {
    const error = errorOfTransport(
      Object.assign(new Error(`connect ${code}`), { code }),
      'https://host:6443',
    );
    expect(error.kind).toBe('unreachable');
    expect(error.message).toBe(`the API server at \`https://host:6443\` cannot be reached: ${sentence}`);
    expect(asLockwardenError(error).code).toBe('ClusterUnreachable');
  });
});
