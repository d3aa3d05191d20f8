/** What can be asked for, and what cannot. */
import { describe, expect, it } from 'vitest';
import { askOf, resourceAt } from '../../src/read-api/ask.ts';

describe('a path', () => {
  it('leads to one of two resources, or nowhere', () => {
    expect(resourceAt('/apis/review/v1/rejections')).toBe('rejections');
    expect(resourceAt('/apis/review/v1/locks')).toBe('locks');
    const paths = [
      '/',
      '',
      '/apis/review/v1',
      '/apis/review/v1/rejections/',
      '/apis/review/v1/constructor',
      '*',
    ];
    for (const path of paths) expect(resourceAt(path), path).toBeNull();
  });
});

describe('a query', () => {
  it('says what, of which namespace, from when and how many', () => {
    expect(askOf('rejections', '')).toEqual({
      ...{
        resource: 'rejections',
        verb: 'list',
        namespace: null,
        limit: 100,
        continued: null,
        sinceMs: null,
      },
    });
    const query = 'namespace=team&limit=7&continue=x&since=2026-03-01T03%3A12%3A00Z';
    expect(askOf('rejections', query)).toMatchObject({
      ...{ namespace: 'team', limit: 7, continued: 'x', sinceMs: Date.parse('2026-03-01T03:12:00Z') },
    });
    expect(askOf('rejections', 'watch=true')).toMatchObject({ verb: 'watch' });
    expect(askOf('locks', 'namespace=')).toMatchObject({ resource: 'locks', namespace: null });
  });

  it.each([
    'namespace=Team',
    'namespace=a/b',
    'namespace=a&namespace=b',
    `namespace=${'a'.repeat(64)}`,
    'limit=501',
    'limit=-1',
    'limit=1e2',
    'since=yesterday',
    'since=2026-03-01',
    'watch=1',
    'watch=true&continue=x',
    'labelSelector=a',
    '__proto__=a',
  ])('%s is refused', (query) => {
    expect(askOf('rejections', query)).toMatchObject({ code: 400, reason: 'BadRequest' });
  });

  it('of locks knows no watch and no time', () => {
    for (const query of ['watch=true', 'since=2026-03-01T03:12:00Z'])
      expect(askOf('locks', query)).toMatchObject({ code: 400 });
  });
});
