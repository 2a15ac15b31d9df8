// @ts-check
// `npm run check`: types, lint, format, architecture, dead code and unit tests; what to run before a commit.
import { ensureInstalled } from './lib/install.mjs';
import { printFailure } from './lib/project.mjs';
import { runStaticChecks } from './lib/static-checks.mjs';
import { runTests, summarise } from './lib/test-run.mjs';

try {
  await ensureInstalled();
  const checks = await runStaticChecks();
  const { code, counts } = await runTests(['--project', 'unit']);
  if (checks.failed.length > 0) console.log(`\nFailed checks: ${checks.failed.join(', ')}`);
  const { line, failed } = summarise(counts, checks, code);
  console.log(`\n${line}`);
  process.exitCode = failed ? 1 : 0;
} catch (error) {
  printFailure(error);
  process.exitCode = 1;
}
