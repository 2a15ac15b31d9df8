// @ts-check
import { spawn } from 'node:child_process';
import { StepError } from '../../scripts/lib/project.mjs';
import { forget, watch } from '../../scripts/lib/watchdog-client.mjs';
import { findProgram } from './programs.mjs';

/** @typedef {import('./shardgate.mjs').Target} Target */

/**
 * @typedef {object} PgbenchResult
 * @property {number} transactions
 * @property {number} perSecond connecting left out, unless it is what is measured
 */

/** @returns {string} path of pgbench */
export function pgbenchProgram() {
  const program = findProgram('pgbench');
  if (program !== null) return program;
  throw new StepError('pgbench is not installed', [
    'It is in the packages postgresql-contrib or postgresql of most systems (Debian: apt-get install postgresql-contrib).',
  ]);
}

/**
 * Runs pgbench against a target.
 * @param {Target} target
 * @param {readonly string[]} args beside the connection
 * @returns {Promise<string>} its standard output
 */
export function pgbench(target, args) {
  const connection = ['-h', '127.0.0.1', '-p', String(target.port), '-U', 'postgres'];
  return new Promise((resolve, reject) => {
    const child = spawn(pgbenchProgram(), [...args, ...connection, target.database], {
      stdio: ['ignore', 'pipe', 'pipe'],
      env: { ...process.env, PGSSLMODE: 'disable', PGGSSENCMODE: 'disable' },
    });
    const { pid } = child;
    if (pid !== undefined) watch(pid);
    let output = '';
    let errors = '';
    child.stdout.on('data', (chunk) => (output += chunk));
    child.stderr.on('data', (chunk) => (errors += chunk));
    child.once('error', reject);
    child.once('close', (code) => {
      if (pid !== undefined) forget(pid);
      // A client that fails is reported on standard error while pgbench goes on with the others.
      if (code === 0 && !/pgbench: error|aborted/.test(errors)) resolve(output);
      else {
        const lines = errors.trim().split('\n').slice(-5);
        reject(new StepError(`pgbench ${args.join(' ')} on ${target.name} failed`, lines));
      }
    });
  });
}

/**
 * @param {string} output of a pgbench run
 * @returns {PgbenchResult}
 */
export function pgbenchResult(output) {
  const transactions = /transactions actually processed: (\d+)/.exec(output);
  const perSecond = /^tps = ([\d.]+)/m.exec(output);
  if (transactions === null || perSecond === null) {
    throw new StepError('pgbench printed no result', output.trim().split('\n'));
  }
  return { transactions: Number(transactions[1]), perSecond: Number(perSecond[1]) };
}
