import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { openScene, type Scene } from '../support/scene.js';
import {
  deliveries,
  sqlStates,
  typesOf,
  WirePair,
  type PairOptions,
} from '../support/wire-pair.js';
import { WireClient } from '../support/wire-client.js';
import { frame, int16, int32, rowTexts, type WireMessage } from '../support/wire-messages.js';

let scene: Scene;
let pair: WirePair;

beforeAll(async () => {
  scene = await openScene(
    'extended_protocol',
    { main: { settings: {} }, shop: { items: { shard_key: 'id', vindex: 'by_key' } } },
    [
      'CREATE TABLE items (id int8 PRIMARY KEY, name text)',
      'CREATE TABLE settings (key text PRIMARY KEY, value text)',
      `INSERT INTO items VALUES (1, 'a'), (2, NULL), (3, 'c'), (4, 'd'), (5, '')`,
      `INSERT INTO settings SELECT 'k' || g, 'v' || g FROM generate_series(1, 20) g`,
    ],
  );
  pair = await WirePair.open(scene.proxy.port, scene.oraclePort, {
    database: 'extended_protocol',
  });
});
afterAll(async () => {
  pair.close();
  await scene.close();
});

type Write = (client: WireClient) => void;

/** Parse, Bind, Describe and Execute of the unnamed statement. */
function run(client: WireClient, sql: string, values: readonly (string | null)[] = []): void {
  client.parse(sql);
  client.bind({ values });
  client.describe('P');
  client.execute();
}

interface Story {
  readonly name: string;
  readonly write: Write;
  readonly types?: string;
  readonly options?: PairOptions;
}

const stories: readonly Story[] = [
  {
    name: 'a statement by key',
    write: (c) => {
      run(c, 'SELECT id, name FROM items WHERE id = $1', ['3']);
      c.sync();
    },
    types: '12TDCZ',
  },
  {
    name: 'a statement over all shards',
    write: (c) => {
      run(c, 'SELECT id, name FROM items');
      c.sync();
    },
    types: '12TDDDDDCZ',
    options: { unordered: true },
  },
  {
    name: 'a statement over two keys with binary results',
    write: (c) => {
      c.parse('SELECT id, name FROM items WHERE id IN ($1, $2)');
      c.bind({ values: ['1', '4'], resultFormats: [1, 0] });
      c.describe('P');
      c.execute();
      c.sync();
    },
    types: '12TDDCZ',
    options: { unordered: true },
  },
  {
    name: 'Describe of a statement before its Bind',
    write: (c) => {
      c.parse('SELECT id, name FROM items WHERE id = $1 AND name = $2', 'described');
      c.describe('S', 'described');
      c.sync();
      c.bind({ statement: 'described', values: ['1', 'a'] });
      c.execute();
      c.closeNamed('S', 'described');
      c.sync();
    },
    types: '1tTZ2DC3Z',
    options: { syncs: 2 },
  },
  {
    name: 'Describe of statements without rows',
    write: (c) => {
      for (const sql of [
        'UPDATE items SET name = $2 WHERE id = $1',
        'BEGIN',
        '',
        "SET a.b = 'c'",
      ]) {
        c.parse(sql);
        c.describe('S');
      }
      c.sync();
    },
    types: '1tn1tn1tn1tnZ',
  },
  {
    name: 'the same statement bound three times in one pipeline, on different shards',
    write: (c) => {
      c.parse('SELECT name FROM items WHERE id = $1', 'many');
      for (const id of ['1', '3', '4']) {
        c.bind({ statement: 'many', values: [id] });
        c.execute();
      }
      c.closeNamed('S', 'many');
      c.sync();
    },
    types: '12DC2DC2DC3Z',
  },
  {
    name: 'different statements in one pipeline, each described',
    write: (c) => {
      run(c, 'SELECT id FROM items WHERE id = $1', ['5']);
      run(c, 'SELECT value FROM settings WHERE key = $1', ['k3']);
      run(c, 'SELECT name, id FROM items WHERE id = 2');
      run(c, 'SELECT 1, 2, 3');
      c.sync();
    },
    types: '12TDC12TDC12TDC12TDCZ',
  },
  {
    name: 'an error in the middle: everything up to Sync is skipped, a Query too',
    write: (c) => {
      run(c, 'SELECT id FROM items WHERE id = $1', ['5']);
      run(c, 'SELECT 1/(id - 5) FROM items WHERE id = $1', ['5']);
      run(c, 'SELECT 2');
      c.query('SELECT 3');
      c.sync();
      c.query('SELECT 4');
    },
    types: '12TDC12TEZTDCZ',
    options: { syncs: 2 },
  },
  {
    name: 'writes of a pipeline that fails are undone',
    write: (c) => {
      run(c, "INSERT INTO items VALUES ($1, 'x')", ['70']);
      run(c, 'SELECT 1/0');
      c.sync();
      run(c, 'SELECT * FROM items WHERE id = 70');
      c.sync();
    },
    options: { syncs: 2 },
  },
  {
    name: 'COMMIT in a pipeline without BEGIN ends what stands in front of it',
    write: (c) => {
      run(c, "INSERT INTO items VALUES (71, 'x'), (72, 'y'), (73, 'z')");
      run(c, 'COMMIT');
      run(c, "INSERT INTO items VALUES (74, 'x'), (75, 'y'), (76, 'z')");
      run(c, 'SELECT 1/0');
      c.sync();
      run(c, 'DELETE FROM items WHERE id > 70');
      run(c, 'ROLLBACK');
      run(c, 'SELECT id FROM items WHERE id > 70 ORDER BY id');
      c.sync();
      run(c, 'DELETE FROM items WHERE id > 70');
      c.sync();
    },
    options: { syncs: 3 },
  },
  {
    name: 'several Syncs in one write',
    write: (c) => {
      for (let i = 1; i < 6; i++) {
        run(c, 'SELECT name FROM items WHERE id = $1', [`${i}`]);
        c.sync();
      }
      c.sync();
    },
    options: { syncs: 6 },
  },
  {
    name: 'an empty statement',
    write: (c) => {
      run(c, '');
      run(c, '-- nothing');
      c.sync();
    },
    types: '12nI12nIZ',
  },
  {
    name: 'a row limit: the portal is suspended, goes on, and dies at Sync outside a transaction',
    write: (c) => {
      c.parse('SELECT key FROM settings ORDER BY key');
      c.bind({ portal: 'p' });
      c.execute('p', 3);
      c.execute('p', 2);
      c.sync();
      c.execute('p', 1);
      c.sync();
    },
    types: '12DDDsDDsZEZ',
    options: { syncs: 2 },
  },
  {
    name: 'in a transaction a portal lives on past Sync, and ends with it',
    write: (c) => {
      run(c, 'BEGIN');
      c.parse('SELECT key FROM settings ORDER BY key');
      c.bind({ portal: 'q' });
      c.execute('q', 2);
      c.sync();
      c.execute('q', 2);
      c.describe('P', 'q');
      c.sync();
      run(c, 'COMMIT');
      c.sync();
      c.execute('q', 1);
      c.sync();
    },
    options: { syncs: 4 },
  },
  {
    name: 'BEGIN, statements and COMMIT in one pipeline',
    write: (c) => {
      run(c, 'BEGIN');
      run(c, 'UPDATE items SET name = $1 WHERE id = 3', ['cc']);
      run(c, 'SELECT name FROM items WHERE id = 3');
      run(c, 'ROLLBACK');
      run(c, 'SELECT name FROM items WHERE id = 3');
      c.sync();
    },
  },
  {
    name: 'SET in a pipeline holds behind it',
    write: (c) => {
      run(c, "SET TimeZone = 'Asia/Tokyo'");
      c.sync();
      run(c, 'SHOW TimeZone');
      c.sync();
      run(c, 'SELECT name, current_setting($1) FROM items WHERE id = 1', ['TimeZone']);
      run(c, 'RESET TimeZone');
      c.sync();
      run(c, 'SHOW TimeZone');
      c.sync();
    },
    options: { syncs: 4 },
  },
  {
    name: 'two statements in one Parse',
    write: (c) => (run(c, 'SELECT 1; SELECT 2'), c.sync()),
    types: 'EZ',
  },
  {
    name: 'a missing statement',
    write: (c) => (c.bind({ statement: 'nope' }), c.sync()),
    types: 'EZ',
  },
  { name: 'a missing portal', write: (c) => (c.execute('nope'), c.sync()), types: 'EZ' },
  {
    name: 'Describe of what is missing',
    write: (c) => (c.describe('S', 'nope'), c.sync()),
    types: 'EZ',
  },
  {
    name: 'Close of what is missing',
    write: (c) => (c.closeNamed('S', 'nope'), c.closeNamed('P', 'nope'), c.sync()),
    types: '33Z',
  },
  {
    name: 'a named statement parsed twice',
    write: (c) => {
      c.parse('SELECT 1', 'twice');
      c.sync();
      c.parse('SELECT 2', 'twice');
      c.sync();
      c.closeNamed('S', 'twice');
      c.sync();
    },
    types: '1ZEZ3Z',
    options: { syncs: 3 },
  },
  {
    name: 'a portal bound twice',
    write: (c) => {
      c.parse('SELECT id FROM items WHERE id = 1');
      c.bind({ portal: 'r' });
      c.bind({ portal: 'r' });
      c.sync();
    },
    types: '12EZ',
  },
  {
    name: 'a simple Query destroys the unnamed statement',
    write: (c) => {
      c.parse('SELECT id FROM items WHERE id = 1');
      c.sync();
      c.query('SELECT 1');
      c.bind();
      c.sync();
    },
    types: '1ZTDCZEZ',
    options: { syncs: 3 },
  },
  {
    name: 'DISCARD ALL tells of the parameters that it resets',
    write: (c) => {
      c.query("SET application_name = 'mine'; SET search_path = pg_catalog");
      run(c, 'DISCARD ALL');
      c.sync();
      c.query('DISCARD ALL');
    },
    options: { syncs: 3 },
  },
  {
    name: 'the same text parsed again, whatever has become of the names in it',
    write: (c) => {
      const again = (key: string): void => {
        run(c, 'SELECT id, name FROM items WHERE id = $1', [key]);
        c.sync();
      };
      again('3');
      again('4');
      c.query('SET search_path = public, pg_catalog');
      again('3');
      run(c, 'RESET search_path');
      c.sync();
      again('3');
      again('1');
      run(c, 'BEGIN');
      run(c, 'SELECT id, name FROM items WHERE id = $1', ['3']);
      run(c, 'SELECT 1/0 FROM items WHERE id = $1', ['3']);
      c.sync();
      again('3');
      c.query('ROLLBACK');
      again('3');
    },
    options: { syncs: 11 },
  },
  {
    name: 'the unnamed statement outlives Sync',
    write: (c) => {
      c.parse('SELECT name FROM items WHERE id = $1');
      c.describe('S');
      c.sync();
      c.bind({ values: ['4'] });
      c.execute();
      c.sync();
      c.bind({ values: ['1'] });
      c.execute();
      c.sync();
    },
    types: '1tTZ2DCZ2DCZ',
    options: { syncs: 3 },
  },
  ...[0, 1, 3].map((count) => ({
    name: `${count} values for two parameters`,
    write: (c: WireClient) => {
      c.parse('SELECT name FROM items WHERE id = $1 AND name = $2');
      c.bind({ values: Array.from({ length: count }, () => '1') });
      c.sync();
    },
    types: '1EZ',
    options: { codesOnly: true },
  })),
  {
    name: 'a format code that does not exist',
    write: (c) => {
      c.parse('SELECT name FROM items WHERE id = $1');
      c.bind({ values: ['1'], formats: [7] });
      c.execute();
      c.sync();
    },
    options: { codesOnly: true },
  },
  {
    name: 'more formats than parameters',
    write: (c) => {
      c.parse('SELECT name FROM items WHERE id = $1');
      c.bind({ values: ['1'], formats: [0, 0, 0] });
      c.execute();
      c.sync();
    },
    options: { codesOnly: true },
  },
  {
    name: 'a value that is not of its type',
    write: (c) => {
      c.parse('SELECT name FROM items WHERE id = $1');
      c.bind({ values: ['x'] });
      c.execute();
      c.sync();
    },
    options: { codesOnly: true },
  },
  {
    name: 'a syntax error and a missing table',
    write: (c) => {
      c.parse('SELEC');
      c.sync();
      c.parse('SELECT * FROM nowhere');
      c.describe('S');
      c.sync();
    },
    types: 'EZEZ',
    options: { syncs: 2 },
  },
  {
    name: 'NULL and the empty text are different values',
    write: (c) => {
      run(c, 'SELECT $1::text IS NULL, $2::text IS NULL, $2::text', [null, '']);
      run(c, 'SELECT id FROM items WHERE name = $1 AND id = 5', ['']);
      c.sync();
    },
  },
];

describe.each(deliveries)('messages sent in one way: %s', (delivery) => {
  for (const { name, write, types, options } of stories) {
    test(name, async () => {
      const messages = await pair.expectSame(write, { ...options, delivery });
      if (types !== undefined) expect(typesOf(messages)).toBe(types);
    });
  }
});

describe('writes', () => {
  test('INSERT, UPDATE and DELETE with parameters on one shard, on several and unsharded', async () => {
    await pair.expectSame(
      (c) => {
        run(c, 'INSERT INTO items VALUES ($1, $2), ($3, $4), ($5, $6)', [
          '20',
          'x',
          '21',
          null,
          '22',
          '',
        ]);
        c.sync();
        run(c, 'UPDATE items SET name = $1 WHERE id > $2', ['y', '19']);
        c.sync();
        run(c, 'DELETE FROM items WHERE id = ANY($1) RETURNING name', ['{20,21,22}']);
        c.sync();
        run(c, 'UPDATE settings SET value = $1 WHERE key = $2 RETURNING *', ['new', 'k1']);
        c.sync();
        run(c, 'SELECT * FROM items');
        c.sync();
      },
      { syncs: 5, unordered: true },
    );
  });

  test('a statement of 65,535 parameters', async () => {
    const count = 65_535;
    const places = Array.from({ length: count }, (_, i) => `$${i + 1}`).join(',');
    await pair.expectSame(
      (c) => {
        c.parse(`SELECT name FROM items WHERE id IN (${places})`);
        c.bind({ values: Array.from({ length: count }, (_, i) => `${i - 100}`) });
        c.execute();
        c.sync();
      },
      { unordered: true },
    );
  });
});

describe('Flush', () => {
  test('brings the answers so far, without ReadyForQuery', async () => {
    const client = await WireClient.login({
      port: scene.proxy.port,
      database: 'extended_protocol',
    });
    client.parse('SELECT name FROM items WHERE id = $1');
    client.describe('S');
    client.flush();
    expect(typesOf(await client.until('T'))).toBe('1tT');
    client.bind({ values: ['3'] });
    client.execute();
    client.flush();
    expect(typesOf(await client.until('C'))).toBe('2DC');
    expect(await client.silentFor(100)).toBe(true);
    client.sync();
    expect(typesOf(await client.until('Z'))).toBe('Z');
    client.terminate();
  });

  test('an error is sent at once, before Sync', async () => {
    const client = await WireClient.login({
      port: scene.proxy.port,
      database: 'extended_protocol',
    });
    client.parse('SELECT 1/0');
    client.bind();
    client.execute();
    client.flush();
    expect(sqlStates(await client.until('E'))).toEqual(['22012']);
    client.execute('whatever');
    expect(await client.silentFor(100)).toBe(true);
    client.sync();
    await client.until('Z');
    client.terminate();
  });

  test('Terminate works while messages are skipped', async () => {
    const client = await WireClient.login({
      port: scene.proxy.port,
      database: 'extended_protocol',
    });
    client.parse('SELEC');
    client.flush();
    await client.until('E');
    client.terminate();
    expect(await client.closed()).toEqual([]);
  });
});

describe('statements of many clients', () => {
  test('keep their own meaning under the same names', async () => {
    const clients = await Promise.all(
      [1, 2, 3, 4, 5, 6].map(() =>
        WireClient.login({ port: scene.proxy.port, database: 'extended_protocol' }),
      ),
    );
    for (const [i, client] of clients.entries()) {
      client.parse(`SELECT ${i}, name FROM items WHERE id = $1`, 's1');
      client.sync();
      await client.until('Z');
    }
    for (let round = 0; round < 3; round++) {
      await Promise.all(
        clients.map(async (client, i) => {
          for (const id of ['1', '3', '4']) {
            client.bind({ statement: 's1', values: [id] });
            client.execute();
          }
          client.sync();
          const rows = (await client.until('Z')).filter(({ type }) => type === 'D').map(rowTexts);
          expect(rows).toEqual([
            [`${i}`, 'a'],
            [`${i}`, expect.stringMatching(/^c/)],
            [`${i}`, 'd'],
          ]);
        }),
      );
    }
    for (const client of clients) client.terminate();
  });

  test('DEALLOCATE and DISCARD ALL forget them', async () => {
    for (const forget of ['DEALLOCATE s2', 'DEALLOCATE ALL', 'DISCARD ALL']) {
      const messages = await pair.expectSame(
        (c) => {
          c.parse('SELECT 1', 's2');
          c.sync();
          c.query(forget);
          c.bind({ statement: 's2' });
          c.sync();
        },
        { syncs: 3 },
      );
      expect(sqlStates(messages)).toEqual(['26000']);
    }
  });

  test('see new columns after a table has changed', async () => {
    await pair.expectSame(
      (c) => {
        c.parse('SELECT * FROM settings WHERE key = $1', 'star');
        c.bind({ statement: 'star', values: ['k2'] });
        c.execute();
        c.sync();
        c.query('ALTER TABLE settings ADD COLUMN more int');
        c.parse('SELECT * FROM settings WHERE key = $1', 'star2');
        c.bind({ statement: 'star2', values: ['k2'] });
        c.describe('P');
        c.execute();
        c.sync();
      },
      { syncs: 3 },
    );
  });
});

test('malformed messages are errors, and the session lives', async () => {
  const malformed: Record<string, Buffer> = {
    'Bind cut off': frame('B', Buffer.from('\0\0\0')),
    'Parse without a type count': frame('P', '', 'SELECT 1'),
    'Describe of neither': frame('D', Buffer.from('X\0')),
    'Bind with a value longer than the message': frame('B', '', '', int16(0), int16(1), int32(99)),
  };
  for (const [name, bytes] of Object.entries(malformed)) {
    const messages: WireMessage[] = await pair.expectSame(
      (c) => {
        c.parse('SELECT $1::text');
        c.send(bytes);
        c.sync();
      },
      { codesOnly: true },
    );
    expect(sqlStates(messages), name).toEqual(['08P01']);
  }
});
