/*
 * Goal: any SELECT gives the answer of one Postgres, over any number of shards.
 * Method: random SELECTs (select-grammar.ts) over rows full of surprises (select-wide-schema.ts) run
 * through proxies over 1, 2, 4 and 7 shards and on one plain Postgres; in every protocol and
 * format, under several settings, inside and outside transactions with writes of their own. Rows,
 * column names and types, tags and SQLSTATEs must be equal, or the proxy has refused with 0A000
 * and a hint. To look longer: SHARDGATE_SELECT_QUERIES=20000 SHARDGATE_SELECT_SEED=1.
 */
import { afterAll, beforeAll, expect, test } from 'vitest';
import { Dice } from '../support/chaos-random.js';
import { openClusters, type SelectScene } from '../support/select-cluster.js';
import { compareSelect, type Verdict } from '../support/select-comparison.js';
import { SelectGrammar, type RandomSelect } from '../support/select-grammar.js';
import { protocols, SelectSession, tangled, type Protocol } from '../support/select-session.js';
import { varied } from '../support/select-variation.js';
import { wideClusterTables, wideSchema } from '../support/select-wide-schema.js';
import { seedFrom } from '../support/seed.js';

const QUERIES = Number(process.env['SHARDGATE_SELECT_QUERIES'] ?? 2000);
const SEED = seedFrom('SHARDGATE_SELECT_SEED');
const SHARD_COUNTS = [4, 2, 7, 1];
/** Below these the grammar, or the planner, has become useless. */
const ANSWERED_SHARE_MIN = 0.9;
const FAILED_SHARE_MAX = 0.1;
/** Wrong answers that are told before the run gives up. */
const WRONG_MAX = 10;
const REFUSALS_TOLD = 10;
/** Statements on one cluster before it is the next one's turn. */
const TURN = 50;

interface Pair {
  readonly shardCount: number;
  readonly proxy: SelectSession;
}

let scene: SelectScene;
let pairs: Pair[];
let oracle: SelectSession;

beforeAll(async () => {
  scene = await openClusters('select_random', SHARD_COUNTS, wideClusterTables, wideSchema());
  oracle = await SelectSession.open(scene.oracleUrl);
  pairs = [];
  for (const { shardCount, proxy } of scene.clusters) {
    pairs.push({ shardCount, proxy: await SelectSession.open(proxy.url) });
  }
});
afterAll(async () => {
  for (const { proxy } of pairs) proxy.close();
  oracle.close();
  await scene.close();
});

const settings: readonly string[] = [
  `SET timezone = 'UTC'`,
  `SET timezone = 'Asia/Kolkata'`,
  `SET timezone = 'America/New_York'`,
  `SET intervalstyle = 'iso_8601'`,
  `SET intervalstyle = 'postgres'`,
  `SET datestyle = 'German, DMY'`,
  `SET datestyle = 'ISO, MDY'`,
  `SET bytea_output = 'escape'`,
  `SET bytea_output = 'hex'`,
  `SET extra_float_digits = 0`,
  `SET extra_float_digits = 1`,
];

const starts: readonly string[] = ['BEGIN', 'BEGIN READ ONLY', 'START TRANSACTION'];

/** What a transaction does before its SELECTs, rolled back in the end. */
const writes: readonly string[] = [
  `INSERT INTO users (id, a, t, q) SELECT 77, 1, 'mine', 1.00`,
  `INSERT INTO users (id, a, t, e) VALUES (78, 2, 'new', 'meh'), (79, NULL, 'ä', 'sad')`,
  `DELETE FROM sales WHERE n = 1`,
  `UPDATE events SET a = 7 WHERE seq < 3`,
  `UPDATE regions SET q = 5.55, name = 'b' WHERE id < 3`,
  `DELETE FROM notes WHERE id > 8`,
  `UPDATE visits SET code = 'b' WHERE seq < 9`,
  `INSERT INTO stock (sku, a) VALUES (77, 1), (-40, 2), (5000, 3)`,
  `DELETE FROM parcels WHERE month = 2`,
];

class Report {
  answered = 0;
  failed = 0;
  skipped = 0;
  readonly wrong: string[] = [];
  readonly #refusals = new Map<string, number>();

  /** @param statement what was run, for wrong answers */
  add(verdict: Verdict, statement: () => string): void {
    if (verdict.kind === 'answered') this.answered++;
    else if (verdict.kind === 'failed') this.failed++;
    else if (verdict.kind === 'skipped') this.skipped++;
    else if (verdict.kind === 'refused') this.#refused(verdict.message);
    else this.wrong.push(`${statement()}\n  ${verdict.why}`);
  }

  #refused(message: string): void {
    // Names of tables, columns and functions do not make another reason.
    const reason = message.replace(/"[^"]*"|t\d+(\.\w+)?|'[^']*'/g, '..');
    this.#refusals.set(reason, (this.#refusals.get(reason) ?? 0) + 1);
  }

  toString(): string {
    const refusals = [...this.#refusals].sort(([, a], [, b]) => b - a);
    const refused = refusals.reduce((sum, [, count]) => sum + count, 0);
    const lines = [
      `answered ${this.answered}, refused ${refused}, failed on both sides ${this.failed}, ` +
        `skipped ${this.skipped}, wrong ${this.wrong.length}`,
    ];
    for (const [reason, count] of refusals.slice(0, REFUSALS_TOLD)) {
      lines.push(`  ${count} x ${reason}`);
    }
    return lines.join('\n');
  }
}

test(
  `${QUERIES} random SELECTs of seed ${SEED} are answered as by one Postgres`,
  async () => {
    console.log(`random SELECTs: SHARDGATE_SELECT_SEED=${SEED}`);
    const dice = new Dice(SEED);
    const report = new Report();
    for (let first = 0; first < QUERIES && report.wrong.length < WRONG_MAX; first += TURN) {
      const pair = pairs[(first / TURN) % pairs.length]!;
      await turn(pair, dice, first, Math.min(TURN, QUERIES - first), report);
    }
    console.log(String(report));
    expect(report.wrong.join('\n\n')).toBe('');
    expect(report.failed / QUERIES).toBeLessThan(FAILED_SHARE_MAX);
    expect(report.answered / QUERIES).toBeGreaterThan(ANSWERED_SHARE_MIN);
  },
  Math.max(120_000, QUERIES * 200),
);

/**
 * Some statements on one cluster, with one setting and, mostly at the end, a transaction. A wrong
 * answer ends it, and so does one that takes the oracle too long: a session may be lost by it.
 */
async function turn(
  { shardCount, proxy }: Pair,
  dice: Dice,
  first: number,
  count: number,
  report: Report,
): Promise<void> {
  const setting = dice.pick(settings);
  await both(proxy, 'RESET ALL');
  await both(proxy, setting);
  await oracle.must(`SET statement_timeout = '5s'`);
  const inside = dice.chance(0.5) ? dice.between(10, 30) : 0;
  let history = `${shardCount} shards; ${setting}`;
  let open = false;
  let before: RandomSelect | null = null;
  for (let i = 0; i < count; i++) {
    if (i === count - inside) {
      const start = dice.pick(starts);
      history += `; ${await begin(proxy, dice, start)}`;
      open = true;
    }
    const again = before !== null && dice.chance(0.2);
    const select: RandomSelect = again ? varied(before!, dice) : SelectGrammar.next(dice);
    before = select;
    const straight = select.params.length > 0 ? protocols.slice(1) : protocols;
    const protocol: Protocol = dice.pick([...straight, ...tangled]);
    // A failed statement must not end the transaction of those behind it.
    if (open) await both(proxy, 'SAVEPOINT s');
    const verdict = await compareSelect(proxy, oracle, select, protocol);
    report.add(verdict, () => {
      return `statement ${first + i} of seed ${SEED} (${history}; ${protocol}): ${described(select)}`;
    });
    if (verdict.kind === 'wrong' || verdict.kind === 'skipped') break;
    if (open) await both(proxy, 'ROLLBACK TO s');
  }
  if (open) await both(proxy, 'ROLLBACK');
}

async function begin(proxy: SelectSession, dice: Dice, start: string): Promise<string> {
  await both(proxy, start);
  if (start.endsWith('READ ONLY')) return start;
  const write = dice.pick(writes);
  await both(proxy, write);
  return `${start}; ${write}`;
}

async function both(proxy: SelectSession, sql: string): Promise<void> {
  await Promise.all([proxy.must(sql), oracle.must(sql)]);
}

function described({ sql, params }: RandomSelect): string {
  if (params.length === 0) return sql;
  const values = params.map(({ value }) =>
    Buffer.isBuffer(value) ? `\\x${value.toString('hex')}` : value,
  );
  return `${sql} -- ${JSON.stringify(values)}`;
}
