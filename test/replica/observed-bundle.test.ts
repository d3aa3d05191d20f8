import { describe, expect, it } from 'vitest';
import type { JsonObject } from '../../src/kube/json.ts';
import { BundleObserver, bundlesIn } from '../../src/replica/observed-bundle.ts';
import { ManualTime } from '../kube/support/manual-time.ts';

const configuration = (...bundles: readonly string[]): JsonObject => ({
  webhooks: bundles.map((bundle) => ({ clientConfig: { caBundle: btoa(bundle) } })),
});

describe('the bundles of a configuration', () => {
  it.each([
    ['none exists', null, null],
    ['it has no entries', { webhooks: [] }, null],
    ['it has some', configuration('one', 'two'), ['one', 'two']],
    ['one entry trusts nobody', { webhooks: [{ clientConfig: {} }] }, ['']],
    ['one entry is no entry', { webhooks: ['what'] }, ['']],
  ])('when %s', (_, object, bundles) => {
    expect(bundlesIn(object)).toEqual(bundles);
  });
});

describe('what is in effect', () => {
  it('is not known before anything was seen, which is not the same as nothing', () => {
    const observer = new BundleObserver(new ManualTime());
    expect(observer.observed).toBeNull();
    observer.observe(null);
    expect(observer.observed).toEqual({ bundles: null, ageMs: 0 });
  });

  it('grows old while the bundles stay the same, whatever else changes, and young when one of them changes', () => {
    const time = new ManualTime();
    const observer = new BundleObserver(time);
    observer.observe(configuration('one', 'one'));
    time.advance(5_000);
    observer.observe({ ...configuration('one', 'one'), metadata: { labels: { new: 'yes' } } });
    expect(observer.observed).toEqual({ bundles: ['one', 'one'], ageMs: 5_000 });
    observer.observe(configuration('one', 'two'));
    expect(observer.observed).toEqual({ bundles: ['one', 'two'], ageMs: 0 });
  });

  it('begins anew when the configuration was gone in between', () => {
    const time = new ManualTime();
    const observer = new BundleObserver(time);
    observer.observe(configuration('one'));
    time.advance(5_000);
    observer.observe(null);
    observer.observe(configuration('one'));
    expect(observer.observed?.ageMs).toBe(0);
  });
});
