// @ts-check
import { parseArgs } from 'node:util';
import { StepError } from '../../scripts/lib/project.mjs';

export const parts = /** @type {const} */ ([
  'cpu',
  'streaming',
  'merge',
  'two-phase',
  'connections',
  'micro',
  'vindexes',
]);
/** @typedef {(typeof parts)[number]} Part */

/**
 * @typedef {object} Options
 * @property {ReadonlySet<Part>} parts what is measured
 * @property {number} seconds of one pgbench run
 * @property {number} rounds how often each is run; medians are shown
 * @property {readonly number[]} clients
 * @property {number} scale of the pgbench data: 100,000 accounts each
 * @property {number} streamBytes of one streamed result
 * @property {number} idleClients
 * @property {string | null} out file that the report is written to as well
 * @property {string | null} profile folder for CPU profiles of Shardgate
 */

export const usage = `Usage: npm run bench -- [options]

  --quick            short runs, a rough picture in about two minutes
  --only PARTS       some of: ${parts.join(', ')} (comma-separated)
  --seconds N        length of one pgbench run (default 4)
  --rounds N         runs of each; medians are shown (default 3)
  --clients LIST     pgbench clients (default 1,8,32)
  --scale N          size of the pgbench data (default 10)
  --idle N           idle clients whose memory is measured (default 2000, below 10000)
  --out FILE         write the report to a file as well
  --profile FOLDER   write CPU profiles of Shardgate (node --cpu-prof) there; its figures get worse
  --help`;

/** What a Gigabyte is to a disk, not to a memory chip. */
const GB = 1_000_000_000;

/**
 * @param {readonly string[]} args
 * @returns {Options | null} null: the usage is wanted
 */
export function readOptions(args) {
  let values;
  try {
    ({ values } = parseArgs({
      args: [...args],
      options: {
        quick: { type: 'boolean', default: false },
        only: { type: 'string' },
        seconds: { type: 'string' },
        rounds: { type: 'string' },
        clients: { type: 'string' },
        scale: { type: 'string' },
        idle: { type: 'string' },
        out: { type: 'string' },
        profile: { type: 'string' },
        help: { type: 'boolean', default: false },
      },
    }));
  } catch (error) {
    throw new StepError(error instanceof Error ? error.message : String(error), usage.split('\n'));
  }
  if (values.help) return null;
  const { quick } = values;
  return {
    parts: new Set(values.only === undefined ? parts : values.only.split(',').map(part)),
    seconds: count('--seconds', values.seconds, quick ? 1 : 4),
    rounds: count('--rounds', values.rounds, 3),
    clients: (values.clients ?? '1,8,32').split(',').map((text) => count('--clients', text, 1)),
    scale: count('--scale', values.scale, quick ? 2 : 10),
    streamBytes: quick ? GB / 4 : GB,
    idleClients: count('--idle', values.idle, quick ? 500 : 2_000),
    out: values.out ?? null,
    profile: values.profile ?? null,
  };
}

/** @param {string} name */
function part(name) {
  const found = parts.find((one) => one === name);
  if (found === undefined) throw new StepError(`there is no part "${name}"`, usage.split('\n'));
  return found;
}

/**
 * @param {string} option
 * @param {string | undefined} text
 * @param {number} otherwise
 */
function count(option, text, otherwise) {
  if (text === undefined) return otherwise;
  if (!/^[1-9]\d{0,5}$/.test(text)) {
    throw new StepError(`${option}: "${text}" is no number from 1`, usage.split('\n'));
  }
  return Number(text);
}
