// Prints `N passed, N failed, N skipped` from vitest's JSON reports, and exits as the runs they report on deserve.
// Arguments: `NAME=EXIT_CODE` for each run, whose report is reports/NAME.json.
import { readFileSync } from 'node:fs';

const totals = process.argv.slice(2).map((argument) => {
  const [name, code] = argument.split('=');
  try {
    const report = JSON.parse(readFileSync(`reports/${name}.json`, 'utf8'));
    const { numPassedTests: passed, numFailedTests, numPendingTests: skipped } = report;
    // A file that cannot be loaded, a lint or type error: a failure without a failed test is one all the same.
    const failed = numFailedTests === 0 && code !== '0' ? 1 : numFailedTests;
    return { passed, failed, skipped };
  } catch {
    console.log(`${name}: no tests were run; see what failed before them`);
    return { passed: 0, failed: 1, skipped: 0 };
  }
});
const sum = (what) => totals.reduce((total, each) => total + each[what], 0);
console.log(`${sum('passed')} passed, ${sum('failed')} failed, ${sum('skipped')} skipped`);
process.exitCode = sum('failed') > 0 || sum('passed') === 0 ? 1 : 0;
