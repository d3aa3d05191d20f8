import { beforeEach, describe, expect, it } from 'vitest';
import { Caches } from '../../src/guard/caches.ts';

let caches: Caches;

beforeEach(() => {
  caches = new Caches({ needed: ['policies'], useful: ['Leases', 'Endpoints'] });
});

describe('what has to be known before reviews are answered', () => {
  it('is all of it at first, and what is missing is named', () => {
    expect(caches.state).toEqual({ ready: false, why: 'waiting for Leases, Endpoints, policies' });
    caches.filled('Leases');
    caches.filled('policies');
    expect(caches.state).toEqual({ ready: false, why: 'waiting for Endpoints' });
    caches.filled('Endpoints');
    expect(caches.state).toEqual({ ready: true, why: 'ok' });
  });

  it('is what nobody can do without, when the rest does not come', () => {
    caches.filled('Leases');
    caches.filled('policies');
    caches.waited();
    expect(caches.state).toEqual({ ready: true, why: 'going on without Endpoints' });
    caches.filled('Endpoints');
    expect(caches.state).toEqual({ ready: true, why: 'ok' });
  });

  it('is what turns out to be useful, too, unless somebody is ready without it', () => {
    caches.alsoUseful('NodeLease');
    for (const name of ['Leases', 'Endpoints', 'policies']) caches.filled(name);
    expect(caches.state).toEqual({ ready: false, why: 'waiting for NodeLease' });
    caches.filled('NodeLease');
    expect(caches.state).toEqual({ ready: true, why: 'ok' });
    caches.alsoUseful('more');
    expect(caches.state).toEqual({ ready: true, why: 'going on without more' });
    caches.filled('more');
    expect(caches.state).toEqual({ ready: true, why: 'ok' });
  });

  it('is policies for as long as it takes: a lock may be exempt', () => {
    caches.filled('Leases');
    caches.filled('Endpoints');
    caches.waited();
    expect(caches.state).toEqual({ ready: false, why: 'waiting for policies' });
    caches.filled('policies');
    expect(caches.state.ready).toBe(true);
  });
});
