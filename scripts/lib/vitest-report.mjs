// @ts-check
import { readFileSync } from 'node:fs';

/** @typedef {{ passed: number, failed: number, skipped: number }} Counts */

/**
 * Counts the tests of vitest's JSON report. A file that could not be loaded is one failure, since
 * its tests are not in the report; so is a report that is missing, which means that vitest itself fell.
 * @param {string} file
 * @returns {Counts}
 */
export function countTests(file) {
  let report;
  try {
    report = JSON.parse(readFileSync(file, 'utf8'));
  } catch {
    return { passed: 0, failed: 1, skipped: 0 };
  }
  const counts = { passed: 0, failed: 0, skipped: 0 };
  for (const testFile of report.testResults) {
    let failedTests = 0;
    for (const test of testFile.assertionResults) {
      if (test.status === 'passed') counts.passed += 1;
      else if (test.status === 'failed') failedTests += 1;
      else counts.skipped += 1;
    }
    const brokenFile = testFile.status === 'failed' && failedTests === 0 ? 1 : 0;
    counts.failed += failedTests + brokenFile;
  }
  return counts;
}
