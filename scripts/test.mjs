// @ts-check
// `npm test`: installs what is missing, then every check and every test.
// `npm test -- FILTER...`: only the tests that vitest finds by these arguments, no static checks.
import { ensureInstalled } from './lib/install.mjs';
import { printFailure } from './lib/project.mjs';
import { runStaticChecks } from './lib/static-checks.mjs';
import { runTests, summarise } from './lib/test-run.mjs';

try {
  const filters = process.argv.slice(2);
  await ensureInstalled();
  const checks = filters.length === 0 ? await runStaticChecks() : { passed: [], failed: [] };
  const { code, counts } = await runTests(filters);
  if (checks.failed.length > 0) console.log(`\nFailed checks: ${checks.failed.join(', ')}`);
  const { line, failed } = summarise(counts, checks, code);
  console.log(`\n${line}`);
  process.exitCode = failed ? 1 : 0;
} catch (error) {
  printFailure(error);
  console.log('\n0 passed, 1 failed, 0 skipped');
  process.exitCode = 1;
}
