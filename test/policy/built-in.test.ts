import { describe, expect, it } from 'vitest';
import { builtInDefaults } from '../../src/core/settings.ts';
import { builtInSettings } from '../../src/policy/built-in.ts';

const settingsOf = (namespace: string, name: string) =>
  builtInSettings({ kind: 'Lease', namespace, name }, 'lockwarden-system');

describe('without any policy', () => {
  it.each(['kube-system', 'kube-public', 'kube-node-lease', 'longhorn-system', 'lockwarden-system'])(
    '%s is not guarded',
    (namespace) => {
      expect(settingsOf(namespace, 'x')).toBeNull();
    },
  );

  it('lockwarden’s own namespace is the one it runs in', () => {
    expect(builtInSettings({ kind: 'Lease', namespace: 'elsewhere', name: 'x' }, 'elsewhere')).toBeNull();
    expect(settingsOf('elsewhere', 'x')).toBe(builtInDefaults);
  });

  it('every other namespace is', () => {
    expect(settingsOf('team', 'x')).toBe(builtInDefaults);
    expect(settingsOf('default', 'kyverno-health')).toBe(builtInDefaults);
  });

  it('kyverno’s heartbeats are no locks', () => {
    expect(settingsOf('kyverno', 'kyverno-health')).toBeNull();
    expect(settingsOf('kyverno', 'kyvernopre-lock')).toBeNull();
    expect(settingsOf('kyverno', 'kyverno')).toBe(builtInDefaults);
  });

  it('Istio’s control planes take from each other by priority, which only warns; in its own namespace', () => {
    const settings = settingsOf('istio-system', 'istio-leader');
    expect(settings?.enforcement).toMatchObject({
      PrematureTakeover: 'Warn',
      ForeignRelease: 'Warn',
      PrematureRecreation: 'Warn',
    });
    expect(settings?.enforcement.EvidenceTampered).toBe('Deny');
    expect(settingsOf('istio-system', 'other')).toBe(builtInDefaults);
    expect(settingsOf('team', 'istio-leader')).toBe(builtInDefaults);
  });
});
