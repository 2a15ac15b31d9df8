// @ts-check
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { runTool } from './commands.mjs';
import { countTests } from './vitest-report.mjs';

/**
 * Runs vitest with its usual output and counts the outcome.
 * @param {readonly string[]} args for `vitest run`: file filters, --project and the like
 * @returns {Promise<{ code: number, counts: import('./vitest-report.mjs').Counts }>}
 */
export async function runTests(args) {
  const folder = mkdtempSync(join(tmpdir(), 'shardgate-report-'));
  try {
    const report = join(folder, 'report.json');
    const reporters = ['--reporter=default', '--reporter=json', `--outputFile.json=${report}`];
    const code = await runTool('vitest/vitest.mjs', ['run', ...reporters, ...args]);
    return { code, counts: countTests(report) };
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/**
 * The last line of a run: every test, and every static check as one more. No test at all is a
 * failure, or a broken pattern would look like success.
 * @param {import('./vitest-report.mjs').Counts} tests
 * @param {{ passed: string[], failed: string[] }} checks
 * @param {number} code vitest's exit code, which also knows of unhandled errors outside tests
 * @returns {{ line: string, failed: boolean }}
 */
export function summarise(tests, checks, code) {
  const passed = tests.passed + checks.passed.length;
  let failed = tests.failed + checks.failed.length;
  if (tests.passed + tests.failed === 0) failed += 1;
  else if (code !== 0 && tests.failed === 0) failed += 1;
  return {
    line: `${passed} passed, ${failed} failed, ${tests.skipped} skipped`,
    failed: failed > 0,
  };
}
