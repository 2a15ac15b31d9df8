// @ts-check
import { execFileSync } from 'node:child_process';
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { StepError } from '../../scripts/lib/project.mjs';

/** @type {number | null} */
let ticksPerSecond = null;

/** The figures come from /proc, which only Linux has. */
export function needProc() {
  if (process.platform !== 'linux') {
    throw new StepError('the benchmarks read CPU times and memory from /proc, which needs Linux');
  }
}

/**
 * CPU time that a process and its descendants have used so far, in microseconds (user + system, all
 * threads). Clock ticks are coarse, 10 ms as a rule: measure over seconds.
 * @param {number} pid
 */
export function cpuMicroseconds(pid) {
  ticksPerSecond ??= Number(execFileSync('getconf', ['CLK_TCK'], { encoding: 'utf8' }));
  let ticks = 0;
  for (const id of processTree(pid)) {
    const fields = statFields(id);
    // proc(5): utime is field 14 and stime 15; what is left starts with field 3.
    if (fields !== null) ticks += Number(fields[11]) + Number(fields[12]);
  }
  return (ticks * 1e6) / ticksPerSecond;
}

/**
 * @param {number} pid
 * @returns {number[]} the process and everything that descends from it
 */
function processTree(pid) {
  /** @type {Map<number, number[]>} */
  const children = new Map();
  for (const name of readdirSync('/proc')) {
    if (!/^\d+$/.test(name)) continue;
    const id = Number(name);
    const fields = statFields(id);
    if (fields === null) continue;
    const parent = Number(fields[1]);
    children.set(parent, [...(children.get(parent) ?? []), id]);
  }
  const tree = [pid];
  for (const id of tree) tree.push(...(children.get(id) ?? []));
  return tree;
}

/**
 * @param {number} pid
 * @returns {string[] | null} of /proc/PID/stat from field 3 on; null: the process is gone
 */
function statFields(pid) {
  try {
    const text = readFileSync(`/proc/${pid}/stat`, 'utf8');
    // Field 2 is the program's name in brackets, which may hold blanks and brackets itself.
    return text.slice(text.lastIndexOf(')') + 2).split(' ');
  } catch {
    return null;
  }
}

/**
 * @typedef {object} Memory
 * @property {number} rssBytes now
 * @property {number} peakBytes highest since the start, or since `resetPeak`
 */

/**
 * @param {number} pid
 * @returns {Memory}
 */
export function memory(pid) {
  const text = readFileSync(`/proc/${pid}/status`, 'utf8');
  return { rssBytes: kilobytes(text, 'VmRSS'), peakBytes: kilobytes(text, 'VmHWM') };
}

/**
 * Forgets the highest memory use so far.
 * @param {number} pid
 * @returns {boolean} false: not allowed, so that the peak goes on counting from the start
 */
export function resetPeak(pid) {
  try {
    // proc(5): 5 resets the peak resident set size.
    writeFileSync(`/proc/${pid}/clear_refs`, '5');
    return true;
  } catch {
    return false;
  }
}

/**
 * Memory once it no longer changes much, since a garbage collection may be due.
 * @param {number} pid
 * @returns {Promise<number>} bytes
 */
export async function settledRss(pid) {
  let before = memory(pid).rssBytes;
  for (let i = 0; i < 10; i++) {
    await sleep(300);
    const now = memory(pid).rssBytes;
    if (Math.abs(now - before) < 256 * 1024) return now;
    before = now;
  }
  return before;
}

/**
 * @param {string} status
 * @param {string} name
 */
function kilobytes(status, name) {
  const match = new RegExp(`^${name}:\\s+(\\d+) kB$`, 'm').exec(status);
  return match === null ? NaN : Number(match[1]) * 1024;
}
