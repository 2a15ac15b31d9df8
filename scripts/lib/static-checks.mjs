// @ts-check
import { runTool } from './commands.mjs';

/** Everything that is said of the code without running it. Each is an npm script of its own too. */
const checks = [
  { name: 'types of src', tool: 'typescript/bin/tsc', args: ['-p', 'tsconfig.json', '--noEmit'] },
  { name: 'types of the rest', tool: 'typescript/bin/tsc', args: ['-p', 'tsconfig.check.json'] },
  { name: 'lint', tool: 'eslint/bin/eslint.js', args: ['.', '--max-warnings', '0'] },
  {
    name: 'format',
    tool: 'prettier/bin/prettier.cjs',
    args: ['--check', '--log-level', 'warn', '.'],
  },
  {
    name: 'architecture',
    tool: 'dependency-cruiser/bin/dependency-cruise.mjs',
    args: ['src', '--config', '.dependency-cruiser.cjs'],
  },
  { name: 'dead code', tool: 'knip/bin/knip.js', args: [] },
];

/**
 * Runs every check, also behind one that failed.
 * @returns {Promise<{ passed: string[], failed: string[] }>} names of checks
 */
export async function runStaticChecks() {
  /** @type {{ passed: string[], failed: string[] }} */
  const result = { passed: [], failed: [] };
  for (const check of checks) {
    console.log(`\n[${check.name}]`);
    const started = performance.now();
    const code = await runTool(check.tool, check.args);
    const seconds = ((performance.now() - started) / 1000).toFixed(1);
    console.log(code === 0 ? `ok (${seconds} s)` : `${check.name} FAILED (${seconds} s)`);
    (code === 0 ? result.passed : result.failed).push(check.name);
  }
  return result;
}
