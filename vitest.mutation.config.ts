import { defineConfig } from 'vitest/config';

// The tests that mutants of src/core must face. The exhaustive comparison is left out: it covers every line, so each of
// a thousand mutants would wait for its thirty thousand cases, and a mutant that only it could kill would be one that
// no named clause guards.
export default defineConfig({
  test: { include: ['test/semantics/**/*.test.ts', 'test/core/**/*.test.ts', 'test/bypass/**/*.test.ts'] },
});
