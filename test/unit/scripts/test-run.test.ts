import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { summarise } from '../../../scripts/lib/test-run.mjs';
import { countTests } from '../../../scripts/lib/vitest-report.mjs';

const folder = mkdtempSync(join(tmpdir(), 'shardgate-report-'));
afterAll(() => {
  rmSync(folder, { recursive: true });
});

function counted(report: unknown): ReturnType<typeof countTests> {
  const file = join(folder, 'report.json');
  writeFileSync(file, JSON.stringify(report));
  return countTests(file);
}

describe('counting tests', () => {
  test('counts every test by its outcome', () => {
    const assertionResults = ['passed', 'passed', 'failed', 'pending', 'todo', 'skipped'].map(
      (status) => ({ status }),
    );
    expect(counted({ testResults: [{ status: 'failed', assertionResults }] })).toEqual({
      passed: 2,
      failed: 1,
      skipped: 3,
    });
  });

  test('a file that could not be loaded is a failure', () => {
    expect(counted({ testResults: [{ status: 'failed', assertionResults: [] }] })).toEqual({
      passed: 0,
      failed: 1,
      skipped: 0,
    });
  });

  test('so is a run that left no report', () => {
    expect(countTests(join(folder, 'missing.json')).failed).toBe(1);
  });
});

describe('the last line', () => {
  const noChecks = { passed: [], failed: [] };
  const passing = { passed: 3, failed: 0, skipped: 1 };

  test('adds static checks to tests', () => {
    const checks = { passed: ['types'], failed: ['lint'] };
    expect(summarise(passing, checks, 0)).toEqual({
      line: '4 passed, 1 failed, 1 skipped',
      failed: true,
    });
  });

  test('is a success only where something ran', () => {
    expect(summarise(passing, noChecks, 0).failed).toBe(false);
    expect(summarise({ passed: 0, failed: 0, skipped: 5 }, noChecks, 0).failed).toBe(true);
  });

  test('believes an exit code that the counts do not explain', () => {
    expect(summarise(passing, noChecks, 1).line).toBe('3 passed, 1 failed, 1 skipped');
  });
});
