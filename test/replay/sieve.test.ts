/** Which lines are parsed at all. */
import { describe, expect, it } from 'vitest';
import { isWorthReading } from '../../src/replay/sieve.ts';
import { recordings } from '../support/recordings.ts';
import { eventsOf } from '../preflight/support/audit-events.ts';

function worth(text: string): boolean {
  return isWorthReading(Buffer.from(text));
}

describe('a line of an audit log', () => {
  it.each(recordings())('of %s is read, however it is laid out', (name) => {
    for (const event of eventsOf(name)) {
      expect(worth(JSON.stringify(event))).toBe(true);
      expect(worth(` ${JSON.stringify(event, null, '\t').replaceAll('\n', ' ')}\r`)).toBe(true);
    }
  });

  it.each(['get', 'list', 'watch'])('about a %s of a lock need not be read', (verb) => {
    const [event] = eventsOf('go-lease');
    expect(worth(JSON.stringify({ ...event, verb }))).toBe(false);
  });

  it('about another resource need not be read', () => {
    const [event] = eventsOf('go-lease');
    expect(worth(JSON.stringify({ ...event, objectRef: { resource: 'pods' } }))).toBe(false);
  });

  it.each(['no JSON', '{"kind":"Event"', '[]', '{', 'null'])(
    'such as `%s` is read, to be counted',
    (text) => {
      expect(worth(text)).toBe(true);
    },
  );
});
