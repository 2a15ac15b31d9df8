import { afterAll, beforeAll, expect, test } from 'vitest';
import { openClusters, type SelectScene } from './select-cluster.js';
import { compareSelect, type Verdict } from './select-comparison.js';
import { selectClusterTables, selectSchema } from './select-schema.js';
import { protocols, SelectSession, type SelectParameter } from './select-session.js';
import { WirePair } from './wire-pair.js';

const SHARD_COUNT = 4;

/** A written statement with its parameters, as text; `ordered`: its rows have one order. */
export interface WrittenSelect {
  readonly sql: string;
  readonly params?: readonly (string | null)[];
}

/** Four shards and one Postgres with the rows of select-schema.ts, for a file of written SELECTs. */
export interface SelectSuite {
  readonly proxy: () => SelectSession;
  readonly oracle: () => SelectSession;
  /** Of the servers behind the proxy. */
  readonly shardUrls: () => readonly string[];
  /** Sessions of bytes on both, to be closed by the test. */
  readonly pair: () => Promise<WirePair>;
  /** Every statement must be answered, in every protocol, and as the oracle does. */
  readonly answered: (statements: readonly (string | WrittenSelect)[]) => void;
  /** As `answered`, but a refusal with a hint will do. */
  readonly answeredOrRefused: (statements: readonly string[]) => void;
}

/**
 * To be called once a test file; sets up before its tests and clears up behind them.
 * @param schema more tables and the like; tables named in `sharded` have the shard key `id`
 */
export function selectSuite(
  name: string,
  schema: readonly string[] = [],
  sharded: readonly string[] = [],
): SelectSuite {
  let scene: SelectScene;
  let proxy: SelectSession;
  let oracle: SelectSession;
  beforeAll(async () => {
    const statements = [...selectSchema(), ...schema];
    const more = sharded.map((table) => [table, { shard_key: 'id', vindex: 'by_key' }]);
    const shop = { ...selectClusterTables.shop, ...(Object.fromEntries(more) as object) };
    const tables = { ...selectClusterTables, shop };
    scene = await openClusters(name, [SHARD_COUNT], () => tables, statements);
    proxy = await SelectSession.open(scene.clusters[0]!.proxy.url);
    oracle = await SelectSession.open(scene.oracleUrl);
  });
  afterAll(async () => {
    proxy.close();
    oracle.close();
    await scene.close();
  });
  const check = async (
    sql: string,
    params: readonly SelectParameter[],
    allowed: readonly Verdict['kind'][],
  ): Promise<void> => {
    const order = endsOrdered(sql) ? 'all' : [];
    const select = { sql, params, order, uncut: null } as const;
    for (const protocol of params.length > 0 ? protocols.slice(1) : protocols) {
      const verdict = await compareSelect(proxy, oracle, select, protocol);
      if (allowed.includes(verdict.kind)) continue;
      expect(verdict, `${protocol}: ${sql}`).toEqual({ kind: 'answered' });
    }
  };
  return {
    proxy: () => proxy,
    oracle: () => oracle,
    shardUrls: () => scene.clusters[0]!.shardUrls,
    pair: () => {
      const ports = [scene.clusters[0]!.proxy.url, scene.oracleUrl].map(
        (url) => +new URL(url).port,
      );
      return WirePair.open(ports[0]!, ports[1]!, { database: scene.database });
    },
    answered: (statements) => {
      const named = statements.map((one): WrittenSelect => {
        return typeof one === 'string' ? { sql: one } : one;
      });
      test.each(named)('$sql', async ({ sql, params = [] }) => {
        const values = params.map((value) => ({ value, type: 0 }));
        await check(sql, values, ['answered']);
      });
    },
    answeredOrRefused: (statements) => {
      test.each(statements)('%s', (sql) => check(sql, [], ['answered', 'refused']));
    },
  };
}

/** Whether the statement itself, not only a part of it, says ORDER BY: such have one order here. */
function endsOrdered(sql: string): boolean {
  let depth = 0;
  let outside = '';
  for (const char of sql) {
    if (char === ')') depth--;
    if (depth === 0) outside += char;
    if (char === '(') depth++;
  }
  return /\border\s+by\b/i.test(outside);
}
