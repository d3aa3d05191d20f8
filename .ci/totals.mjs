// Prints `N passed, N failed, N skipped` from vitest's JSON report, and exits as the run it reports on deserves.
import { readFileSync } from 'node:fs';

const testsExitCode = Number(process.argv[2] ?? 1);
let totals = { numPassedTests: 0, numFailedTests: 0, numPendingTests: 0, numFailedTestSuites: 0 };
try {
  totals = JSON.parse(readFileSync('reports/tests.json', 'utf8'));
} catch {
  console.log('no tests were run: see what failed before them');
}
// A file that cannot be loaded, a lint or type error: a failure without a failed test is one all the same.
const failed = totals.numFailedTests === 0 && testsExitCode !== 0 ? 1 : totals.numFailedTests;
console.log(`${totals.numPassedTests} passed, ${failed} failed, ${totals.numPendingTests} skipped`);
process.exitCode = failed > 0 || totals.numPassedTests === 0 ? 1 : 0;
