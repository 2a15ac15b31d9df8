// @ts-check
import { execFileSync } from 'node:child_process';
import { cpus, release, totalmem } from 'node:os';
import { join } from 'node:path';
import { pgbenchProgram } from './pgbench.mjs';

/**
 * What figures are worth nothing without: when, where and with which versions they were taken.
 * @param {string | null} postgresBin null: no server was used
 * @param {import('./pgbouncer.mjs').PgBouncer | null} pgbouncer
 * @returns {string} Markdown
 */
export function describeMachine(postgresBin, pgbouncer) {
  const processors = cpus();
  const model = processors[0]?.model.trim() ?? 'unknown CPU';
  const memory = `${Math.round(totalmem() / 1e9)} GB`;
  const lines = [
    `- ${new Date().toISOString().slice(0, 10)}`,
    `- ${model}, ${processors.length} cores, ${memory}, Linux ${release()}`,
    `- Node ${process.versions.node}`,
  ];
  if (postgresBin !== null) {
    const bouncer = pgbouncer === null ? 'not installed' : pgbouncer.version;
    lines.push(
      `- PostgreSQL ${version(join(postgresBin, 'postgres'))}, ` +
        `pgbench ${version(pgbenchProgram())}, PgBouncer ${bouncer}`,
    );
  }
  return lines.join('\n');
}

/** @param {string} program of PostgreSQL */
function version(program) {
  const output = execFileSync(program, ['--version'], { encoding: 'utf8', cwd: '/' });
  return /\d+(\.\d+)*/.exec(output)?.[0] ?? output.trim();
}
