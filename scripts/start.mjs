// @ts-check
// `npm start`: a whole cluster on this machine, five PostgreSQL servers and the proxy, until Ctrl-C.
// `npm start -- --check`: the same, then a few statements through the proxy, then stops; exit code 0
// where everything answered.
import { ensureBuilt } from './lib/build.mjs';
import { ensureInstalled } from './lib/install.mjs';
import { printFailure, StepError } from './lib/project.mjs';

const unknown = process.argv.slice(2).find((argument) => argument !== '--check');
try {
  if (unknown !== undefined) {
    throw new StepError(`unknown argument ${unknown}`, ['Usage: npm start [-- --check]']);
  }
  await ensureInstalled();
  await ensureBuilt();
  // Imported only now: it needs what was just installed.
  const { LocalSession } = await import('./lib/start/local-session.mjs');
  process.exitCode = await new LocalSession().run({ check: process.argv.includes('--check') });
} catch (error) {
  printFailure(error);
  process.exitCode = 1;
}
