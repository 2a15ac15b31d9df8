/*
 * Goal: whatever a client says, in whatever order, is answered as a plain Postgres answers it: message by message, in
 * every transaction state, behind every error. Method: random sessions of one client (pipelines of Parse, Bind,
 * Describe, Execute with row limits, Close, Flush and Sync, Query, COPY; statements of every plan, in and outside
 * transactions; errors of every phase) are told to the proxy and to the oracle, and all that comes back is compared;
 * then the tables. What the proxy refuses ends the session there. A session that differs is made as short as it can be
 * and printed. SHARDGATE_SESSIONS tells more of them; SHARDGATE_SESSIONS_SEED begins with the one of that seed.
 */
import { afterAll, beforeAll, expect, test } from 'vitest';
import { Dice } from '../support/chaos-random.js';
import { openScene, type Scene } from '../support/scene.js';
import { WireClient } from '../support/wire-client.js';
import { deliveries, summaries, type Delivery } from '../support/wire-pair.js';
import { play, type WireServer } from './kit/player.js';
import { randomSession, settled, type Deed } from './kit/random-session.js';
import { ServerNames } from './kit/server-names.js';
import { contents, schema, tables } from './kit/stage.js';
import { story } from './kit/story.js';

/** Always the same ones unless told: some differences of no weight are known, and are in one of some 250 sessions. */
const SEED = Number(process.env['SHARDGATE_SESSIONS_SEED'] ?? 1);
const SESSIONS = Number(process.env['SHARDGATE_SESSIONS'] ?? 150);

/** A lock that nobody gives back, or an answer that does not come, takes that long. */
const PATIENCE_MS = 3000;
/** So many are shortened and shown. */
const FOUND_MAX = 5;
/** Of all sessions: more would mean that too little is compared. */
const REFUSED_SHARE_MAX = 0.25;

const DATABASE = 'random_sessions';

const CLEAR = `TRUNCATE log RESTART IDENTITY; TRUNCATE items, parts; TRUNCATE countries; TRUNCATE settings`;
const DUMP = [
  'SELECT * FROM items ORDER BY id',
  'SELECT * FROM parts ORDER BY item_id, n',
  'SELECT * FROM countries ORDER BY code',
  'SELECT * FROM settings ORDER BY key',
  'SELECT * FROM log ORDER BY n',
];

let scene: Scene;
let servers: readonly WireServer[];
let keepers: readonly WireClient[];

beforeAll(async () => {
  scene = await openScene(DATABASE, tables, schema, { log: { level: 'warn' } });
  const ports = [scene.proxy.port, scene.oraclePort];
  const open = async (port: number): Promise<WireServer> => ({
    port,
    database: DATABASE,
    names: await ServerNames.open(port, DATABASE),
  });
  servers = await Promise.all(ports.map(open));
  keepers = await Promise.all(ports.map((port) => WireClient.login({ port, database: DATABASE })));
});
afterAll(async () => {
  for (const { names } of servers) names.close();
  for (const keeper of keepers) keeper.terminate();
  await scene.close();
});

/** What became of a session: it was answered alike, refused from some point on, or differently. */
type Outcome =
  | { readonly kind: 'alike' }
  | { readonly kind: 'refused'; readonly line: string }
  | {
      readonly kind: 'different';
      readonly ours: readonly string[];
      readonly theirs: readonly string[];
    };

async function tell(deeds: readonly Deed[], delivery: Delivery): Promise<Outcome> {
  await Promise.all(keepers.map((keeper) => answers(keeper, [CLEAR, ...contents])));
  const steps = deeds.map(({ step }) => step);
  const told = story('', [...steps, settled.step], { anyOrder: true, patienceMs: PATIENCE_MS });
  const [ours = [], theirs = []] = await Promise.all(
    servers.map((server) => play(told, server, delivery)),
  );
  const at = theirs.findIndex((line, i) => !isSame(line, ours[i]));
  if (UNUSABLE.test(ours[at] ?? '') && UNUSABLE.test(theirs[at] ?? '')) return { kind: 'alike' };
  if (at !== -1 || ours.length !== theirs.length) {
    const line = ours[at] ?? '';
    return isRefusal(line) ? { kind: 'refused', line } : { kind: 'different', ours, theirs };
  }
  const [left = [], expected = []] = await Promise.all(
    keepers.map((keeper) => answers(keeper, DUMP)),
  );
  return left.join('\n') === expected.join('\n')
    ? { kind: 'alike' }
    : { kind: 'different', ours: left, theirs: expected };
}

/**
 * Not compared: which of several rows breaks which constraint first, or whether that comes before CopyFail; lines of a
 * COPY, which each server counts for itself; the context of parameters that are shard keys, which the proxy has read;
 * which part of a statement a read-only transaction forbids; and what else is wrong with a Parse whose name is taken.
 */
function isSame(theirs: string, ours: string | undefined): boolean {
  if (theirs === ours) return true;
  const [a = '', b = ''] = [theirs, ours ?? ''].map((line) => line.replace(OWN_CONTEXT, ''));
  if (a === b) return true;
  if (READ_ONLY.test(a)) return READ_ONLY.test(b);
  if (VIOLATION.test(a)) return VIOLATION.test(b) || COPY_FAILED.test(b);
  return NAME_TAKEN.test(b) && a.startsWith('A E');
}

const OWN_CONTEXT = /,"W":"(COPY |(unnamed )?portal )[^}]*?"(?=[,}])/;
const READ_ONLY = /^A E .*"C":"25006"/;
const VIOLATION = /^A E .*"C":"23/;
const COPY_FAILED = /^A E .*"M":"COPY from stdin failed/;
const NAME_TAKEN = /^A E .*"C":"42P05"/;
/** What is left of a portal in a failed transaction, if anything: nobody can use it. */
const UNUSABLE = /^A (n |E .*"C":"(34000|25P02)")/;

function isRefusal(line: string): boolean {
  return /^A E .*"C":"0A000"/.test(line);
}

async function answers(client: WireClient, texts: readonly string[]): Promise<string[]> {
  for (const text of texts) client.query(text);
  const lines: string[] = [];
  for (let i = 0; i < texts.length; i++) {
    // Without descriptions: types have other OIDs on each server.
    const messages = (await client.until('Z')).filter(({ type }) => type !== 'T');
    lines.push(...summaries(messages, {}));
  }
  return lines;
}

/** Leaves out whatever is not needed for a difference: halves, quarters, and so on down to single messages. */
async function shrink(
  deeds: readonly Deed[],
  delivery: Delivery,
  difference: string,
): Promise<readonly Deed[]> {
  let shortest = deeds;
  for (
    let size = Math.ceil(deeds.length / 2);
    size > 0;
    size = size === 1 ? 0 : Math.ceil(size / 2)
  ) {
    for (let at = 0; at < shortest.length;) {
      const shorter = [...shortest.slice(0, at), ...shortest.slice(at + size)];
      if (differenceOf(await tell(shorter, delivery)) === difference) shortest = shorter;
      else at += size;
    }
  }
  return shortest;
}

async function shortened(
  deeds: readonly Deed[],
  delivery: Delivery,
  outcome: Outcome,
): Promise<string> {
  const short = await shrink(deeds, delivery, differenceOf(outcome));
  const again = await tell(short, delivery);
  if (again.kind === 'different') return show(short, delivery, again);
  return `only sometimes: ${show(deeds, delivery, outcome)}`;
}

/** What makes two differences the same one: the kinds of messages, and codes of errors. */
function differenceOf(outcome: Outcome): string {
  if (outcome.kind !== 'different') return '';
  const { ours, theirs } = outcome;
  const at = theirs.findIndex((line, i) => !isSame(line, ours[i]));
  const kind = (line = ''): string => line.slice(0, 3) + (/"C":"\w+"/.exec(line)?.[0] ?? '');
  return `${kind(ours[at])} for ${kind(theirs[at])}`;
}

/** The story, and from where on the answers differ. */
function show(deeds: readonly Deed[], delivery: Delivery, outcome: Outcome): string {
  const lines = [`told ${delivery}:`, ...deeds.map(({ words }) => `  ${words}`)];
  if (outcome.kind !== 'different') return lines.join('\n');
  const { ours, theirs } = outcome;
  const at = theirs.findIndex((line, i) => !isSame(line, ours[i]));
  const from = at === -1 ? Math.min(ours.length, theirs.length) : at;
  const part = (all: readonly string[]): string[] =>
    all.slice(from, from + 6).map((line) => `  ${line}`);
  lines.push(...theirs.slice(Math.max(0, from - 4), from).map((line) => `= ${line}`));
  return [...lines, 'proxy:', ...part(ours), 'postgres:', ...part(theirs)]
    .join('\n')
    .replaceAll('\0', '');
}

test(
  `${SESSIONS} random sessions from seed ${SEED} on are answered as by one Postgres`,
  { timeout: 120_000 + SESSIONS * 1000 },
  async () => {
    const refused = new Map<string, number>();
    const found: string[] = [];
    for (let i = 0; i < SESSIONS && found.length < FOUND_MAX; i++) {
      const dice = new Dice(SEED + i);
      const delivery = dice.chance(0.1) ? 'bytes' : dice.pick(deliveries.slice(0, 2));
      const deeds = randomSession(dice);
      const outcome = await tell(deeds, delivery);
      if (outcome.kind === 'refused') {
        refused.set(outcome.line, (refused.get(outcome.line) ?? 0) + 1);
      } else if (outcome.kind === 'different') {
        found.push(`${SEED + i}, ${await shortened(deeds, delivery, outcome)}`);
      }
    }
    expect(found.join('\n\n'), 'sessions that differ, each behind its seed').toBe('');
    const all = [...refused.values()].reduce((a, b) => a + b, 0);
    expect(all, [...refused.keys()].join('\n')).toBeLessThan(SESSIONS * REFUSED_SHARE_MAX);
  },
);
