import { defineConfig } from 'vitest/config';

// A project of its own, since it needs a cluster that `npm run kind:up` has made. One test after another: they share it.
export default defineConfig({
  test: {
    reporters: ['default', ['json', { outputFile: 'reports/kind.json' }]],
    name: 'kind',
    include: ['test/kind/**/*.test.ts'],
    fileParallelism: false,
    maxWorkers: 1,
    // LIMIT: a rolling restart of two replicas takes up to four minutes, most of it API servers' idle connections.
    testTimeout: 600_000,
    hookTimeout: 300_000,
  },
});
