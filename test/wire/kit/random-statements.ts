import type { Dice } from '../../support/chaos-random.js';

/**
 * What random sessions say of the tables of the stage: statements of every way to be answered, in each of its forms.
 * Each has one right answer, whatever the plan: rows are in a total order where a row limit may cut them.
 */
export interface Sentence {
  readonly sql: string;
  /** What its parameters are. */
  readonly takes: readonly ParameterKind[];
  /** A row limit may cut its rows: they come in one order. */
  readonly sorted: boolean;
}

/** `id`: int8, `number`: int4. */
export type ParameterKind = 'id' | 'number' | 'word';

function sorted(sql: string, ...takes: ParameterKind[]): Sentence {
  return { sql, takes, sorted: true };
}

function unsorted(sql: string, ...takes: ParameterKind[]): Sentence {
  return { sql, takes, sorted: false };
}

const reads: readonly Sentence[] = [
  sorted('SELECT item_id, n, amount FROM parts WHERE item_id = $1 ORDER BY n', 'id'),
  sorted('SELECT id, name, price, feeling, tags, added FROM items WHERE id = $1', 'id'),
  sorted(
    'SELECT i.name, p.n FROM items i JOIN parts p ON p.item_id = i.id WHERE i.id = $1 ORDER BY n',
    'id',
  ),
  sorted('SELECT id, name, price FROM items WHERE price > $1 ORDER BY price DESC, id', 'number'),
  sorted(
    'SELECT item_id, n, amount, data FROM parts ORDER BY amount DESC, item_id, n LIMIT $1',
    'id',
  ),
  sorted('SELECT id, feeling FROM items WHERE name <> $1 ORDER BY id OFFSET $2', 'word', 'id'),
  sorted(
    'SELECT label, count(*), max(feeling) FROM items WHERE id > $1 GROUP BY label ORDER BY label',
    'id',
  ),
  sorted('SELECT count(*), sum(amount) FROM parts WHERE n = $1', 'number'),
  sorted('SELECT count(*) FROM items'),
  sorted('SELECT DISTINCT label FROM items ORDER BY label'),
  sorted(
    'SELECT a.id, b.id FROM items a JOIN items b ON a.label = b.label AND a.id < b.id WHERE a.id > $1 ORDER BY 1, 2',
    'id',
  ),
  sorted(
    'SELECT id, (SELECT max(value) FROM settings WHERE key = $1) AS v FROM items ORDER BY id',
    'word',
  ),
  unsorted('SELECT id, name FROM items WHERE id > $1::int8 + 0', 'id'),
  unsorted('SELECT item_id, n FROM parts WHERE amount > $1', 'number'),
  sorted('SELECT key, value FROM settings WHERE key > $1 ORDER BY key', 'word'),
  sorted('SELECT code, name FROM countries WHERE code > $1 ORDER BY code', 'word'),
  sorted('SELECT $1::int4 + 1 AS a, NULL AS b', 'number'),
  sorted('SELECT g FROM generate_series(1, $1::int4) g', 'number'),
  sorted('VALUES ($1::int8, $2), (1, NULL)', 'id', 'word'),
  sorted('SELECT name FROM items WHERE id = $1 FOR UPDATE', 'id'),
  sorted("SELECT current_setting('work_mem'), current_setting('my.own', true)"),
  sorted('SELECT told($1, $2)', 'id', 'word'),
  sorted('SELECT told(id, name) FROM items WHERE id = $1', 'id'),
];

const writes: readonly Sentence[] = [
  sorted('INSERT INTO items (id, name) VALUES ($1, $2)', 'id', 'word'),
  sorted('INSERT INTO items (id, name) VALUES ($1, $2) RETURNING id, name, price', 'id', 'word'),
  unsorted(
    'INSERT INTO items (id, price) VALUES ($1, $2), ($3, 3) RETURNING id',
    'id',
    'number',
    'id',
  ),
  sorted(
    'INSERT INTO items (id, name) VALUES ($1, $2), ($3, $4) ON CONFLICT DO NOTHING',
    'id',
    'word',
    'id',
    'word',
  ),
  sorted('INSERT INTO parts SELECT id, 9, $1::int4 FROM items ON CONFLICT DO NOTHING', 'number'),
  sorted('INSERT INTO parts (item_id, n, amount) VALUES ($1, $2, 5)', 'id', 'number'),
  sorted('INSERT INTO countries VALUES ($1, $2)', 'word', 'word'),
  sorted('UPDATE countries SET name = $1 WHERE code = $2 RETURNING name', 'word', 'word'),
  sorted(
    'INSERT INTO settings VALUES ($1, $2) ON CONFLICT (key) DO UPDATE SET value = excluded.value',
    'word',
    'word',
  ),
  sorted('INSERT INTO log (line) VALUES ($1) RETURNING n', 'word'),
  sorted('UPDATE items SET name = $1 WHERE id = $2', 'word', 'id'),
  sorted('UPDATE items SET price = price + $1 WHERE id = $2 RETURNING price', 'number', 'id'),
  unsorted('UPDATE items SET price = price + $1 RETURNING id, price', 'number'),
  sorted('UPDATE parts SET amount = amount + 1 WHERE n = $1', 'number'),
  sorted('UPDATE items SET price = price - $1 WHERE id IN (2, 3, 4, 5)', 'number'),
  sorted('DELETE FROM parts WHERE item_id = $1', 'id'),
  unsorted('DELETE FROM parts WHERE n = $1 RETURNING item_id', 'number'),
  sorted('DELETE FROM items WHERE id = $1', 'id'),
  sorted('DELETE FROM settings WHERE key > $1', 'word'),
  sorted(
    'WITH d AS (DELETE FROM parts WHERE n = $1 RETURNING item_id) SELECT count(*) FROM d',
    'number',
  ),
  sorted('UPDATE items SET id = id + 100 WHERE id = $1', 'id'),
];

const failures: readonly Sentence[] = [
  sorted('SELECT 10 / (n - $1::int4) AS q FROM parts WHERE item_id = 3 ORDER BY 1', 'number'),
  sorted('SELECT 10 / (id - $1) AS q FROM items ORDER BY 1', 'id'),
  sorted('SELECT sum(10 / (id - $1)) FROM items', 'id'),
  sorted(
    'SELECT a.id / (b.n - $1) AS q FROM items a JOIN parts b ON b.amount = a.price ORDER BY 1',
    'number',
  ),
  sorted('SELECT 1 / $1::int4', 'number'),
  sorted('SELECT missing FROM items ORDER BY id'),
  sorted('SELECT * FROM nowhere'),
  sorted('SELEC'),
  sorted('SELECT 1; SELECT 2'),
  sorted("SELECT id FROM items WHERE feeling = 'angry'"),
  sorted('SELECT nothing($1)', 'word'),
];

const transactions: readonly Sentence[] = [
  ...['BEGIN', 'BEGIN', 'START TRANSACTION READ ONLY', 'BEGIN ISOLATION LEVEL READ COMMITTED'],
  ...['COMMIT', 'COMMIT', 'END', 'ROLLBACK', 'ROLLBACK', 'COMMIT AND CHAIN', 'ROLLBACK AND CHAIN'],
  ...['SAVEPOINT a', 'SAVEPOINT b', 'ROLLBACK TO a', 'ROLLBACK TO b', 'RELEASE a', 'RELEASE b'],
  'SET CONSTRAINTS ALL IMMEDIATE',
].map((sql) => sorted(sql));

const sessions: readonly Sentence[] = [
  ...["SET LOCAL work_mem = '3MB'", "SET work_mem = '5MB'", 'RESET work_mem', 'SHOW work_mem'],
  ...["SET my.own = 'x'", "SET LOCAL my.own = 'y'", "SELECT set_config('work_mem', '6MB', true)"],
  ...["SET application_name = 'fuzz'", "SET LOCAL TimeZone = 'Asia/Tokyo'", 'SHOW TimeZone'],
  ...["SET work_mem = 'lots'", 'SET nothing = 1', 'RESET ALL', 'SHOW transaction_read_only'],
  ...['PREPARE e0 AS SELECT name FROM items WHERE id = $1', 'EXECUTE e0 (3)', 'EXECUTE e1 (4)'],
  ...['PREPARE e1 (int8) AS SELECT id FROM items WHERE id > $1 ORDER BY id', 'EXECUTE e2'],
  ...['PREPARE e2 (int8) AS UPDATE items SET price = 1 WHERE id = $1', "EXECUTE e2 ('5')"],
  ...['EXECUTE e0', 'EXECUTE e1 (1, 2)', 'EXECUTE e0 (1 / 0)', "EXECUTE e1 ('x')"],
  ...['LOCK TABLE settings', 'LOCK TABLE items IN SHARE MODE', 'LOCK TABLE countries, log'],
  ...["SET application_name = 'other'", 'RESET application_name', "SET TimeZone = 'Asia/Tokyo'"],
  ...["SELECT set_config('application_name', 'made', false)", 'RESET TimeZone'],
  ...["SELECT nextval('log_n_seq') IS NOT NULL", 'DISCARD PLANS', 'DISCARD TEMP'],
  ...[
    'DEALLOCATE s0',
    'DEALLOCATE s1',
    'DEALLOCATE e0',
    'DEALLOCATE ALL',
    'DISCARD ALL',
    'CLOSE ALL',
  ],
  ...['DECLARE p0 CURSOR FOR SELECT id, name FROM items ORDER BY id', 'FETCH 2 FROM p0'],
  ...['DECLARE p1 CURSOR FOR SELECT n, amount FROM parts WHERE item_id = 3 ORDER BY n'],
  ...['FETCH ALL FROM p1', 'MOVE 1 FROM p0', 'CLOSE p0', 'CLOSE p1', 'FETCH 1 FROM p1'],
  ...['LISTEN news', 'NOTIFY news', "NOTIFY news, 'more'", 'UNLISTEN *', '', ' ; ', '-- nothing'],
  ...['EXPLAIN (COSTS OFF) SELECT 1'],
  ...['CREATE TEMP TABLE own (a int)', 'INSERT INTO own VALUES (1), (2)', 'TABLE own'],
].map((sql) => sorted(sql));

/** Any of them; those that fail and those about the session are told less often than the others. */
export function anySentence(dice: Dice): Sentence {
  const die = dice.below(100);
  if (die < 40) return dice.pick(reads);
  if (die < 65) return dice.pick(writes);
  if (die < 73) return dice.pick(failures);
  if (die < 88) return dice.pick(transactions);
  return dice.pick(sessions);
}

export function transactionSentence(dice: Dice): Sentence {
  return dice.pick(transactions);
}

/** COPY FROM STDIN with lines that it may take or not. */
export function copyFrom(dice: Dice): { readonly sql: string; readonly lines: readonly string[] } {
  const id = (): number => dice.between(1, 30);
  return dice.pick([
    { sql: 'COPY settings FROM STDIN', lines: [`c${id()}\tv`, `c${id()}\t\\N`, 'x'] },
    {
      sql: 'COPY items (id, name) FROM STDIN',
      lines: [`${id()}\ta`, `${id()}\tb`, `${id() + 30}\tc`],
    },
    {
      sql: 'COPY items (id, name) FROM STDIN CSV',
      lines: [`${id() + 30},"a"""`, `${id() + 60},`, 'y,z'],
    },
    { sql: 'COPY countries FROM STDIN', lines: ['it\tItaly', `c${id() % 10}\tSome`] },
    {
      sql: 'COPY parts (item_id, n, amount) FROM STDIN',
      lines: [`${id()}\t7\t1`, `${id()}\t8\t-1`],
    },
    { sql: 'COPY log (line) FROM STDIN', lines: ['one', 'two', '\\N'] },
    { sql: 'COPY items (id, name) FROM STDIN (HEADER)', lines: ['id\tname', `${id() + 90}\td`] },
    { sql: 'COPY nowhere FROM STDIN', lines: ['1'] },
  ]);
}

export function copyTo(dice: Dice): string {
  return dice.pick([
    'COPY settings TO STDOUT',
    'COPY (SELECT id, name FROM items WHERE id = 3) TO STDOUT',
    'COPY (SELECT id, name FROM items ORDER BY id) TO STDOUT CSV',
    'COPY (SELECT count(*) FROM items) TO STDOUT (FORMAT binary)',
    'COPY (SELECT 10 / (n - 1) FROM parts WHERE item_id = 2 ORDER BY 1) TO STDOUT',
    'COPY (SELECT missing FROM items) TO STDOUT',
    'COPY (SELECT told(n, key) FROM settings, generate_series(1, 2) n ORDER BY key, n LIMIT 3) TO STDOUT',
    'COPY (SELECT a.id FROM items a JOIN parts b ON b.amount = a.id + 9 ORDER BY 1) TO STDOUT (HEADER)',
    "COPY (SELECT label, count(*) FROM items GROUP BY label ORDER BY label) TO STDOUT (FORMAT csv, NULL 'x')",
  ]);
}

/** The text with constants for its parameters, as a Query has them. */
export function asQuery({ sql, takes }: Sentence, dice: Dice): string {
  return takes.reduce(
    (text, kind, i) => text.replaceAll(`$${i + 1}`, `'${textOf(kind, dice)}'`),
    sql,
  );
}

/** A value of the kind as text. */
export function textOf(kind: ParameterKind, dice: Dice): string {
  if (kind === 'word') return dice.pick(['k3', 'k7', 'at', 'xx', 'label 1', 'ä', '']);
  return String(dice.between(kind === 'id' ? 1 : 0, kind === 'id' ? 14 : 4));
}
