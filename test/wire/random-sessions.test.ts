/*
 * Goal: whatever a client says, in whatever order, is answered as a plain Postgres answers it: message by message, in
 * every transaction state, behind every error. Method: random sessions of one client (pipelines of Parse, Bind,
 * Describe, Execute with row limits, Close, Flush and Sync, Query, COPY; statements of every plan, in and outside
 * transactions; errors of every phase) are told to the proxy and to the oracle, and all that comes back is compared;
 * then the tables. What the proxy refuses ends the session there. A session that differs is made as short as it can be
 * and printed. SHARDGATE_SESSIONS tells more of them; SHARDGATE_SESSIONS_SEED begins with the one of that seed.
 */
import { afterAll, beforeAll, expect, test } from 'vitest';
import { openScene, type Scene } from '../support/scene.js';
import { deliveries } from '../support/wire-pair.js';
import { Hunt } from './kit/hunt.js';
import { randomSession, settled } from './kit/random-session.js';
import { contents, schema, tables } from './kit/stage.js';

/** Always the same ones unless told: some differences of no weight are known, and are in one of some 250 sessions. */
const SEED = Number(process.env['SHARDGATE_SESSIONS_SEED'] ?? 1);
const SESSIONS = Number(process.env['SHARDGATE_SESSIONS'] ?? 150);

const PATIENCE_MS = 3000;
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
let hunt: Hunt;

beforeAll(async () => {
  scene = await openScene(DATABASE, tables, schema, { log: { level: 'warn' } });
  hunt = await Hunt.open({
    database: DATABASE,
    ports: [scene.proxy.port, scene.oraclePort],
    clear: () => [CLEAR, ...contents],
    dump: DUMP,
    end: [settled.step],
    patienceMs: PATIENCE_MS,
    codesOnly: false,
    compared: (lines) => lines,
    isSame,
    pastRefusal: () => null,
  });
});
afterAll(async () => {
  hunt.close();
  await scene.close();
});

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

test(
  `${SESSIONS} random sessions from seed ${SEED} on are answered as by one Postgres`,
  { timeout: 120_000 + SESSIONS * 1000 },
  async () => {
    const { stories, refused } = await hunt.search(SEED, SESSIONS, (dice) => {
      const delivery = dice.chance(0.1) ? 'bytes' : dice.pick(deliveries.slice(0, 2));
      return { delivery, deeds: randomSession(dice) };
    });
    expect(stories.join('\n\n'), 'sessions that differ, each behind its seed').toBe('');
    const all = [...refused.values()].reduce((a, b) => a + b, 0);
    expect(all, [...refused.keys()].join('\n')).toBeLessThan(SESSIONS * REFUSED_SHARE_MAX);
  },
);
