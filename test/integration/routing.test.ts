import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { runStatement } from '../support/oracle.js';
import { connectPg, misplacedRows, openScene, rowsPerShard, type Scene } from '../support/scene.js';
import { WirePair } from '../support/wire-pair.js';

/** One table per type of shard key: `k_<name>(k <type>, v text)`, with values that sit on the type's edges. */
const keyTypes = [
  {
    name: 'int2',
    type: 'int2',
    hash: 'hashint2extended',
    values: ['0', '-1', '32767', '-32768', '7'],
  },
  {
    name: 'int4',
    type: 'int4',
    hash: 'hashint4extended',
    values: ['0', '-1', '2147483647', '-2147483648', '123456'],
  },
  {
    name: 'int8',
    type: 'int8',
    hash: 'hashint8extended',
    values: ['0', '-1', '9223372036854775807', '-9223372036854775808', '42'],
  },
  {
    name: 'text',
    type: 'text',
    hash: 'hashtextextended',
    values: ['', 'a', 'A', "it's", 'käse', '\\x41', 'null', ' padded '],
  },
  {
    name: 'varchar',
    type: 'varchar(12)',
    hash: 'hashtextextended',
    values: ['', 'abc', 'ABC', 'äöü'],
  },
  {
    name: 'uuid',
    type: 'uuid',
    hash: 'uuid_hash_extended',
    values: [
      '00000000-0000-0000-0000-000000000000',
      'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11',
      'ffffffff-ffff-ffff-ffff-ffffffffffff',
    ],
  },
  {
    name: 'date',
    type: 'date',
    hash: 'hashdateextended',
    values: ['2000-01-01', '1999-12-31', '2026-02-28', 'infinity'],
  },
  {
    name: 'timestamptz',
    type: 'timestamptz',
    hash: 'timestamptz_hash_extended',
    values: ['2000-01-01 00:00:00+00', '1969-07-20 20:17:40.123456+00', '2026-11-21 10:00:00+02'],
  },
  {
    name: 'numeric',
    type: 'numeric',
    hash: 'hash_numeric_extended',
    values: ['0', '1.50', '-1.5', '100000000000000000000', '0.000001', 'NaN'],
  },
  {
    name: 'bytea',
    type: 'bytea',
    hash: 'hashbyteaextended',
    values: ['\\x', '\\x00ff', '\\x414243'],
  },
] as const;

type Statement = readonly [sql: string, params?: readonly unknown[]];

let scene: Scene;

beforeAll(async () => {
  const tables: Record<string, object> = {
    customers: { shard_key: 'id', vindex: 'by_key' },
    orders: { shard_key: 'customer_id', vindex: 'by_key' },
    countries: { type: 'reference' },
  };
  for (const { name } of keyTypes) tables[`k_${name}`] = { shard_key: 'k', vindex: 'by_key' };
  scene = await openScene('routing', { main: { settings: {} }, shop: tables }, [
    'CREATE TABLE customers (id int8 PRIMARY KEY, name text, country text)',
    'CREATE TABLE orders (customer_id int8, id int4, total numeric, PRIMARY KEY (customer_id, id))',
    'CREATE TABLE countries (code text PRIMARY KEY, name text)',
    'CREATE TABLE settings (key text PRIMARY KEY, value text)',
    ...keyTypes.map(({ name, type }) => `CREATE TABLE k_${name} (k ${type}, v text)`),
    `INSERT INTO countries VALUES ('de', 'Germany'), ('fr', 'France')`,
    `INSERT INTO settings VALUES ('colour', 'red'), ('size', NULL)`,
    `INSERT INTO customers VALUES ${customerRows()}`,
    `INSERT INTO orders VALUES ${orderRows()}`,
  ]);
});
afterAll(async () => {
  await scene.close();
});

function customerRows(): string {
  const rows: string[] = [];
  for (let id = 1; id <= 40; id++) {
    const name = id % 7 === 0 ? 'NULL' : `'customer ${id}'`;
    rows.push(`(${id}, ${name}, '${id % 2 === 0 ? 'de' : 'fr'}')`);
  }
  return rows.join(', ');
}

function orderRows(): string {
  const rows: string[] = [];
  for (let id = 1; id <= 40; id++) {
    for (let n = 1; n <= id % 4; n++) rows.push(`(${id}, ${n}, ${id * n}.50)`);
  }
  return rows.join(', ');
}

describe('where rows live', () => {
  test('a multi-row INSERT puts each row where the servers hash its key, and nowhere else', async () => {
    const { databases } = scene;
    expect(await misplacedRows(databases, 'customers', 'id', 'hashint8extended')).toEqual([]);
    expect(await misplacedRows(databases, 'orders', 'customer_id', 'hashint8extended')).toEqual([]);
    const counts = await rowsPerShard(databases, 'customers');
    expect(Object.values(counts).reduce((sum, n) => sum + n, 0)).toBe(40);
    for (const shard of ['s0', 's1', 's2', 's3']) expect(counts[shard]).toBeGreaterThan(0);
  });

  test('reference rows are on every shard of the keyspace, unsharded ones on theirs', async () => {
    expect(await rowsPerShard(scene.databases, 'countries')).toEqual({
      main: 0,
      s0: 2,
      s1: 2,
      s2: 2,
      s3: 2,
    });
    expect(await rowsPerShard(scene.databases, 'settings')).toEqual({
      main: 2,
      s0: 0,
      s1: 0,
      s2: 0,
      s3: 0,
    });
  });
});

describe.each(keyTypes)('a key of type $type', ({ name, type, hash, values }) => {
  const table = `k_${name}`;

  test('is written and found again as a parameter, a literal, in lists and arrays', async () => {
    const { comparison, databases } = scene;
    for (const [i, value] of values.entries()) {
      await comparison.expectSame(`INSERT INTO ${table} VALUES ($1, $2)`, [value, `row ${i}`]);
    }
    const literal = (value: string): string => `'${value.replaceAll("'", "''")}'`;
    await comparison.expectSame(
      `INSERT INTO ${table} VALUES ${values.map((value) => `(${literal(value)}, 'again')`).join(', ')}`,
    );
    expect(await misplacedRows(databases, table, 'k', hash)).toEqual([]);
    for (const value of values) {
      const quoted = literal(value);
      const { results } = await comparison.expectSame(`SELECT k, v FROM ${table} WHERE k = $1`, [
        value,
      ]);
      expect(results[0]!.rows.length, value).toBeGreaterThanOrEqual(2);
      await comparison.expectSame(`SELECT * FROM ${table} WHERE k = ${quoted}`);
      await comparison.expectSame(`SELECT * FROM ${table} WHERE k = ${quoted}::${type}`);
      await comparison.expectSame(`SELECT * FROM ${table} WHERE k = CAST($1 AS ${type})`, [value]);
      await comparison.expectSame(`SELECT * FROM ${table} WHERE ${quoted} = k AND v IS NOT NULL`);
    }
    const list = values.map(literal).join(', ');
    await comparison.expectSame(`SELECT * FROM ${table} WHERE k IN (${list})`);
    const places = values.map((_, i) => `$${i + 1}`).join(', ');
    await comparison.expectSame(`SELECT * FROM ${table} WHERE k IN (${places})`, [...values]);
    const array = `{${values.map((value) => JSON.stringify(value)).join(',')}}`;
    await comparison.expectSame(`SELECT * FROM ${table} WHERE k = ANY($1)`, [array]);
    await comparison.expectSame(`SELECT * FROM ${table} WHERE k = ANY($1::${type}[])`, [array]);
  });

  test('that is NULL matches nothing, and is refused where a row would have to live under it', async () => {
    const { comparison } = scene;
    await comparison.expectSame(`SELECT * FROM ${table} WHERE k = $1`, [null]);
    await comparison.expectSame(`SELECT * FROM ${table} WHERE k = NULL`);
    await comparison.expectSame(`SELECT * FROM ${table} WHERE k IN (NULL, $1)`, [values[1]]);
    await comparison.expectSame(`SELECT * FROM ${table} WHERE k IS NULL`);
    await comparison.expectSame(`UPDATE ${table} SET v = 'lost' WHERE k = NULL`);
    await comparison.expectSame(`DELETE FROM ${table} WHERE k = $1`, [null]);
    // One Postgres would take it, but no query by key would look for it on the shard that it came to.
    const client = await connectPg(scene.proxy.url);
    for (const [sql, params] of [
      [`INSERT INTO ${table} VALUES (NULL, 'nowhere')`, undefined],
      [`INSERT INTO ${table} VALUES ($1, 'nowhere')`, [null]],
      [`INSERT INTO ${table} (v) VALUES ('nowhere')`, undefined],
    ] as const) {
      const { error } = await runStatement(client, sql, params);
      expect(['23502', '0A000'], sql).toContain(error?.code);
    }
    await client.end();
  });

  test('is updated and deleted by', async () => {
    const { comparison } = scene;
    await comparison.expectSame(`UPDATE ${table} SET v = v || '!' WHERE k = $1`, [values[0]]);
    await comparison.expectSame(`UPDATE ${table} SET v = 'x' WHERE k IN ($1, $2) RETURNING *`, [
      values[0],
      values[1],
    ]);
    await comparison.expectSame(`DELETE FROM ${table} WHERE k = $1`, [values[1]]);
    await comparison.expectSame(`SELECT * FROM ${table}`);
  });
});

describe('a key given as a binary parameter', () => {
  let pair: WirePair;
  beforeAll(async () => {
    pair = await WirePair.open(scene.proxy.port, scene.oraclePort, { database: 'routing' });
  });
  afterAll(() => {
    pair.close();
  });

  const int = (value: bigint, width: 2 | 4 | 8): Buffer => {
    const bytes = Buffer.alloc(8);
    bytes.writeBigInt64BE(value);
    return bytes.subarray(8 - width);
  };
  const integerTypes = [
    { oid: 21, width: 2 },
    { oid: 23, width: 4 },
    { oid: 20, width: 8 },
  ] as const;

  for (const column of ['int2', 'int4', 'int8'] as const) {
    test.each(integerTypes)(
      `finds ${column} rows with an integer of $width bytes`,
      async (param) => {
        for (const value of [0n, -1n, 7n, 42n, 32767n, -32768n]) {
          await pair.expectSame(
            (client) => {
              client.parse(`SELECT k, v FROM k_${column} WHERE k = $1`, '', [param.oid]);
              client.bind({ values: [int(value, param.width)], formats: [1], resultFormats: [1] });
              client.describe('P');
              client.execute();
              client.sync();
            },
            { unordered: true },
          );
        }
      },
    );
  }

  test('finds rows by a binary array, in which a NULL matches nothing', async () => {
    const element = (value: Buffer | null): Buffer =>
      value === null
        ? Buffer.from([255, 255, 255, 255])
        : Buffer.concat([Buffer.from([0, 0, 0, value.length]), value]);
    const array = (oid: number, items: readonly (Buffer | null)[]): Buffer => {
      const head = Buffer.alloc(items.length === 0 ? 12 : 20);
      head.writeInt32BE(items.length === 0 ? 0 : 1, 0);
      head.writeInt32BE(items.includes(null) ? 1 : 0, 4);
      head.writeInt32BE(oid, 8);
      if (items.length > 0) {
        head.writeInt32BE(items.length, 12);
        head.writeInt32BE(1, 16);
      }
      return Buffer.concat([head, ...items.map(element)]);
    };
    const cases = [
      {
        cast: 'int8[]',
        bytes: array(
          20,
          [1n, 2n, 3n, 17n, 40n].map((value) => int(value, 8)),
        ),
      },
      { cast: 'int4[]', bytes: array(23, [int(5n, 4), null, int(6n, 4)]) },
      { cast: 'int8[]', bytes: array(20, []) },
      { cast: 'int8[]', bytes: array(20, [null]) },
    ];
    for (const { cast, bytes } of cases) {
      const messages = await pair.expectSame(
        (client) => {
          client.parse(`SELECT id, name FROM customers WHERE id = ANY($1::${cast})`);
          client.bind({ values: [bytes], formats: [1] });
          client.describe('P');
          client.execute();
          client.sync();
        },
        { unordered: true },
      );
      expect(messages.at(-1)!.type).toBe('Z');
    }
  });

  test('finds uuid, text, bytea and timestamptz rows', async () => {
    const micros = Buffer.alloc(8);
    const cases = [
      { table: 'k_uuid', value: Buffer.from('a0eebc999c0b4ef8bb6d6bb9bd380a11', 'hex') },
      { table: 'k_text', value: Buffer.from('käse') },
      { table: 'k_bytea', value: Buffer.from('414243', 'hex') },
      { table: 'k_timestamptz', value: micros },
      { table: 'k_date', value: Buffer.alloc(4) },
    ];
    for (const { table, value } of cases) {
      await pair.expectSame(
        (client) => {
          client.parse(`SELECT k, v FROM ${table} WHERE k = $1`);
          client.bind({ values: [value], formats: [1], resultFormats: [1] });
          client.execute();
          client.sync();
        },
        { unordered: true },
      );
    }
  });

  test('of a wrong length is the error that Postgres gives', async () => {
    await pair.expectSame(
      (client) => {
        client.parse('SELECT name FROM customers WHERE id = $1', '', [20]);
        client.bind({ values: [Buffer.from([1, 2, 3])], formats: [1] });
        client.execute();
        client.sync();
      },
      { codesOnly: true },
    );
  });
});

describe('conditions that bind the key', () => {
  const statements: readonly Statement[] = [
    ['SELECT * FROM customers WHERE id = 3'],
    ['SELECT * FROM customers c WHERE c.id = +3'],
    ['SELECT * FROM customers WHERE id = -3'],
    ['SELECT * FROM customers WHERE (id) = (3)'],
    ['SELECT * FROM customers WHERE id = 1 + 2'],
    ['SELECT * FROM customers WHERE id = abs(-3)'],
    ["SELECT * FROM customers WHERE id = '3'"],
    ["SELECT * FROM customers WHERE id = '3'::int2"],
    ['SELECT * FROM customers WHERE id = 3.0'],
    ['SELECT * FROM customers WHERE id = 3.5'],
    ['SELECT * FROM customers WHERE id = 3e0'],
    ['SELECT * FROM customers WHERE id = 0x1F'],
    ['SELECT * FROM customers WHERE id = 1_0'],
    ['SELECT * FROM customers WHERE id = 9223372036854775807'],
    ['SELECT * FROM customers WHERE id = 9223372036854775808'],
    ['SELECT * FROM customers WHERE id = -9223372036854775808'],
    ['SELECT * FROM customers WHERE id = 99999999999999999999999999'],
    ['SELECT * FROM customers WHERE id = true::int'],
    ['SELECT * FROM customers WHERE id = $1', [12]],
    ['SELECT * FROM customers WHERE id = $1::int', ['12']],
    ['SELECT * FROM customers WHERE id = $1::text::int8', ['12']],
    ['SELECT * FROM customers WHERE id = $1 + 1', [12]],
    ['SELECT * FROM customers WHERE id = -$1::int8', ['-12']],
    ['SELECT * FROM customers WHERE id IN (1, 2)'],
    ['SELECT * FROM customers WHERE id IN (1, 2, 3, 4, 5, 6, 7, 8)'],
    ['SELECT * FROM customers WHERE id NOT IN (1, 2)'],
    ['SELECT * FROM customers WHERE id IN (1, NULL, 5)'],
    ['SELECT * FROM customers WHERE id IN ($1, $2, 9)', [1, 2]],
    ['SELECT * FROM customers WHERE id = ANY (ARRAY[1, 2, 3])'],
    ["SELECT * FROM customers WHERE id = ANY ('{1,2,3}')"],
    ["SELECT * FROM customers WHERE id = ANY ('{1,NULL,3}'::int8[])"],
    ['SELECT * FROM customers WHERE id = ANY ($1)', [[4, 5, 6]]],
    ['SELECT * FROM customers WHERE id = ANY ($1)', [[]]],
    ['SELECT * FROM customers WHERE id = ANY ($1)', [null]],
    ['SELECT * FROM customers WHERE id = ANY ($1::int[])', ['{7,8,9}']],
    ['SELECT * FROM customers WHERE id <> ALL ($1)', [[4, 5, 6]]],
    ['SELECT * FROM customers WHERE id = SOME ($1)', [[4]]],
    ['SELECT * FROM orders WHERE (customer_id, id) IN ((3, 1), (7, 2))'],
    ['SELECT * FROM orders WHERE (customer_id, id) = (3, 1)'],
    ['SELECT * FROM orders WHERE (id, customer_id) IN ((1, 3), (2, 7), (1, 11))'],
    ['SELECT * FROM orders WHERE (customer_id, id) IN (($1, $2), ($3, $4))', [3, 1, 7, 2]],
    ['SELECT * FROM orders WHERE ROW(customer_id, id) = ROW(3, 1)'],
    ['SELECT * FROM orders WHERE (customer_id, id) > (3, 1)'],
    ['SELECT * FROM customers WHERE id = 1 OR id = 2'],
    ["SELECT * FROM customers WHERE id = 1 OR name = 'customer 2'"],
    ["SELECT * FROM customers WHERE id = 1 AND (name = 'x' OR country = 'fr')"],
    ['SELECT * FROM customers WHERE id = 1 AND id = 2'],
    ['SELECT * FROM customers WHERE id = 1 AND id = 1'],
    ['SELECT * FROM customers WHERE (id = 1 AND id > 0) OR (id = 2 AND name IS NOT NULL)'],
    ['SELECT * FROM customers WHERE NOT (id = 1)'],
    ['SELECT * FROM customers WHERE NOT (id <> 1)'],
    ['SELECT * FROM customers WHERE id = 1 IS NOT TRUE'],
    ['SELECT * FROM customers WHERE (id = 1) = true'],
    ['SELECT * FROM customers WHERE (id = 1) = false'],
    ['SELECT * FROM customers WHERE id + 0 = 1'],
    ['SELECT * FROM customers WHERE -id = -1'],
    ["SELECT * FROM customers WHERE id::text = '1'"],
    ['SELECT * FROM customers WHERE id::int2 = 1'],
    ['SELECT * FROM customers WHERE abs(id) = 1'],
    ['SELECT * FROM customers WHERE coalesce(id, 1) = 1'],
    ['SELECT * FROM customers WHERE CASE WHEN id = 1 THEN true ELSE id = 2 END'],
    ['SELECT * FROM customers WHERE id BETWEEN 3 AND 5'],
    ['SELECT * FROM customers WHERE id < 5 AND id > 2'],
    ['SELECT * FROM customers WHERE id IS NOT DISTINCT FROM 3'],
    ['SELECT * FROM customers WHERE id IS DISTINCT FROM 3'],
    ['SELECT * FROM customers WHERE id IS NULL'],
    ['SELECT * FROM customers WHERE id = id'],
    ['SELECT * FROM customers WHERE true'],
    ['SELECT * FROM customers WHERE false'],
    ['SELECT * FROM customers WHERE NULL'],
    ['SELECT * FROM customers'],
    ['SELECT name AS "Name", id * 2 FROM customers WHERE id = 3'],
    ['TABLE customers'],
    ['SELECT 1 FROM customers WHERE id = 3'],
    ['SELECT FROM customers WHERE id = 3'],
    ['SELECT customers FROM customers WHERE id = 3'],
    ['SELECT c.* FROM public.customers AS c (number, called) WHERE c.number = 3'],
    ['SELECT * FROM customers WHERE customers.id = 3 ORDER BY name LIMIT 1'],
    ['SELECT count(*), max(name) FROM customers WHERE id = 3'],
    ['SELECT * FROM customers WHERE id = 3 FOR UPDATE'],
  ];

  for (const [sql, params] of statements) {
    const values = params === undefined ? '' : ` with ${JSON.stringify(params)}`;
    test(`${sql}${values}`, async () => {
      await scene.comparison.expectSame(sql, params);
    });
  }

  test('a value that is not of the key’s type is the error that Postgres gives', async () => {
    const { comparison } = scene;
    const { error } = await comparison.expectSame("SELECT * FROM customers WHERE id = 'x'");
    expect(error?.code).toBe('22P02');
    const outOfRange = await comparison.expectSame('SELECT * FROM customers WHERE id = $1', [
      '9223372036854775808',
    ]);
    expect(outOfRange.error?.code).toBe('22003');
  });
});

describe('several tables', () => {
  const statements: readonly Statement[] = [
    [
      'SELECT c.name, o.total FROM customers c JOIN orders o ON o.customer_id = c.id WHERE c.id = 3',
    ],
    [
      'SELECT c.name, o.total FROM customers c, orders o WHERE o.customer_id = c.id AND o.customer_id = $1',
      [7],
    ],
    ['SELECT * FROM customers c LEFT JOIN orders o ON o.customer_id = c.id WHERE c.id = 4'],
    [
      'SELECT * FROM customers c LEFT JOIN orders o ON o.customer_id = c.id AND o.id = 1 WHERE c.id = 3',
    ],
    ['SELECT * FROM customers c JOIN orders o ON o.customer_id = 3 WHERE c.id = 3'],
    ['SELECT c.name, o.total FROM customers c JOIN orders o ON o.customer_id = c.id'],
    [
      'SELECT c.name, k.name FROM customers c JOIN countries k ON k.code = c.country WHERE c.id = 3',
    ],
    ['SELECT c.name, k.name FROM customers c JOIN countries k ON k.code = c.country'],
    ['SELECT * FROM countries'],
    ["SELECT * FROM countries WHERE code = 'de'"],
    ['SELECT count(*) FROM countries ORDER BY 1'],
    ['SELECT * FROM settings ORDER BY key'],
    ['SELECT * FROM customers WHERE id = 3 AND EXISTS (SELECT FROM orders WHERE customer_id = 3)'],
    [
      'SELECT * FROM customers c WHERE c.id = 3 AND EXISTS (SELECT FROM orders o WHERE o.customer_id = c.id)',
    ],
    ['SELECT (SELECT sum(total) FROM orders WHERE customer_id = 3) FROM customers WHERE id = 3'],
    ['SELECT * FROM (SELECT * FROM customers WHERE id = 3) AS c'],
    ['SELECT * FROM (SELECT * FROM customers) AS c WHERE c.id = 3'],
    [
      'WITH c AS (SELECT * FROM customers WHERE id = 3) SELECT * FROM c JOIN orders ON customer_id = 3',
    ],
    ['SELECT * FROM customers WHERE id = 3 UNION ALL SELECT * FROM customers WHERE id = 3'],
    [
      'SELECT id FROM customers WHERE id = $1 UNION SELECT customer_id FROM orders WHERE customer_id = $1',
      [3],
    ],
    [
      'SELECT * FROM customers WHERE id IN (SELECT customer_id FROM orders WHERE customer_id = 3) AND id = 3',
    ],
    [
      'SELECT * FROM customers c, LATERAL (SELECT * FROM orders WHERE customer_id = c.id) o WHERE c.id = 7',
    ],
    ['SELECT * FROM customers c JOIN generate_series(1, 2) g ON true WHERE c.id = 3'],
  ];

  for (const [sql, params] of statements) {
    const values = params === undefined ? '' : ` with ${JSON.stringify(params)}`;
    test(`${sql}${values}`, async () => {
      await scene.comparison.expectSame(sql, params);
    });
  }

  test('a date that only PostgreSQL reads is refused, not guessed', async () => {
    await scene.comparison.expectRefused("SELECT * FROM k_date WHERE k = '0044-03-15 BC'");
    await scene.comparison.expectRefused("SELECT * FROM k_date WHERE k = 'tomorrow'");
    await scene.comparison.expectRefused("SELECT * FROM k_timestamptz WHERE k = 'now'");
  });

  test('an ambiguous column is the error that Postgres gives', async () => {
    const { error } = await scene.comparison.expectSame(
      'SELECT * FROM customers a JOIN customers b ON a.id = b.id WHERE id = 3',
    );
    expect(error?.code).toBe('42702');
  });
});

describe('no table of ours', () => {
  test.each([
    ['SELECT 1'],
    ['SELECT 1 AS a, NULL, true, 2.5'],
    ["VALUES (1, 'a'), (2, 'b')"],
    ['SELECT generate_series(1, 3)'],
    ["SELECT relname FROM pg_class WHERE relname IN ('customers', 'orders', 'settings')"],
    [
      "SELECT attname, atttypid FROM pg_attribute WHERE attrelid = 'customers'::regclass AND attnum > 0",
    ],
    ["SELECT table_name FROM information_schema.tables WHERE table_schema = 'public'"],
    ['SELECT current_user, session_user, current_database()'],
    ['SELECT missing FROM customers WHERE id = 3'],
    ['SELECT * FROM nowhere'],
    ['SELECT * FROM nosuch.customers'],
    ['SELECT nofunction(3) FROM customers WHERE id = 3'],
    ['SELEC 1'],
    ['SELECT 1/0'],
  ])('%s', async (sql) => {
    await scene.comparison.expectSame(sql);
  });
});

describe('writes', () => {
  test('INSERT with parameters, several rows, RETURNING and columns in another order', async () => {
    const { comparison, databases } = scene;
    await comparison.expectSame('INSERT INTO customers (name, id) VALUES ($1, $2)', ['new', 101]);
    await comparison.expectSame(
      'INSERT INTO customers (name, id) VALUES ($1, $2), ($3, $4), ($5, $6)',
      ['b', 102, 'c', 103, 'd', 104],
    );
    await comparison.expectSame(
      'INSERT INTO customers (name, id) VALUES ($1, 141), ($1, 142), ($1, 143), ($1, 144) RETURNING id',
      ['x'],
    );
    await comparison.expectSame(
      'INSERT INTO orders VALUES ($1, 1, $2), ($1, 2, $2 * 2) RETURNING id, total',
      [1001, 5],
    );
    await comparison.expectSame('INSERT INTO customers (name, id) VALUES ($1, $2) RETURNING *', [
      'h',
      115,
    ]);
    await comparison.expectSame(`INSERT INTO customers VALUES (105, 'e'), (106, 'f'), (107, 'g')`);
    await comparison.expectSame('INSERT INTO customers (id) VALUES (-108), (109), (110)');
    await comparison.expectSame('INSERT INTO customers (id) VALUES (100 + 11)');
    await comparison.expectSame("INSERT INTO customers (id) VALUES (130 + length('abc'))");
    await comparison.expectSame('SELECT * FROM customers WHERE id > 100 OR id < 0');
    expect(await misplacedRows(databases, 'customers', 'id', 'hashint8extended')).toEqual([]);
  });

  test('INSERT of a row that exists fails as on Postgres and stores no row of the statement', async () => {
    const { comparison } = scene;
    const { error } = await comparison.expectSame(
      `INSERT INTO customers (id) VALUES (201), (202), (203), (204), (1), (205), (206), (207)`,
    );
    expect(error?.code).toBe('23505');
    await comparison.expectSame('SELECT * FROM customers WHERE id > 200');
  });

  test('ON CONFLICT on the key’s own shard', async () => {
    const { comparison } = scene;
    await comparison.expectSame(
      `INSERT INTO customers VALUES (1, 'x'), (2, 'y'), (301, 'z') ON CONFLICT (id) DO NOTHING`,
    );
    await comparison.expectSame(
      `INSERT INTO customers VALUES (1, 'one') ON CONFLICT (id) DO UPDATE SET name = excluded.name RETURNING *`,
    );
    await comparison.expectSame('SELECT * FROM customers WHERE id IN (1, 2, 301)');
  });

  test('UPDATE and DELETE with the key, with several keys and without it', async () => {
    const { comparison } = scene;
    await comparison.expectSame(`UPDATE customers SET name = 'three' WHERE id = 3`);
    await comparison.expectSame('UPDATE customers SET name = $2 WHERE id = $1', [4, 'four']);
    await comparison.expectSame(
      'UPDATE customers SET name = upper(name) WHERE id IN (5, 6, 7, 8, 9)',
    );
    await comparison.expectSame(`UPDATE customers SET country = 'de' WHERE country = 'fr'`);
    await comparison.expectSame('UPDATE orders SET total = total + 1 RETURNING *');
    await comparison.expectSame('UPDATE customers SET name = NULL WHERE id = 9999');
    await comparison.expectSame('DELETE FROM orders WHERE customer_id = 3 RETURNING id');
    await comparison.expectSame('DELETE FROM orders WHERE customer_id = ANY($1)', [[7, 11]]);
    await comparison.expectSame('DELETE FROM orders WHERE total > 60');
    await comparison.expectSame('SELECT * FROM customers');
    await comparison.expectSame('SELECT * FROM orders');
  });

  test('a row whose key is changed goes to the shard of the new one', async () => {
    const { comparison, databases } = scene;
    await comparison.expectSame('UPDATE customers SET id = 500 WHERE id = 5');
    await comparison.expectSame('UPDATE customers SET id = id + 10000 WHERE id > 5');
    await comparison.expectSame('SELECT * FROM customers');
    expect(await misplacedRows(databases, 'customers', 'id', 'hashint8extended')).toEqual([]);
  });

  test('reference tables change on every shard, unsharded ones on theirs', async () => {
    const { comparison, databases } = scene;
    await comparison.expectSame(`INSERT INTO countries VALUES ('it', 'Italy')`);
    await comparison.expectSame(`UPDATE countries SET name = 'Deutschland' WHERE code = 'de'`);
    await comparison.expectSame(`DELETE FROM countries WHERE code = 'fr' RETURNING name`);
    await comparison.expectSame('SELECT * FROM countries');
    const copies = await Promise.all(
      (['s0', 's1', 's2', 's3'] as const).map((shard) =>
        databases.query(shard, 'SELECT * FROM countries ORDER BY code'),
      ),
    );
    for (const copy of copies) expect(copy).toEqual(copies[0]);
    await comparison.expectSame(
      `UPDATE settings SET value = 'blue' WHERE key = 'colour' RETURNING *`,
    );
    await comparison.expectSame('SELECT * FROM settings');
  });

  test('TRUNCATE and DDL reach every shard', async () => {
    const { comparison, databases } = scene;
    await comparison.expectSame('TRUNCATE orders');
    expect(await rowsPerShard(databases, 'orders')).toEqual({
      main: 0,
      s0: 0,
      s1: 0,
      s2: 0,
      s3: 0,
    });
    await comparison.expectSame('ALTER TABLE customers ADD COLUMN note text');
    await comparison.expectSame(`UPDATE customers SET note = 'n' WHERE id = 3`);
    await comparison.expectSame('SELECT * FROM customers');
    for (const shard of ['main', 's0', 's1', 's2', 's3'] as const) {
      expect(
        await databases.query(
          shard,
          `SELECT count(*)::int FROM pg_attribute WHERE attrelid = 'customers'::regclass AND attname = 'note'`,
        ),
      ).toEqual([[1]]);
    }
  });
});
