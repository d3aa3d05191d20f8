import { defineConfig } from 'vitest/config';

// Three projects: `unit` needs nothing but Node and finishes in seconds; `integration` runs against a real kube-apiserver
// and etcd, which its global set-up provides (test/support/integration-setup.ts); `alone` does too, one file at a time and
// nothing beside it, because it counts calls that must be answered within two seconds while several replicas run.
const alone = ['test/conformance/rotation.test.ts', 'test/conformance/recovery.test.ts'];

export default defineConfig({
  test: {
    // The JSON report is what .ci/totals.mjs counts.
    reporters: ['default', ['json', { outputFile: 'reports/tests.json' }]],
    projects: [
      {
        test: {
          name: 'unit',
          include: ['test/**/*.test.ts'],
          exclude: ['test/conformance/**', 'test/packed/**', 'test/kind/**'],
          testTimeout: 20_000,
        },
      },
      {
        test: {
          name: 'integration',
          include: ['test/conformance/**/*.test.ts', 'test/packed/**/*.test.ts'],
          exclude: alone,
          globalSetup: ['test/support/integration-setup.ts'],
          testTimeout: 60_000,
          hookTimeout: 120_000,
          maxWorkers: 2,
          // After the unit tests: elections with real clocks should not compete with them for the processor.
          sequence: { groupOrder: 1 },
        },
      },
      {
        test: {
          name: 'alone',
          include: alone,
          globalSetup: ['test/support/integration-setup.ts'],
          testTimeout: 60_000,
          hookTimeout: 120_000,
          maxWorkers: 1,
          fileParallelism: false,
          sequence: { groupOrder: 2 },
        },
      },
    ],
  },
});
