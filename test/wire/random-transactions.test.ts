/*
 * Goal: transactions over many shards do what they do on one Postgres: statement by statement, behind every error, and
 * in what tables, lookups and shards hold in the end. Method: random transactions of one client and statements between
 * them (INSERT, UPDATE, DELETE, MERGE, COPY, TRUNCATE, WITH queries that write, over tables of many vindexes,
 * savepoints, modes, DDL, scripts, errors of every sort) are told to the proxy and to the oracle, and all that comes
 * back is compared; then the tables. What the proxy refuses is an error on the oracle too, and both go on. Sessions
 * that differ are made as short as they can be and printed. SHARDGATE_TRANSACTIONS tells more of them;
 * SHARDGATE_TRANSACTIONS_SEED begins with the one of that seed.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { connectPg, openScene, type Scene } from '../support/scene.js';
import { seedFrom } from '../support/seed.js';
import { withoutTables } from '../support/wire-pair.js';
import { Hunt, type Deed } from './kit/hunt.js';
import { clear, dump, everything, lookupViews, schema, tables } from './kit/random-changes.js';
import { pastRefusal, randomTransactions } from './kit/random-transaction.js';

const SESSIONS = Number(process.env['SHARDGATE_TRANSACTIONS'] ?? 25);
const SEED = seedFrom('SHARDGATE_TRANSACTIONS_SEED');

const PATIENCE_MS = 5000;
/** Refusals a session: more would mean that too little is compared. */
const REFUSED_MAX = 1.5;
/** Sessions between two looks at where rows and entries are. */
const AUDIT_EVERY = 25;

const DATABASE = 'random_transactions';

let scene: Scene;
let hunt: Hunt;

beforeAll(async () => {
  scene = await openScene(DATABASE, tables, schema, { log: { level: 'warn' } });
  for (const view of lookupViews) await scene.databases.query('oracle', view);
  await lookupsAreBuilt();
  hunt = await Hunt.open({
    database: DATABASE,
    ports: [scene.proxy.port, scene.oraclePort],
    clear: (last) => [clear(last.map(({ words }) => words).join('\n'))],
    dump,
    end: [],
    patienceMs: PATIENCE_MS,
    codesOnly: true,
    compared: withoutVainRows,
    isSame,
    pastRefusal,
  });
});
afterAll(async () => {
  hunt.close();
  await scene.close();
});

/** Until then the answers of statements that use them are by another plan, or to try again. */
async function lookupsAreBuilt(): Promise<void> {
  const client = await connectPg(scene.proxy.url);
  const isUsed = async (column: string): Promise<boolean> => {
    const sql = `EXPLAIN SELECT * FROM people WHERE ${column} = 'x'`;
    const { rows } = await client.query<{ 'QUERY PLAN': string }>(sql);
    return !rows.some((row) => row['QUERY PLAN'].includes('Shards: '));
  };
  while (!(await isUsed('email')) || !(await isUsed('name'))) await sleep(100);
  await client.end();
}

/**
 * Not compared: which of several wrong values or broken constraints is told of first, or whether that comes before
 * CopyFail; and which tables columns are of, where a server has their rows from elsewhere.
 */
function isSame(theirs: string, ours: string | undefined): boolean {
  if (theirs === ours) return true;
  const [a = '', b = ''] = [theirs, ours ?? ''].map(withoutTables);
  return a === b || (VIOLATION.test(a) && (VIOLATION.test(b) || COPY_FAILED.test(b)));
}

/** Without rows of statements that have failed: how many come before that depends on where it is found out. */
function withoutVainRows(lines: readonly string[]): string[] {
  const kept: string[] = [];
  for (const line of lines) {
    if (line.startsWith('A E')) {
      while (/^A [TD] /.test(kept.at(-1) ?? '')) kept.pop();
    }
    kept.push(line);
  }
  return kept;
}

const VIOLATION = /^A E ERROR 2[123]/;
const COPY_FAILED = /^A E ERROR 57014/;

/** What AUDIT finds that is not as it should be. */
async function strays(): Promise<string[]> {
  const consoleUrl = new URL(scene.proxy.url);
  consoleUrl.pathname = '/shardgate';
  const admin = await connectPg(consoleUrl.href);
  try {
    const found: string[] = [];
    for (const table of everything) {
      const { rows } = await admin.query<{ wrong: string }>(`AUDIT ${table}`);
      found.push(...rows.filter(({ wrong }) => wrong !== '0').map((row) => JSON.stringify(row)));
    }
    return found;
  } finally {
    await admin.end();
  }
}

test(
  `${SESSIONS} sessions of random transactions from seed ${SEED} on do what they do on one Postgres`,
  { timeout: 120_000 + SESSIONS * 5000 },
  async () => {
    let refusals = 0;
    for (let done = 0; done < SESSIONS; done += AUDIT_EVERY) {
      const count = Math.min(AUDIT_EVERY, SESSIONS - done);
      const { stories, refused } = await hunt.search(SEED + done, count, (dice) => {
        const deeds: readonly Deed[] = randomTransactions(dice);
        return { deeds, delivery: 'whole' };
      });
      expect(stories.join('\n\n'), 'sessions that differ, each behind its seed').toBe('');
      for (const times of refused.values()) refusals += times;
      expect(await strays(), `seeds up to ${SEED + done + count}`).toEqual([]);
    }
    expect(refusals).toBeLessThan(SESSIONS * REFUSED_MAX);
  },
);
