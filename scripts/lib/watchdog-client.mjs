// @ts-check
import { spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';

const program = fileURLToPath(new URL('./watchdog.mjs', import.meta.url));

/** @type {import('node:stream').Writable | null} */
let stdin = null;

/**
 * Has a process stopped when this one ends, however it ends.
 * @param {number} pid
 * @param {string} [dataFolder] of a database server
 */
export function watch(pid, dataFolder) {
  order({ watch: pid, dataFolder });
}

/**
 * The process was stopped, so its pid means nothing any more.
 * @param {number} pid
 */
export function forget(pid) {
  order({ forget: pid });
}

/**
 * Has a folder deleted when this process ends.
 * @param {string} folder its name must start with `shardgate-`
 */
export function removeAtEnd(folder) {
  order({ remove: folder });
}

/** @param {object} message */
function order(message) {
  stdin ??= start();
  stdin.write(`${JSON.stringify(message)}\n`);
}

function start() {
  // Detached: a terminal's Ctrl-C and hang-up reach only the foreground group.
  const child = spawn(process.execPath, [program], {
    cwd: '/',
    detached: true,
    stdio: ['pipe', 'ignore', 'ignore'],
  });
  child.unref();
  const pipe = child.stdin;
  // The pipe alone must not keep us alive. Its errors mean that somebody ended the watchdog.
  if ('unref' in pipe && typeof pipe.unref === 'function') pipe.unref();
  pipe.on('error', () => {});
  return pipe;
}
