// @ts-check
import { spawn } from 'node:child_process';
import { projectRoot } from './project.mjs';

/**
 * Runs a command in the project folder with its output on this terminal.
 * @param {string} file
 * @param {readonly string[]} args
 * @returns {Promise<number>} its exit code; 128 where a signal ended it
 */
export function run(file, args) {
  return new Promise((resolve, reject) => {
    const child = spawn(file, args, { cwd: projectRoot, stdio: 'inherit' });
    child.once('error', reject);
    child.once('close', (code) => {
      resolve(code ?? 128);
    });
  });
}

/**
 * Runs a tool of node_modules without npx, which would look at the registry for a missing one.
 * @param {string} script path inside node_modules
 * @param {readonly string[]} args
 */
export function runTool(script, args) {
  return run(process.execPath, [`${projectRoot}node_modules/${script}`, ...args]);
}
