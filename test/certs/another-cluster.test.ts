import { describe, expect, it } from 'vitest';
import { secretData } from '../../src/certs/authority-state.ts';
import { readAuthority } from '../../src/certs/read-authority.ts';
import { step, t0 } from './support/rotation.ts';

describe('a Secret', () => {
  it.each([
    ['of this cluster', 'here', 'here', 'state'],
    ['of another cluster', 'there', 'here', 'broken'],
    ['of a cluster that was not known', null, 'here', 'state'],
    ['of some cluster, where it is not known which this is', 'there', null, 'state'],
  ] as const)('%s is read as what it is', async (_, made, found, kind) => {
    const data = secretData(await step(null, 'create', t0, { cluster: made }));
    const reading = readAuthority(data, t0, found);
    expect(reading.kind).toBe(kind);
    if (reading.kind === 'broken')
      expect(reading.why).toBe('`state.json` says that it was made for another cluster');
    if (reading.kind === 'state') expect(reading.state.cluster).toBe(made);
  });

  it.each([7, '', 'x'.repeat(300)])('with `%s` for a cluster is not believed', async (cluster) => {
    const { 'state.json': instants = '', ...data } = secretData(await step(null, 'create', t0));
    const changed = { ...(JSON.parse(atob(instants)) as object), cluster };
    const reading = readAuthority({ ...data, 'state.json': btoa(JSON.stringify(changed)) }, t0, 'here');
    expect(reading.kind).toBe('broken');
  });
});
