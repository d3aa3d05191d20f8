import { defineConfig } from 'vitest/config';

// Two projects: `unit` needs nothing but Node and finishes in seconds; `integration` runs against a real
// kube-apiserver and etcd, which its global set-up provides (test/support/integration-setup.ts).
export default defineConfig({
  test: {
    // The JSON report is what .ci/totals.mjs counts.
    reporters: ['default', ['json', { outputFile: 'reports/tests.json' }]],
    projects: [
      {
        test: {
          name: 'unit',
          include: ['test/**/*.test.ts'],
          exclude: ['test/conformance/**'],
          testTimeout: 20_000,
        },
      },
      {
        test: {
          name: 'integration',
          include: ['test/conformance/**/*.test.ts'],
          globalSetup: ['test/support/integration-setup.ts'],
          testTimeout: 60_000,
          hookTimeout: 120_000,
          maxWorkers: 2,
          // After the unit tests: elections with real clocks should not compete with them for the processor.
          sequence: { groupOrder: 1 },
        },
      },
    ],
  },
});
