// @ts-check
// Stops what its parent leaves behind. The parent writes one JSON order per line to our stdin:
//   { "watch": pid, "dataFolder"?: path }   stop that process when stdin ends
//   { "forget": pid }                       it was stopped
//   { "remove": folder }                    delete that folder at the end
// stdin ends when the parent exits, whatever ended it, a SIGKILL included. One watchdog serves all
// servers of a parent, since a Node process for each would cost more than the servers.
import { existsSync, readFileSync, rmSync } from 'node:fs';
import { basename, join } from 'node:path';
import { createInterface } from 'node:readline';
import { setTimeout as sleep } from 'node:timers/promises';

const FAST_SHUTDOWN_MS = 8_000;
const POLL_MS = 50;

/** @type {Map<number, string | null>} pid to data folder; null: no database server */
const watched = new Map();
/** @type {string[]} */
const folders = [];

// A Ctrl-C is the parent's to handle, in its order.
process.on('SIGINT', () => {});
process.on('SIGTERM', () => {});

for await (const line of createInterface({ input: process.stdin })) obey(JSON.parse(line));
await stopAll();
for (const folder of folders) rmSync(folder, { recursive: true, force: true });

/** @param {{ watch?: number, forget?: number, dataFolder?: string, remove?: string }} order */
function obey(order) {
  if (order.watch !== undefined) watched.set(order.watch, order.dataFolder ?? null);
  if (order.forget !== undefined) watched.delete(order.forget);
  // Only folders of test runs, whatever is asked for.
  if (order.remove !== undefined && basename(order.remove).startsWith('shardgate-')) {
    folders.push(order.remove);
  }
}

async function stopAll() {
  // SIGINT is PostgreSQL's fast shutdown; anything else here is a proxy, which drains on SIGTERM.
  signalAll((isServer) => (isServer ? 'SIGINT' : 'SIGTERM'));
  const deadline = Date.now() + FAST_SHUTDOWN_MS;
  while (remaining().length > 0 && Date.now() < deadline) await sleep(POLL_MS);
  signalAll(() => 'SIGKILL');
}

/** @param {(isServer: boolean) => NodeJS.Signals} signalFor */
function signalAll(signalFor) {
  for (const pid of remaining()) {
    try {
      process.kill(pid, signalFor(watched.get(pid) !== null));
    } catch {
      // Gone since we looked.
    }
  }
}

function remaining() {
  return [...watched.keys()].filter(isStillOurs);
}

/**
 * A pid may have been given to another process since; a server names its own in its data folder.
 * @param {number} pid
 */
function isStillOurs(pid) {
  const dataFolder = watched.get(pid) ?? null;
  try {
    process.kill(pid, 0);
    // A server that starts up has not written the file yet.
    const pidFile = dataFolder === null ? null : join(dataFolder, 'postmaster.pid');
    if (pidFile !== null && existsSync(pidFile)) {
      return Number(readFileSync(pidFile, 'utf8').split('\n')[0]) === pid;
    }
    return true;
  } catch {
    return false;
  }
}
