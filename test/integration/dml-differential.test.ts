/*
 * Goal: statements that write do what they do on one Postgres, over any shards.
 * Method: random statements that write (dml-statements.ts) through a proxy over four
 * shards and on one plain Postgres, in both protocols, inside and outside transactions. Tags, rows of
 * RETURNING and SQLSTATEs must be equal, or the proxy has refused with 0A000 and a hint; then the
 * tables must be. To look longer: SHARDGATE_DML_STATEMENTS=5000 SHARDGATE_DML_SEED=1.
 */
import type pg from 'pg';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { Dice } from '../support/chaos-random.js';
import { DmlGrammar, dmlSchema, dmlTables, type DmlStatement } from '../support/dml-statements.js';
import { runStatement, type Outcome } from '../support/oracle.js';
import { connectPg, misplacedRows, openScene, type Scene } from '../support/scene.js';
import { seedFrom } from '../support/seed.js';

const STATEMENTS = Number(process.env['SHARDGATE_DML_STATEMENTS'] ?? 300);
const SEED = seedFrom('SHARDGATE_DML_SEED');
/** Above this the grammar, or the planner, has become useless. */
const REFUSED_SHARE_MAX = 0.1;
/** Statements between two looks at the tables. */
const LOOK_EVERY = 10;
const SAVEPOINT_COMMANDS = ['SAVEPOINT s', 'SAVEPOINT s', 'ROLLBACK TO s', 'RELEASE s'];

let scene: Scene;
let proxy: pg.Client;
let oracle: pg.Client;

beforeAll(async () => {
  scene = await openScene(
    'dml_random',
    {
      main: { notes: {}, plain: {} },
      shop: {
        accounts: { shard_key: 'id', vindex: 'by_key' },
        lines: { shard_key: 'acc', vindex: 'by_key' },
        regions: { type: 'reference' },
        docs: { shard_key: 'id', vindex: 'by_key' },
        owners: { shard_key: 'id', vindex: 'by_key' },
        pets: { shard_key: 'owner', vindex: 'by_key' },
        logs: { shard_key: 'k', vindex: 'by_key' },
        kinds: { type: 'reference' },
      },
    },
    dmlSchema,
  );
  proxy = await connectPg(scene.proxy.url);
  oracle = await connectPg(scene.databases.urls.oracle);
});
afterAll(async () => {
  await proxy.end();
  await oracle.end();
  await scene.close();
});

/** Data or a constraint is wrong: which of several comes first depends on the order of rows. */
const ANY_VIOLATION = /^2[123]/;

/** What a client sees, without what only texts of errors tell. `anyhow`: it may fail in several ways. */
function seen({ results, error }: Outcome, ordered: boolean, anyhow = false): unknown {
  const code = error?.code ?? null;
  return {
    error: anyhow && ANY_VIOLATION.test(code ?? '') ? 'a violation' : code,
    results: results.map(({ rows, ...rest }) => ({
      ...rest,
      rows: ordered ? rows : rows.map((row) => JSON.stringify(row)).sort(),
    })),
  };
}

async function both(sql: string): Promise<void> {
  await Promise.all([runStatement(proxy, sql), runStatement(oracle, sql)]);
}

async function expectSameTables(past: readonly string[]): Promise<void> {
  for (const table of dmlTables) {
    const sql = `SELECT * FROM ${table} ORDER BY 1, 2`;
    const [own, right] = [await runStatement(proxy, sql), await runStatement(oracle, sql)];
    expect(seen(own, true), `${table} after\n${past.slice(-2 * LOOK_EVERY).join('\n')}`).toEqual(
      seen(right, true),
    );
  }
}

test(`${STATEMENTS} random statements that write, seed ${SEED}`, { timeout: 600_000 }, async () => {
  const dice = new Dice(SEED);
  const grammar = new DmlGrammar(dice);
  const past: string[] = [];
  let open = false;
  let refused = 0;

  const run = async ({ sql, params, ordered, failsAnyhow }: DmlStatement): Promise<void> => {
    const own = await runStatement(proxy, sql, params);
    past.push(`${sql} -- ${JSON.stringify(params ?? [])} ${own.error?.code ?? 'ok'}`);
    if (own.error?.code === '0A000') {
      refused++;
      expect(own.error.hint, sql).toBeTruthy();
    } else {
      const right = await runStatement(oracle, sql, params);
      const what = `seed ${SEED}: ${sql} ${JSON.stringify(params ?? [])}`;
      expect(seen(own, ordered, failsAnyhow), what).toEqual(seen(right, ordered, failsAnyhow));
    }
    if (own.error !== null && open) {
      await both('ROLLBACK');
      open = false;
    }
  };

  /** It may not be there: both sides say so. */
  const savepoint = async (sql: string): Promise<void> => {
    const [own, right] = [await runStatement(proxy, sql), await runStatement(oracle, sql)];
    past.push(sql);
    expect(seen(own, true), sql).toEqual(seen(right, true));
    if (own.error === null) return;
    await both('ROLLBACK');
    open = false;
  };

  for (let i = 0; i < STATEMENTS; i++) {
    if (dice.chance(0.15)) {
      const sql = open ? dice.pick(['COMMIT', 'COMMIT', 'ROLLBACK']) : 'BEGIN';
      await both(sql);
      past.push(sql);
      open = !open;
    }
    if (open && dice.chance(0.1)) await savepoint(dice.pick(SAVEPOINT_COMMANDS));
    await run(grammar.next());
    if (i % LOOK_EVERY === 0) await expectSameTables(past);
  }
  await both('COMMIT');
  await expectSameTables(past);
  for (const [table, key] of [
    ['accounts', 'id'],
    ['lines', 'acc'],
  ] as const) {
    expect(await misplacedRows(scene.databases, table, key, 'hashint8extended')).toEqual([]);
  }
  expect(
    refused / STATEMENTS,
    past.filter((line) => line.endsWith('0A000')).join('\n'),
  ).toBeLessThan(REFUSED_SHARE_MAX);
});
