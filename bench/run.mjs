// @ts-check
// npm run bench: what Shardgate costs, next to PgBouncer and no proxy at all.
import { writeFileSync } from 'node:fs';
import { ensureBuilt } from '../scripts/lib/build.mjs';
import { ensureInstalled } from '../scripts/lib/install.mjs';
import { printFailure } from '../scripts/lib/project.mjs';
import { Cleanup } from './lib/cleanup.mjs';
import { readOptions, usage } from './lib/options.mjs';

try {
  const options = readOptions(process.argv.slice(2));
  if (options === null) console.log(usage);
  else {
    await ensureInstalled();
    await ensureBuilt();
    await run(options);
  }
} catch (error) {
  printFailure(error);
  process.exitCode = 1;
}

/** @param {import('./lib/options.mjs').Options} options */
async function run(options) {
  const cleanup = new Cleanup();
  try {
    // Imported late: these need packages that may have been missing until now.
    const { measure } = await import('./lib/measure.mjs');
    const report = await measure(options, cleanup);
    console.log(`\n${report}\n`);
    if (options.out !== null) writeFileSync(options.out, `${report}\n`);
  } finally {
    await cleanup.run();
  }
}
