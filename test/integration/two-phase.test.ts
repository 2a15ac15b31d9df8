import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import type pg from 'pg';
import type { Proxy } from '../support/proxy.js';
import {
  connectTo,
  errorOf,
  openTwoPhaseScene,
  dataShards,
  dataShardSchema,
  withPrimary,
  type DataShard,
  type TwoPhaseScene,
} from '../support/two-phase-scene.js';
import { WireClient } from '../support/wire-client.js';
import { int32, summary } from '../support/wire-messages.js';

/* Transactions that write on several shards: all of it is committed, or nothing. */
let scene: TwoPhaseScene;
let proxy: Proxy;
let client: pg.Client;

beforeAll(async () => {
  scene = await openTwoPhaseScene('two_phase');
  proxy = await scene.startProxy();
  client = await connectTo(proxy.url);
});
beforeEach(async () => {
  await scene.databases.onEach(dataShards, 'DELETE FROM items');
});
afterAll(async () => {
  await client.end();
  await proxy.stop();
  await scene.close();
});

/** 1234 and 5678, as the protocol has it. */
const CANCEL_REQUEST = (1234 << 16) | 5678;

/** One row per shard, in one transaction that is still open; the first shard will decide. */
async function writeOn(shards: readonly DataShard[], batch: string): Promise<void> {
  await client.query('BEGIN');
  for (const shard of shards) {
    await client.query('INSERT INTO items VALUES ($1, 1, $2)', [scene.ids[shard], batch]);
  }
}

describe('a transaction over several shards', () => {
  test('commits everywhere and leaves nothing prepared', async () => {
    await writeOn(['s1', 's0', 's3'], 'all');
    expect(await scene.shardsWith('all')).toEqual([]);
    const result = await client.query('COMMIT');
    expect(result.command).toBe('COMMIT');
    expect(await scene.shardsWith('all')).toEqual(['s0', 's1', 's3']);
    expect(await scene.prepared()).toEqual([]);
  });

  test('is decided by a row on the shard that wrote first', async () => {
    await writeOn(['s2', 's1'], 'decided');
    await client.query('COMMIT');
    const rows = await scene.databases.query(
      's2',
      'SELECT gid, outcome FROM shardgate.decisions ORDER BY decided_at DESC LIMIT 1',
    );
    expect(rows).toEqual([[expect.stringMatching(/^shardgate:shop\/s2:[0-9a-f-]{36}$/), 'commit']]);
  });

  test('rolls back everywhere on ROLLBACK', async () => {
    await writeOn(['s0', 's1'], 'rolled back');
    await client.query('ROLLBACK');
    expect(await scene.shardsWith('rolled back')).toEqual([]);
  });

  test('rolls back everywhere when a statement has failed', async () => {
    await writeOn(['s0', 's1'], 'failed');
    await expect(
      client.query('SELECT 1 / 0 FROM items WHERE id = $1', [scene.ids.s1]),
    ).rejects.toMatchObject({ code: '22012' });
    const result = await client.query('COMMIT');
    expect(result.command).toBe('ROLLBACK');
    expect(await scene.shardsWith('failed')).toEqual([]);
  });

  test('needs no decision where one shard wrote and others were read', async () => {
    const before = (await scene.decisions()).size;
    await writeOn(['s1'], 'one writer');
    await client.query('SELECT * FROM items WHERE id = $1', [scene.ids.s2]);
    await client.query('COMMIT');
    expect(await scene.shardsWith('one writer')).toEqual(['s1']);
    expect((await scene.decisions()).size).toBe(before);
  });

  test('keeps what was written before a savepoint and drops what came behind it', async () => {
    await writeOn(['s0', 's1'], 'kept');
    await client.query('SAVEPOINT here');
    await client.query(`INSERT INTO items VALUES ($1, 1, 'dropped')`, [scene.ids.s2]);
    await client.query('ROLLBACK TO here');
    await client.query('COMMIT');
    expect(await scene.shardsWith('kept')).toEqual(['s0', 's1']);
    expect(await scene.shardsWith('dropped')).toEqual([]);
  });

  test('goes on in the next one after COMMIT AND CHAIN', async () => {
    await writeOn(['s0', 's1'], 'chained');
    await client.query('COMMIT AND CHAIN');
    await client.query(`INSERT INTO items VALUES ($1, 2, 'behind')`, [scene.ids.s0]);
    await client.query(`INSERT INTO items VALUES ($1, 2, 'behind')`, [scene.ids.s2]);
    await client.query('ROLLBACK');
    expect(await scene.shardsWith('chained')).toEqual(['s0', 's1']);
    expect(await scene.shardsWith('behind')).toEqual([]);
  });

  test('commits as a whole when one text or one pipeline holds it', async () => {
    const { s0, s3 } = scene.ids;
    await client.query(
      `BEGIN; INSERT INTO items VALUES (${s0}, 1, 'text'); INSERT INTO items VALUES (${s3}, 1, 'text'); COMMIT`,
    );
    expect(await scene.shardsWith('text')).toEqual(['s0', 's3']);
    const wire = await WireClient.login({ port: proxy.port, database: scene.databases.name });
    const statements = [
      'BEGIN',
      `INSERT INTO items VALUES (${s0}, 2, 'pipe')`,
      `INSERT INTO items VALUES (${s3}, 2, 'pipe')`,
      'COMMIT',
      `SELECT batch FROM items WHERE id = ${s3} AND slot = 2`,
    ];
    for (const sql of statements) {
      wire.parse(sql);
      wire.bind();
      wire.execute();
    }
    wire.sync();
    const answers = await wire.until('Z');
    expect(answers.filter(({ type }) => type === 'E').map(summary)).toEqual([]);
    expect(answers.map(({ type }) => type).join('')).toBe('12C12C12C12C12DCZ');
    expect(answers.at(-1)!.body.toString()).toBe('I');
    expect(await scene.shardsWith('pipe')).toEqual(['s0', 's3']);
    wire.terminate();
  });
});

describe('what ran outside BEGIN on several shards', () => {
  const { stringify } = JSON;
  const rowsOn = (shards: readonly DataShard[], batch: string, slot = 1): string =>
    shards.map((shard) => `(${scene.ids[shard]}, ${slot}, '${batch}')`).join(', ');
  const decided = async (run: () => Promise<unknown>): Promise<number> => {
    const before = (await scene.decisions()).size;
    await run();
    return (await scene.decisions()).size - before;
  };

  test('one statement commits in two phases', async () => {
    const insert = `INSERT INTO items VALUES ${rowsOn(['s0', 's1', 's3'], 'statement')}`;
    expect(await decided(() => client.query(insert))).toBe(1);
    expect(await scene.shardsWith('statement')).toEqual(['s0', 's1', 's3']);
    expect(await decided(() => client.query('UPDATE items SET slot = slot + $1', [1]))).toBe(1);
    const { rows } = await client.query('SELECT DISTINCT slot FROM items');
    expect(stringify(rows)).toBe('[{"slot":2}]');
  });

  test('one statement on one shard does not', async () => {
    const insert = `INSERT INTO items VALUES ${rowsOn(['s2'], 'single')}`;
    expect(await decided(() => client.query(insert))).toBe(0);
    expect(await decided(() => client.query('SELECT * FROM items'))).toBe(0);
  });

  test('shards on which a statement changes nothing do not vote', async () => {
    const batches = ['lone', 'pair', 'pair'];
    for (const [i, shard] of (['s1', 's0', 's3'] as const).entries()) {
      await client.query('INSERT INTO items VALUES ($1, 1, $2)', [scene.ids[shard], batches[i]]);
    }
    const update = 'UPDATE items SET slot = slot + 1 WHERE batch = $1';
    expect(await decided(() => client.query(update, ['nobody']))).toBe(0);
    expect(await decided(() => client.query(update, ['lone']))).toBe(0);
    expect(await decided(() => client.query(update, ['pair']))).toBe(1);
    const among = `DELETE FROM items USING accounts a WHERE a.balance = slot AND batch = 'lone'`;
    expect(await decided(() => client.query(among))).toBe(0);
    await client.query('BEGIN');
    await client.query("UPDATE items SET slot = 7 WHERE batch = 'lone'");
    await client.query("DELETE FROM items WHERE batch = 'nobody'");
    expect(await decided(() => client.query('COMMIT'))).toBe(0);
    await client.query('BEGIN');
    await client.query("UPDATE items SET slot = 8 WHERE batch = 'lone'");
    await client.query("UPDATE items SET slot = 8 WHERE batch = 'pair'");
    expect(await decided(() => client.query('COMMIT'))).toBe(1);
    const { rows } = await client.query('SELECT slot FROM items');
    expect(rows).toEqual([{ slot: 8 }, { slot: 8 }, { slot: 8 }]);
  });

  test('a constraint that waits for the end undoes all of it', async () => {
    const twice = `${rowsOn(['s0', 's1'], 'twice')}, ${rowsOn(['s1'], 'twice')}`;
    const failing = [
      () => client.query(`INSERT INTO items VALUES ${twice}`),
      () => client.query('INSERT INTO items SELECT 1, 1, $1 WHERE false', ['']).then(() => pipe()),
      () =>
        client.query(`SELECT 1; INSERT INTO items VALUES ${rowsOn(['s0', 's1'], 'twice')};
                          INSERT INTO items VALUES ${rowsOn(['s0'], 'twice')}`),
    ];
    const pipe = async (): Promise<void> => {
      const wire = await WireClient.login({ port: proxy.port, database: scene.databases.name });
      for (const shard of ['s3', 's0', 's0'] as const) {
        wire.parse(`INSERT INTO items VALUES ${rowsOn([shard], 'twice')}`);
        wire.bind();
        wire.execute();
      }
      wire.sync();
      const answers = await wire.until('Z');
      wire.terminate();
      expect(answers.map(({ type }) => type).join('')).toBe('12C12C12CEZ');
      throw Object.assign(new Error('as expected'), { code: '23505' });
    };
    for (const fail of failing) {
      expect(await errorOf(fail())).toMatchObject({ code: '23505' });
      expect(await scene.shardsWith('twice')).toEqual([]);
      expect(await scene.prepared()).toEqual([]);
    }
  });

  test('statements of one text, and of one pipeline, are one transaction', async () => {
    const script = (['s0', 's3'] as const).map(
      (shard) => `INSERT INTO items VALUES ${rowsOn([shard], 'script')}`,
    );
    expect(await decided(() => client.query(script.join('; ')))).toBe(1);
    expect(await scene.shardsWith('script')).toEqual(['s0', 's3']);
    const failing = `${script.join('; ').replaceAll("'script'", "'no'")}; SELECT 1 / 0`;
    expect(await errorOf(client.query(failing))).toMatchObject({ code: '22012' });
    expect(await scene.shardsWith('no')).toEqual([]);
    // COMMIT divides it: what stands before stays, what stands behind fails.
    const divided = `BEGIN; INSERT INTO items VALUES ${rowsOn(['s0', 's1'], 'first', 2)}; COMMIT;
      INSERT INTO items VALUES ${rowsOn(['s0', 's2'], 'second', 3)}; SELECT 1 / 0`;
    expect(await errorOf(client.query(divided))).toMatchObject({ code: '22012' });
    expect(await scene.shardsWith('first')).toEqual(['s0', 's1']);
    expect(await scene.shardsWith('second')).toEqual([]);

    const wire = await WireClient.login({ port: proxy.port, database: scene.databases.name });
    const pipe = async (last: string): Promise<string> => {
      for (const sql of [
        `INSERT INTO items VALUES ${rowsOn(['s0', 's2'], last, 4)}`,
        `UPDATE items SET batch = batch WHERE id = ${scene.ids.s3}`,
        last === 'fails' ? 'SELECT 1 / 0' : `SELECT slot FROM items WHERE id = ${scene.ids.s1}`,
      ]) {
        wire.parse(sql);
        wire.bind();
        wire.execute();
      }
      wire.sync();
      return (await wire.until('Z')).map(({ type }) => type).join('');
    };
    expect(await pipe('fails')).toBe('12C12C1EZ');
    expect(await scene.shardsWith('fails')).toEqual([]);
    expect(await pipe('works')).toBe('12C12C12DCZ');
    expect(await scene.shardsWith('works')).toEqual(['s0', 's2']);
    wire.terminate();
  });

  test('COPY, DDL and settings of the same text are part of it', async () => {
    const copy = 'COPY items FROM STDIN';
    const wire = await WireClient.login({ port: proxy.port, database: scene.databases.name });
    const lines = (batch: string): string =>
      dataShards.map((shard) => `${scene.ids[shard]}\t1\t${batch}\n`).join('');
    wire.query(copy);
    await wire.until('G');
    wire.copyData(lines('copied') + lines('copied'));
    wire.copyDone();
    expect((await wire.until('Z')).map(({ type }) => type).join('')).toBe('EZ');
    expect(await scene.shardsWith('copied')).toEqual([]);
    wire.query(copy);
    await wire.until('G');
    wire.copyData(lines('copied'));
    wire.copyDone();
    expect((await wire.until('Z')).map(({ type }) => type).join('')).toBe('CZ');
    expect(await scene.shardsWith('copied')).toEqual([...dataShards]);
    wire.terminate();
    const ddl = 'CREATE TABLE made (id int8 PRIMARY KEY)';
    await errorOf(client.query(`SET TimeZone = 'Asia/Tokyo'; ${ddl}; SELECT 1 / 0`));
    expect(await decided(() => client.query(ddl))).toBe(1);
    expect((await client.query('SHOW TimeZone')).rows).not.toEqual([{ TimeZone: 'Asia/Tokyo' }]);
    await client.query('DROP TABLE made');
  });

  test('commits though its client has gone', async () => {
    const wire = await WireClient.login({ port: proxy.port, database: scene.databases.name });
    wire.query(`INSERT INTO items VALUES ${rowsOn(['s0', 's1'], 'slow statement')}`);
    await new Promise((resolve) => setTimeout(resolve, 300));
    wire.destroy();
    await expect
      .poll(() => scene.shardsWith('slow statement'), { timeout: 5000 })
      .toEqual(['s0', 's1']);
    await scene.untilNothingIsPrepared();
  });
});

describe('constraints and triggers that wait for the end of the transaction', () => {
  const cases: readonly (readonly [where: string, violator: DataShard])[] = [
    ['the shard that decides', 's0'],
    ['another shard', 's2'],
  ];
  test.each(cases)('undo all of it when they fail on %s', async (_where, violator) => {
    await writeOn(['s0', 's1', 's2'], 'violating');
    await client.query(`INSERT INTO items VALUES ($1, 1, 'violating')`, [scene.ids[violator]]);
    const error = await errorOf(client.query('COMMIT'));
    expect(error).toMatchObject({ code: '23505', constraint: 'items_id_slot_key' });
    expect(await scene.shardsWith('violating')).toEqual([]);
    expect(await scene.prepared()).toEqual([]);
    // The session is outside a transaction, and well.
    await writeOn(['s0', 's1'], 'afterwards');
    await client.query('COMMIT');
    expect(await scene.shardsWith('afterwards')).toEqual(['s0', 's1']);
  });

  test('are heard by the client', async () => {
    const heard: string[] = [];
    const listen = (notice: { readonly message?: string | undefined }): void => {
      heard.push(notice.message ?? '');
    };
    client.on('notice', listen);
    await client.query('BEGIN');
    await client.query(`INSERT INTO items VALUES ($1, 11, 'talking')`, [scene.ids.s0]);
    await client.query(`INSERT INTO items VALUES ($1, 12, 'talking')`, [scene.ids.s1]);
    await client.query('COMMIT');
    client.off('notice', listen);
    expect(heard.sort()).toEqual(['talking on 11', 'talking on 12']);
  });

  test('go on when the client vanishes in the middle of its COMMIT', async () => {
    const wire = await WireClient.login({ port: proxy.port, database: scene.databases.name });
    wire.query('BEGIN');
    await wire.until('Z');
    for (const shard of ['s0', 's1'] as const) {
      wire.query(`INSERT INTO items VALUES (${scene.ids[shard]}, 1, 'slow orphan')`);
      await wire.until('Z');
    }
    wire.query('COMMIT');
    await new Promise((resolve) => setTimeout(resolve, 200));
    wire.destroy();
    await expect
      .poll(() => scene.shardsWith('slow orphan'), { timeout: 5000 })
      .toEqual(['s0', 's1']);
    await scene.untilNothingIsPrepared();
  });

  test('may be cancelled, which rolls all of it back', async () => {
    await writeOn(['s0', 's1'], 'slow cancel');
    const commit = errorOf(client.query('COMMIT'));
    await new Promise((resolve) => setTimeout(resolve, 200));
    const { processID, secretKey } = client as unknown as Record<string, number>;
    const canceller = await WireClient.open({ port: proxy.port });
    canceller.send(Buffer.concat([16, CANCEL_REQUEST, processID!, secretKey!].map(int32)));
    expect(await commit).toMatchObject({ code: '57014' });
    expect(await scene.shardsWith('slow cancel')).toEqual([]);
    expect(await scene.prepared()).toEqual([]);
  });
});

describe('what PostgreSQL does not let anybody prepare', () => {
  test('is an error of its own and undoes all of it', async () => {
    // The first shard decides, which is not prepared: the second one has the temporary table.
    await client.query('BEGIN');
    await client.query(`INSERT INTO items VALUES ($1, 0, 'temp')`, [scene.ids.s0]);
    await client.query(`INSERT INTO items VALUES ($1, 1, 'temp')`, [scene.ids.s1]);
    const error = await errorOf(client.query('COMMIT'));
    expect(error).toMatchObject({
      code: '0A000',
      message: 'cannot PREPARE a transaction that has operated on temporary objects',
    });
    expect(await scene.shardsWith('temp')).toEqual([]);
    expect(await scene.prepared()).toEqual([]);
  });
});

describe('settings of the session', () => {
  test('another role commits over several shards, and stays in force', async () => {
    await scene.databases.onEach(
      ['main', 's0', 's1', 's2', 's3'],
      `DO $$ BEGIN CREATE ROLE clerk; EXCEPTION WHEN duplicate_object THEN END $$;
       GRANT ALL ON items TO clerk`,
    );
    await client.query('SET ROLE clerk');
    await writeOn(['s0', 's1', 's2'], 'clerk');
    await client.query('COMMIT');
    expect(await scene.shardsWith('clerk')).toEqual(['s0', 's1', 's2']);
    for (const shard of ['s0', 's1', 's2'] as const) {
      const { rows } = await client.query<{ user: string }>(
        'SELECT current_user AS user FROM items WHERE id = $1',
        [scene.ids[shard]],
      );
      expect(rows).toEqual([{ user: 'clerk' }]);
    }
    await client.query('RESET ROLE');
    await client.query('BEGIN');
    await client.query('SET LOCAL ROLE clerk');
    await client.query(`INSERT INTO items VALUES ($1, 2, 'local')`, [scene.ids.s0]);
    await client.query(`INSERT INTO items VALUES ($1, 2, 'local')`, [scene.ids.s1]);
    await client.query('COMMIT');
    expect(await scene.shardsWith('local')).toEqual(['s0', 's1']);
  });

  test('synchronous_commit = off does not loosen the decision', async () => {
    await client.query('SET synchronous_commit = off');
    await writeOn(['s0', 's1'], 'loose');
    await client.query('COMMIT');
    await client.query('RESET synchronous_commit');
    expect(await scene.shardsWith('loose')).toEqual(['s0', 's1']);
  });
});

describe('decisions', () => {
  test('are forgotten after an hour', async () => {
    const gid = (n: number): string => `shardgate:shop/s0:00000000-0000-4000-8000-00000000000${n}`;
    await scene.databases.query(
      's0',
      `INSERT INTO shardgate.decisions VALUES
         ($1, 'commit', now() - interval '59 minutes'), ($2, 'abort', now() - interval '61 minutes')`,
      [gid(1), gid(2)],
    );
    // It looks for them at its start.
    const other = await scene.startProxy();
    await expect.poll(async () => (await scene.decisions()).has(gid(2))).toBe(false);
    expect((await scene.decisions()).get(gid(1))).toBe('commit');
    await other.stop();
  });

  test('about shards that nobody knows are left to people', async () => {
    const gid = 'shardgate:shop/s9:00000000-0000-4000-8000-000000000009:1';
    const leg = await connectTo(scene.databases.urls.s1);
    await leg.query(`BEGIN; LOCK TABLE accounts; PREPARE TRANSACTION '${gid}'`);
    await expect.poll(() => proxy.logs(), { timeout: 5000 }).toContain('must be ended by hand');
    expect(await scene.prepared()).toEqual([gid]);
    await leg.query(`ROLLBACK PREPARED '${gid}'`);
    await leg.end();
  });
});

describe('transactions.cross_shard', () => {
  const withPolicy = async (
    policy: string,
    run: (user: pg.Client, other: Proxy) => Promise<void>,
  ): Promise<void> => {
    const config = { ...scene.config, transactions: { cross_shard: policy } };
    const other = await scene.startProxy({}, config);
    const user = await connectTo(other.url);
    try {
      await run(user, other);
    } finally {
      await user.end();
      await other.stop();
    }
  };
  const insert = 'INSERT INTO items VALUES ($1, $2, $3)';

  test('refuse: a second shard cannot be written to', async () => {
    await withPolicy('refuse', async (user) => {
      await user.query('BEGIN');
      await user.query(insert, [scene.ids.s0, 1, 'refused']);
      const error = await errorOf(user.query(insert, [scene.ids.s1, 1, 'refused']));
      expect(error).toMatchObject({
        code: '0A000',
        message: 'a transaction cannot write on several shards ("s1", "s0")',
        hint: expect.stringContaining('two_phase') as string,
      });
      await user.query('COMMIT');
    });
    expect(await scene.shardsWith('refused')).toEqual([]);
  });

  test('refuse: nor by one statement, but DDL goes everywhere', async () => {
    await withPolicy('refuse', async (user) => {
      const { s0, s1 } = scene.ids;
      const refused = [
        `INSERT INTO items VALUES (${s0}, 1, 'refused'), (${s1}, 1, 'refused')`,
        `UPDATE items SET batch = 'refused'`,
        'TRUNCATE items',
        'COPY items FROM STDIN',
      ];
      for (const sql of refused) {
        expect(await errorOf(user.query(sql))).toMatchObject({ code: '0A000' });
      }
      await user.query('CREATE TABLE everywhere (id int8)');
      await user.query('ANALYZE items');
      await user.query('DROP TABLE everywhere');
      await user.query(insert, [s0, 1, 'one']);
      expect((await user.query('SELECT * FROM items')).rows).toHaveLength(1);
    });
    expect(await scene.shardsWith('refused')).toEqual([]);
  });

  test('a session may choose for itself, and a transaction', async () => {
    const shown = async (user: pg.Client): Promise<unknown> =>
      (await user.query<Record<string, unknown>>('SHOW shardgate.cross_shard')).rows[0]![
        'shardgate.cross_shard'
      ];
    await withPolicy('refuse', async (user) => {
      const write = (slot: number): Promise<unknown> =>
        user.query('INSERT INTO items VALUES ($1, $3, $4), ($2, $3, $4)', [
          scene.ids.s0,
          scene.ids.s1,
          slot,
          'chosen',
        ]);
      expect(await shown(user)).toBe('refuse');
      const wrong = errorOf(user.query(`SET shardgate.cross_shard = 'always'`));
      expect(await wrong).toMatchObject({ code: '22023' });
      await user.query(`SET shardgate.cross_shard = 'two_phase'`);
      expect(await shown(user)).toBe('two_phase');
      const before = (await scene.decisions()).size;
      await write(1);
      expect((await scene.decisions()).size).toBe(before + 1);
      await user.query('RESET shardgate.cross_shard');
      expect(await errorOf(write(2))).toMatchObject({ code: '0A000' });
      await user.query('BEGIN');
      await user.query(`SET LOCAL shardgate.cross_shard = 'best_effort'`);
      await write(3);
      await user.query('COMMIT');
      expect((await scene.decisions()).size).toBe(before + 1);
      expect(await shown(user)).toBe('refuse');
    });
    expect(await scene.shardsWith('chosen')).toEqual(['s0', 's1']);
  });

  test('best_effort: what fails first undoes all, what fails later is told', async () => {
    await withPolicy('best_effort', async (user, other) => {
      const commit = async (batch: string, violator: DataShard | null): Promise<unknown> => {
        await user.query('BEGIN');
        for (const shard of ['s0', 's1', 's2'] as const) {
          await user.query(insert, [scene.ids[shard], 1, batch]);
          if (shard === violator) await user.query(insert, [scene.ids[shard], 1, batch]);
        }
        return user.query('COMMIT').then(
          ({ command }) => command,
          (error: unknown) => error,
        );
      };
      expect(await commit('first', 's0')).toMatchObject({ code: '23505' });
      expect(await scene.shardsWith('first')).toEqual([]);
      expect(await commit('second', 's1')).toMatchObject({
        code: '08007',
        detail:
          'Committed on shards: "s0". Rolled back on shard "s1". Rolled back on shards: "s2".',
      });
      expect(await scene.shardsWith('second')).toEqual(['s0']);
      await scene.databases.onEach(dataShards, 'DELETE FROM items');
      expect(await commit('none', null)).toBe('COMMIT');
      expect(await scene.shardsWith('none')).toEqual(['s0', 's1', 's2']);
      const metrics = await (await fetch(`http://127.0.0.1:${other.httpPort}/metrics`)).text();
      expect(metrics).toMatch(/shardgate_transactions_total\{[^}]*best_effort[^}]*\} 3/);
    });
  });
});

describe('transactions.snapshots', () => {
  test('per_shard: one snapshot on each shard, and writes on several of them', async () => {
    const config = { ...scene.config, transactions: { snapshots: 'per_shard' } };
    const other = await scene.startProxy({}, config);
    const [user, neighbour] = await Promise.all([connectTo(other.url), connectTo(other.url)]);
    const { s0, s1, s2 } = scene.ids;
    for (const level of ['REPEATABLE READ', 'SERIALIZABLE']) {
      await user.query(`BEGIN ISOLATION LEVEL ${level}`);
      const count = async (): Promise<unknown> =>
        (await user.query<{ n: number }>('SELECT count(*)::int AS n FROM items')).rows[0]!.n;
      expect(await count()).toBe(0);
      await neighbour.query('INSERT INTO items VALUES ($1, 1, $3), ($2, 1, $3)', [s0, s1, level]);
      expect(await count()).toBe(0);
      await user.query('INSERT INTO items VALUES ($1, 2, $3), ($2, 2, $3)', [s1, s2, level]);
      expect((await user.query('COMMIT')).command).toBe('COMMIT');
      expect(await count()).toBe(4);
      await neighbour.query('DELETE FROM items');
    }
    await Promise.all([user.end(), neighbour.end()]);
    await other.stop();
  });

  test('per_shard: a shard that was only read may refuse to commit, and stops the others', async () => {
    const config = { ...scene.config, transactions: { snapshots: 'per_shard' } };
    const other = await scene.startProxy({}, config);
    const [a, b] = await Promise.all([connectTo(other.url), connectTo(other.url)]);
    const { s0, s1, s2 } = scene.ids;
    await a.query('INSERT INTO items VALUES ($1, 1, $3), ($2, 1, $3)', [s0, s1, 'skew']);
    for (const client of [a, b]) await client.query('BEGIN ISOLATION LEVEL SERIALIZABLE');
    // Each reads what the other one writes, on one shard; a's write is elsewhere too.
    for (const client of [a, b]) await client.query('SELECT * FROM items WHERE id = $1', [s0]);
    await a.query('INSERT INTO items VALUES ($1, 3, $2)', [s0, 'skew']);
    await a.query('INSERT INTO items VALUES ($1, 3, $2)', [s2, 'skew']);
    await b.query('INSERT INTO items VALUES ($1, 4, $2)', [s0, 'skew']);
    await b.query('COMMIT');
    expect(await errorOf(a.query('COMMIT'))).toMatchObject({ code: '40001' });
    expect(await scene.shardsWith('skew')).toEqual(['s0', 's1']);
    expect(await scene.prepared()).toEqual([]);
    await Promise.all([a.end(), b.end()]);
    await other.stop();
  });
});

test('shards may share a server, which knows a prepared transaction by name only', async () => {
  const second = new URL(scene.databases.urls.s0);
  const name = `${scene.databases.name}_second`;
  second.pathname = `/${name}`;
  await scene.databases.query('s0', `DROP DATABASE IF EXISTS ${name} WITH (FORCE)`);
  await scene.databases.query('s0', `CREATE DATABASE ${name}`);
  const there = await connectTo(second.href);
  await there.query(dataShardSchema);
  const config = withPrimary(scene.config, 's1', second.href);
  const crowded = await scene.startProxy({}, config);
  const user = await connectTo(crowded.url);
  await user.query('BEGIN');
  for (const shard of ['s2', 's0', 's1'] as const) {
    await user.query(`INSERT INTO items VALUES ($1, 1, 'crowd')`, [scene.ids[shard]]);
  }
  await user.query('COMMIT');
  expect(await scene.shardsWith('crowd')).toEqual(['s0', 's2']);
  const { rows } = await there.query('SELECT batch FROM items');
  expect(rows).toEqual([{ batch: 'crowd' }]);
  await Promise.all([user.end(), there.end()]);
  await crowded.stop();
  await scene.databases.query('s0', `DROP DATABASE ${name} WITH (FORCE)`);
});
