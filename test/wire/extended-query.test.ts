import {
  bind,
  close,
  describe,
  execute,
  flush,
  parse,
  query,
  sync,
  terminate,
  type BindOptions,
} from '../support/frontend-bytes.js';
import { bindValue, frame, int16, int32 } from '../support/wire-messages.js';
import {
  asks,
  batch,
  by,
  closed,
  pause,
  reads,
  ready,
  run,
  send,
  silence,
  story,
  vanish,
  type Story,
} from './kit/story.js';
import { tell } from './kit/tell.js';

const anyOrder = { anyOrder: true };

/** A statement of each way to be answered; all have one parameter, a bigint. */
const statements = {
  'on one shard': 'SELECT id, name, price, feeling, tags, label, added FROM items WHERE id = $1',
  'of an unsharded table': "SELECT key, value FROM settings WHERE key = 'k' || $1::int8",
  'of a reference table': 'SELECT code, name FROM countries WHERE $1::int8 > 2 ORDER BY code',
  'without a table': "SELECT $1::int8 AS a, 'x' AS b, NULL AS c",
  concatenated:
    'SELECT id, name, price, feeling, tags, label, added FROM items WHERE id > $1::int8 + 0',
  merged:
    'SELECT id, name, feeling, label FROM items WHERE price > $1::int8 ORDER BY price DESC LIMIT 4',
  aggregated:
    'SELECT label, count(*), sum(price), max(feeling) FROM items WHERE id > $1 GROUP BY label ORDER BY label',
  gathered:
    'SELECT a.id, b.label, b.feeling FROM items a JOIN items b ON a.label = b.label AND a.id < b.id WHERE a.id > $1 ORDER BY 1, 2, b.id',
  'that writes on one shard':
    "UPDATE items SET name = name || '' WHERE id = $1 RETURNING id, feeling, label",
  'that writes on all shards':
    "UPDATE items SET name = name || '' WHERE id > $1::int8 + 0 RETURNING id, feeling, label",
  'that writes without rows': 'DELETE FROM items WHERE id = $1 AND false',
} as const;

/** One story for each way to be answered. */
function each(
  title: string,
  make: (sql: string, name: string) => Parameters<typeof story>[1],
): Story[] {
  return Object.entries(statements).map(([name, sql]) =>
    story(`${title}: a statement ${name}`, make(sql, name), anyOrder),
  );
}

const binary: BindOptions = { resultFormats: [1] };

tell('wire_extended', [
  ...each('parsed, described and run', (sql) => [
    batch(parse(sql, 's'), describe('S', 's')),
    batch(bind({ statement: 's', values: ['3'] }), describe('P'), execute()),
    batch(bind({ statement: 's', values: ['5'], ...binary }), describe('P'), execute()),
    batch(bind({ statement: 's', values: [bigint(4)], formats: [1] }), execute()),
    batch(bind({ statement: 's', values: [null] }), describe('P'), execute()),
    batch(bind({ statement: 's', values: ['3', '4'] }), execute()),
    batch(bind({ statement: 's' }), execute()),
    batch(close('S', 's'), describe('S', 's')),
  ]),
  ...each('in pieces between which the client waits', (sql) => [
    send(parse(sql), flush()),
    reads('1'),
    send(describe('S'), flush()),
    reads('t'),
    pause(20),
    send(bind({ values: ['3'] }), flush()),
    pause(10),
    send(describe('P'), flush()),
    pause(10),
    send(execute(), flush()),
    reads('C'),
    send(sync()),
    ready(),
    batch(run(sql, ['4'])),
  ]),
  ...each('with a row limit', (sql) => [
    asks('BEGIN'),
    send(
      parse(sql),
      // Which rows come first is anybody's choice where nothing sorts them: one row is all there is.
      bind({ portal: 'p', values: [/ORDER BY/.test(sql) ? '2' : '11'] }),
    ),
    send(describe('P', 'p'), execute('p', 1), execute('p', 2), sync()),
    ready(),
    batch(execute('p', 100), describe('P', 'p')),
    batch(execute('p', 1)),
    batch(close('P', 'p'), execute('p')),
    asks('ROLLBACK'),
  ]),
  ...each('whose portal is closed in a transaction that has failed', (sql) => [
    asks('BEGIN'),
    batch(parse(sql, 's'), bind({ statement: 's', portal: 'p', values: ['11'] }), execute('p', 1)),
    asks("UPDATE items SET name = 'void'", 'SELECT 1/0'),
    batch(close('P', 'p')),
    batch(close('P', 'p'), close('S', 's')),
    asks('SELECT 1', 'COMMIT', "SELECT count(*) FROM items WHERE name = 'void'"),
  ]),
  ...each('prepared once, and run before, in and behind a transaction', (sql) => [
    batch(parse(sql, 's')),
    batch(bind({ statement: 's', values: ['3'] }), execute()),
    asks('BEGIN'),
    batch(bind({ statement: 's', values: ['4'] }), execute()),
    asks('SELECT 1/0'),
    batch(bind({ statement: 's', values: ['4'] }), execute()),
    asks('ROLLBACK'),
    batch(describe('S', 's')),
    batch(bind({ statement: 's', values: ['3'] }), describe('P'), execute()),
  ]),
  ...each('run three times in one pipeline', (sql) => [
    batch(
      parse(sql, 's'),
      ...['1', '4', '11'].flatMap((value) => [
        bind({ statement: 's', values: [value] }),
        describe('P'),
        execute(),
      ]),
      run('SELECT 1/(3 - $1::int4)', ['3']),
      run(sql, ['3']),
    ),
    asks('SELECT 1'),
  ]),
  story(
    'different statements in one pipeline, each described',
    [
      batch(...Object.values(statements).map((sql) => run(sql, ['3']))),
      batch(...Object.values(statements).flatMap((sql) => [parse(sql), describe('S')])),
    ],
    anyOrder,
  ),

  // Describe
  story('Describe of statements of all kinds', [
    batch(
      ...[
        '',
        'BEGIN',
        'COMMIT',
        "SET work_mem = '5MB'",
        'SHOW work_mem',
        'CREATE TABLE described (a int)',
        'INSERT INTO items (id) VALUES ($1)',
        'INSERT INTO items (id, price, feeling) VALUES ($1, $2, $3), ($4, $5, $6) RETURNING feeling, price',
        'INSERT INTO items (id, name) SELECT id, $1 FROM items',
        'UPDATE items SET feeling = $1, label = $2 WHERE name = $3',
        'DELETE FROM parts WHERE amount = $1 RETURNING amount',
        'SELECT $1::mood, $2::positive, $3::text[], $4::mood[]',
        'SELECT * FROM items WHERE feeling = $1 AND tags = $2 ORDER BY id',
        'VALUES ($1::int4, $2::text)',
        'EXPLAIN SELECT 1',
        'EXPLAIN SELECT id FROM items',
        'FETCH nowhere',
        'COPY settings TO STDOUT',
        'COPY items FROM STDIN',
        'LISTEN x',
        'DEALLOCATE ALL',
        'DECLARE c CURSOR FOR SELECT 1',
        'PREPARE p AS SELECT 1',
        'LOCK TABLE settings',
        'TRUNCATE settings',
        'WITH w AS (SELECT $1::int8 AS a) SELECT a, count(*) FROM w, items GROUP BY a',
        'MERGE INTO settings USING (SELECT $1::text AS k) s ON s.k = key WHEN MATCHED THEN DO NOTHING',
      ].flatMap((sql, i) => [parse(sql, `d${i}`), describe('S', `d${i}`)]),
    ),
  ]),
  ...[
    'SELECT $1 + id FROM items WHERE id = $2',
    'SELECT $1 || name FROM items ORDER BY 1',
    'SELECT $1',
    'SELECT $2::int4',
    'SELECT id FROM items WHERE $1',
    'SELECT id FROM items WHERE added > $1 AND price = $2',
    'SELECT count(*) FROM items WHERE id = ANY ($1)',
    'SELECT id FROM items ORDER BY id LIMIT $1 OFFSET $2',
    'SELECT a.id FROM items a JOIN items b ON a.name = b.label AND b.price > $1 WHERE a.feeling = $2',
  ].map((sql) =>
    story(`types that a server infers: ${sql}`, [
      batch(parse(sql, 's'), describe('S', 's')),
      batch(parse(sql, 't', [25]), describe('S', 't')),
      batch(parse(sql, 'u', [20, 0]), describe('S', 'u')),
      batch(parse(sql, 'v', [0, 0, 0]), describe('S', 'v')),
      batch(parse(sql, 'w', [99_999]), describe('S', 'w')),
    ]),
  ),
  story('Describe of what is not there', [
    batch(describe('S', 'nope')),
    batch(describe('P', 'nope')),
    batch(describe('P')),
    batch(describe('S')),
    send(frame('D', Buffer.from('X\0')), sync()),
    ready(),
    send(frame('D', Buffer.from('S')), sync()),
    ready(),
    send(frame('D', Buffer.from('Sab')), sync()),
    ready(),
  ]),
  story('Close of what is not there, and of what is', [
    batch(close('S', 'nope'), close('P', 'nope'), close('S'), close('P')),
    batch(
      parse('SELECT 1', 's'),
      bind({ statement: 's', portal: 'p' }),
      close('P', 'p'),
      execute('p'),
    ),
    batch(close('S', 's'), bind({ statement: 's' })),
    batch(parse('SELECT 1', 's'), bind({ statement: 's' }), close('S', 's'), execute()),
    send(frame('C', Buffer.from('X\0')), sync()),
    ready(),
  ]),

  // Names
  story('a named statement parsed twice', [
    batch(parse('SELECT 1', 's')),
    batch(parse('SELECT 2', 's')),
    batch(bind({ statement: 's' }), execute()),
    batch(close('S', 's'), parse('SELECT 3', 's'), bind({ statement: 's' }), execute()),
    batch(parse('SELECT 4', 's'), parse('SELECT 5', 's')),
  ]),
  story('a portal bound twice', [
    batch(parse('SELECT id FROM items WHERE id = 1'), bind({ portal: 'r' }), bind({ portal: 'r' })),
    batch(parse('SELECT id FROM items ORDER BY id'), bind({ portal: 'r' }), bind({ portal: 'r' })),
    batch(parse('SELECT 1'), bind(), bind(), execute(), execute()),
  ]),
  story('missing statements and portals', [
    batch(bind({ statement: 'nope' })),
    batch(execute('nope')),
    batch(execute()),
    batch(bind()),
    asks('SELECT 1'),
  ]),
  story('the unnamed statement outlives Sync, but not a Query', [
    batch(parse('SELECT name FROM items WHERE id = $1'), describe('S')),
    batch(bind({ values: ['4'] }), execute()),
    batch(bind({ values: ['1'] }), execute()),
    asks('SELECT 1'),
    batch(bind({ values: ['4'] }), execute()),
    batch(describe('S')),
  ]),
  story('a statement that fails to parse leaves the unnamed one as it was, or gone', [
    batch(parse('SELECT 1')),
    batch(parse('SELEC')),
    batch(bind(), execute()),
    batch(parse('SELECT missing FROM items WHERE id = 3')),
    batch(bind(), execute()),
  ]),
  story('a command is run once by its portal', [
    ...['BEGIN', 'COMMIT', "SET work_mem = '5MB'", 'LISTEN x', 'DEALLOCATE ALL', 'UNLISTEN *'].map(
      (sql) => batch(parse(sql), bind(), execute(), execute()),
    ),
    asks('SHOW work_mem'),
  ]),
  story('a portal that has been run to its end', [
    asks('BEGIN'),
    batch(
      parse('SELECT id FROM items WHERE id = 3'),
      bind({ portal: 'p' }),
      execute('p'),
      execute('p'),
    ),
    batch(execute('p'), describe('P', 'p')),
    batch(parse('UPDATE items SET name = name WHERE id = 3'), bind({ portal: 'q' }), execute('q')),
    batch(execute('q')),
    asks('ROLLBACK'),
  ]),
  story('portals end with their transaction, and unnamed ones with the next', [
    batch(parse('SELECT id FROM items WHERE id = 3', 's'), bind({ statement: 's', portal: 'p' })),
    batch(execute('p')),
    batch(bind({ statement: 's' })),
    batch(execute()),
    batch(run('BEGIN'), bind({ statement: 's', portal: 'p' }), run('COMMIT'), execute('p')),
  ]),

  ...[
    "SET work_mem = '5MB'",
    'SELECT id FROM items ORDER BY id',
    'SELECT 1',
    'FETCH nowhere',
    '',
    'EXPLAIN (COSTS OFF) SELECT 1',
  ].map((sql) =>
    story(`a portal that was never run ends with Sync: ${sql}`, [
      batch(parse(sql, 's'), bind({ statement: 's' }), bind({ statement: 's', portal: 'p' })),
      batch(execute()),
      batch(execute('p')),
      asks('SHOW work_mem'),
    ]),
  ),

  // Errors
  story('an error: everything up to Sync is skipped, a Query too', [
    send(...run('SELECT 1/0'), ...run('SELECT 2'), query('SELECT 3'), query('SELECT 4'), sync()),
    ready(),
    asks('SELECT 5'),
  ]),
  story('an error is told at once, before Sync', [
    send(parse('SELEC')),
    reads('E'),
    send(...run('SELECT 1'), flush()),
    silence(),
    send(sync()),
    ready(),
  ]),
  story('an error at Parse, Bind and Execute undoes what the pipeline has written', [
    batch(run('INSERT INTO items (id) VALUES ($1)', ['800']), parse('SELEC')),
    batch(run('INSERT INTO items (id) VALUES ($1)', ['801']), bind({ statement: 'nope' })),
    batch(run('INSERT INTO items (id) VALUES ($1), ($2)', ['802', '803']), run('SELECT 1/0')),
    batch(run('SELECT id FROM items WHERE id > 799')),
  ]),
  story('Terminate while everything is skipped', [
    send(parse('SELEC'), terminate()),
    reads('E'),
    closed,
  ]),
  story('errors in the texts of Parse', [
    ...[
      'SELEC',
      'SELECT 1; SELECT 2',
      'SELECT missing FROM items WHERE id = $1',
      'SELECT missing FROM items ORDER BY id',
      'SELECT * FROM nowhere',
      "SELECT 'ä', nofunc()",
      'SELECT $0',
      'INSERT INTO items (id, nocolumn) VALUES ($1, $2), ($3, $4)',
      "SELECT id FROM items WHERE feeling = 'angry' ORDER BY id",
      'SELECT count(*), missing FROM items GROUP BY label',
      'SELECT $1 + $2',
      'SELECT pg_typeof($1)',
      "SELECT 'x",
    ].flatMap((sql) => [batch(parse(sql), describe('S')), batch(run(sql))]),
  ]),
  story('errors in Bind', [
    batch(parse('SELECT name FROM items WHERE id = $1 AND price = $2', 's')),
    ...(
      [
        { values: [] },
        { values: ['1'] },
        { values: ['1', '2', '3'] },
        { values: ['x', '2'] },
        { values: ['1', 'x'] },
        { values: ['1', ''] },
        { values: ['99999999999999999999', '2'] },
        { values: ['1', '2'], formats: [7] },
        { values: ['1', '2'], formats: [0, 7] },
        { values: ['1', '2'], formats: [65_535] },
        { values: ['1', '2'], formats: [0, 0, 0] },
        { values: ['1', '2'], resultFormats: [7] },
        { values: ['1', '2'], resultFormats: [0, 0] },
        { values: [Buffer.alloc(4), '2'], formats: [1, 0] },
        { values: [bigint(1), Buffer.alloc(3)], formats: [1] },
        { values: [Buffer.from([0xff]), '2'] },
        { values: ['1', null] },
      ] as const
    ).map((options) => batch(bind({ statement: 's', ...options }), describe('P'), execute())),
  ]),
  story('errors in Bind of a statement on several shards', [
    batch(parse('SELECT name, feeling FROM items WHERE price > $1 AND name > $2 ORDER BY id', 's')),
    ...(
      [
        { values: [] },
        { values: ['1'] },
        { values: ['1', '2'], formats: [7] },
        { values: ['1', '2'], formats: [0, 0, 0] },
        { values: ['1', null] },
        { values: ['1', ''], resultFormats: [1, 0] },
        { values: ['1', ''], resultFormats: [1] },
      ] as const
    ).map((options) => batch(bind({ statement: 's', ...options }), describe('P'), execute())),
  ]),
  story('broken messages are errors, and the session lives', [
    ...[
      frame('P'),
      frame('P', 's'),
      frame('P', 's', 'SELECT 1'),
      frame('P', 's', 'SELECT 1', int16(1)),
      frame('P', 's', 'SELECT 1', int16(0), Buffer.from('x')),
      frame('B'),
      frame('B', 'p'),
      frame('B', 'p', '', int16(0)),
      frame('B', 'p', '', int16(0), int16(1), int32(9), Buffer.from('x'), int16(0)),
      frame('B', 'p', '', int16(0), int16(1), int32(-2), int16(0)),
      frame('B', 'p', '', int16(0), int16(1), bindValue('1')),
      frame('E'),
      frame('E', ''),
      frame('E', '', int16(1)),
      frame('E', '', int32(0), Buffer.from('x')),
      frame('D'),
      frame('C'),
      frame('C', Buffer.from('S')),
    ].flatMap((message) => [send(parse('SELECT $1::text'), message, sync()), ready()]),
    asks('SELECT 1'),
  ]),

  story('names behind an error in a pipeline are what they were', [
    batch(parse('SELECT 1', 'a'), parse('SELECT 2', 'b'), parse('SELECT 3')),
    batch(
      parse('SELECT 4', 'c'),
      run('SELECT 1/0'),
      close('S', 'a'),
      parse('SELECT 5', 'd'),
      parse('SELECT 6'),
    ),
    batch(parse('SELECT 7', 'c')),
    batch(parse('SELECT 8', 'a')),
    batch(bind({ statement: 'd' })),
    batch(bind(), execute()),
    batch(bind({ statement: 'c' }), execute()),
  ]),
  story('a portal whose name is taken, on another shard too', [
    batch(
      parse('SELECT name FROM items WHERE id = $1', 's'),
      bind({ statement: 's', portal: 'p', values: ['3'] }),
      bind({ statement: 's', portal: 'p', values: ['4'] }),
    ),
    asks('BEGIN', 'SAVEPOINT a'),
    batch(bind({ statement: 's', portal: 'p', values: ['3'] })),
    batch(parse('SELECT value FROM settings'), bind({ portal: 'p' })),
    asks('ROLLBACK TO a'),
    batch(bind({ statement: 's', portal: 'p', values: ['4'] }), execute('p')),
    asks('ROLLBACK'),
  ]),
  story('COMMIT outside BEGIN ends the portals of its pipeline', [
    batch(parse('COMMIT', 's'), bind({ statement: 's' }), execute(), execute()),
    batch(run('SELECT 1'), parse('ROLLBACK'), bind({ portal: 'p' }), execute('p'), execute('p')),
  ]),
  story('DISCARD ALL commits at once, so portals of its pipeline end', [
    batch(
      parse('DISCARD ALL'),
      bind({ portal: 'p' }),
      execute('p'),
      bind({ portal: 'p' }),
      execute('p'),
    ),
  ]),
  story(
    'writes that are executed once more at their end',
    [
      ...[
        'UPDATE items SET name = name RETURNING id',
        'UPDATE items SET name = name',
        'UPDATE items SET id = id + 100 WHERE id = 77',
        "UPDATE countries SET name = name WHERE code = 'at' RETURNING code",
        'DELETE FROM parts WHERE n = 99 RETURNING n',
      ].flatMap((sql) => [batch(parse(sql), bind(), execute(), execute())]),
    ],
    anyOrder,
  ),
  story(
    'RETURNING that fails is not described by a Query',
    [
      asks('INSERT INTO items (id, price) VALUES (4, 0), (2, 3) RETURNING id'),
      asks('UPDATE items SET price = price - 4 RETURNING id'),
    ],
    { codesOnly: true },
  ),
  story('parameters that an error on several shards takes back', [
    asks('BEGIN', "SET LOCAL TimeZone = 'Asia/Tokyo'", 'SELECT count(*) FROM items'),
    asks('SELECT name FROM items WHERE id = 3; SELECT 1 / (price - 3) FROM items ORDER BY 1'),
  ]),
  story('notices of functions that are computed beforehand, in a script', [
    asks("UPDATE parts SET amount = amount; SELECT told(9, 'x')"),
    asks("UPDATE parts SET amount = amount; SELECT told(5, 'x')"),
  ]),
  story('what is wrong with the values of a Bind comes behind what is wrong with its names', [
    batch(bind({ statement: 'nope', values: ['1'], formats: [7] })),
    batch(parse('SELECT $1::int4'), bind({ values: ['1'], formats: [7] })),
  ]),

  // Flush, Sync, pipelines
  story('Flush alone, Sync alone', [
    send(flush(), flush()),
    silence(),
    batch(),
    batch(),
    send(sync(), sync(), sync()),
    ready(3),
    send(parse('SELECT 1'), flush()),
    reads('1'),
    send(bind(), flush()),
    reads('2'),
    send(execute(), flush()),
    reads('C'),
    send(sync()),
    ready(),
  ]),
  story('several Syncs in one write', [
    send(
      ...['1', '2', '3', '4'].flatMap((id) => [...run(statements['on one shard'], [id]), sync()]),
    ),
    ready(4),
    send(
      ...run('SELECT 1/0'),
      sync(),
      ...run(statements.merged, ['3']),
      sync(),
      ...run('SELECT 2'),
      sync(),
    ),
    ready(3),
  ]),
  story('BEGIN, writes, reads and COMMIT in one pipeline', [
    batch(
      run('BEGIN'),
      run("UPDATE items SET name = 'p' WHERE id = $1", ['3']),
      run('SELECT name FROM items WHERE id = 3'),
      run('SELECT count(*) FROM items'),
      run('ROLLBACK'),
      run('SELECT name FROM items WHERE id = 3'),
    ),
    batch(run('BEGIN'), run('SELECT 1/0'), run('ROLLBACK')),
    batch(run('SELECT 1')),
    batch(run('ROLLBACK')),
    batch(run('COMMIT')),
    batch(
      run('BEGIN'),
      run('BEGIN'),
      run('SAVEPOINT a'),
      run('ROLLBACK TO a'),
      run('COMMIT'),
      run('COMMIT'),
    ),
  ]),
  story('settings in a pipeline', [
    batch(
      run("SET TimeZone = 'Asia/Tokyo'"),
      run('SHOW TimeZone'),
      run('SELECT added FROM items WHERE id = 3'),
    ),
    batch(run("SET TimeZone = 'UTC'"), run('SELECT 1/0')),
    batch(run('SHOW TimeZone')),
    batch(
      run("SET datestyle = 'German'"),
      run('SELECT id, added FROM items ORDER BY id LIMIT 2'),
      run('RESET ALL'),
    ),
    batch(
      run('SELECT set_config($1, $2, false)', ['TimeZone', 'Europe/Rome']),
      run('SHOW TimeZone'),
    ),
    batch(
      run('BEGIN'),
      run("SET LOCAL TimeZone = 'UTC'"),
      run('SELECT added FROM items WHERE id = 3'),
      run('COMMIT'),
    ),
    batch(run('DISCARD ALL')),
  ]),
  story('a Query between the messages of a pipeline that has only parsed', [
    send(parse('SELECT 1', 's'), query('SELECT 2'), bind({ statement: 's' }), execute(), sync()),
    ready(2),
  ]),
  story('empty statements', [
    batch(run('')),
    batch(run('-- nothing'), run(' ; '), run(';;')),
    batch(parse('', 's'), describe('S', 's'), bind({ statement: 's' }), execute(), execute()),
    asks('BEGIN', 'SELECT 1/0', ''),
    batch(run('')),
    batch(parse('', 't'), describe('S', 't'), bind({ statement: 's' }), execute()),
    asks('ROLLBACK'),
  ]),
  story('a portal may be run with a negative limit', [
    batch(parse('SELECT id FROM items ORDER BY id LIMIT 3'), bind(), execute('', -1)),
    batch(parse('SELECT id FROM items WHERE id = 3'), bind(), execute('', -5)),
  ]),
  story('writes with a row limit', [
    asks('BEGIN'),
    batch(
      parse('UPDATE items SET name = name WHERE id > 9 RETURNING id IS NOT NULL'),
      bind({ portal: 'w' }),
      execute('w', 1),
      execute('w', 1),
      execute('w', 0),
      execute('w', 0),
    ),
    batch(parse('UPDATE items SET name = name WHERE id > 9'), bind(), execute('', 1)),
    batch(parse('SHOW work_mem'), bind(), execute('', 1), execute('', 1)),
    batch(parse('EXPLAIN (COSTS OFF) SELECT 1'), bind(), execute('', 1), execute('', 1)),
    batch(parse('VALUES (1), (2), (3)'), bind(), execute('', 2), execute('', 2)),
    asks('ROLLBACK'),
  ]),
  story('a simple Query ends the unnamed portal', [
    asks('BEGIN'),
    batch(parse('SELECT id FROM items ORDER BY id'), bind(), execute('', 2)),
    asks('SELECT 1'),
    batch(execute('', 2)),
    asks('ROLLBACK'),
  ]),

  // Prepared statements and what becomes of their tables
  story('a statement whose table has changed: the result type must not', [
    asks('CREATE TABLE changed (a int, b text)', "INSERT INTO changed VALUES (1, 'x')"),
    batch(parse('SELECT * FROM changed', 's'), describe('S', 's')),
    batch(bind({ statement: 's' }), describe('P'), execute()),
    asks('ALTER TABLE changed ADD c int'),
    batch(bind({ statement: 's' }), execute()),
    batch(describe('S', 's')),
    asks('ALTER TABLE changed DROP c'),
    batch(bind({ statement: 's' }), execute()),
    asks('ALTER TABLE changed ALTER a TYPE text'),
    batch(bind({ statement: 's' }), execute()),
    asks('DROP TABLE changed'),
    batch(bind({ statement: 's' }), execute()),
    batch(describe('S', 's')),
    batch(parse('SELECT * FROM changed', 't')),
  ]),
  story(
    'a statement on one shard whose table has changed',
    [
      batch(parse('SELECT * FROM items WHERE id = $1', 's'), describe('S', 's')),
      batch(bind({ statement: 's', values: ['3'] }), execute()),
      asks('ALTER TABLE items ADD extra int'),
      batch(bind({ statement: 's', values: ['3'] }), execute()),
      batch(describe('S', 's')),
      batch(
        parse('SELECT * FROM items WHERE id = $1', 't'),
        bind({ statement: 't', values: ['4'] }),
        describe('P'),
        execute(),
      ),
      asks('ALTER TABLE items DROP extra'),
      batch(bind({ statement: 's', values: ['3'] }), describe('P'), execute()),
      batch(bind({ statement: 't', values: ['3'] }), describe('P'), execute()),
    ],
    { deliveries: ['whole'] },
  ),
  story(
    'a statement on several shards whose table has changed',
    [
      batch(parse('SELECT * FROM items WHERE price > $1 ORDER BY id', 's'), describe('S', 's')),
      batch(bind({ statement: 's', values: ['12'] }), execute()),
      asks('ALTER TABLE items ADD extra int'),
      batch(bind({ statement: 's', values: ['12'] }), execute()),
      batch(describe('S', 's')),
      batch(
        parse('SELECT * FROM items WHERE price > $1 ORDER BY id', 't'),
        bind({ statement: 't', values: ['12'] }),
        describe('P'),
        execute(),
      ),
      asks('ALTER TABLE items DROP extra'),
      batch(bind({ statement: 's', values: ['12'] }), describe('P'), execute()),
      batch(bind({ statement: 't', values: ['12'] }), describe('P'), execute()),
    ],
    { deliveries: ['whole'] },
  ),
  story(
    'a statement prepared under another search path',
    [
      asks('CREATE SCHEMA other', 'CREATE TABLE other.settings (key int)'),
      batch(parse('SELECT * FROM settings LIMIT 0', 's'), describe('S', 's')),
      asks('SET search_path = other'),
      batch(bind({ statement: 's' }), describe('P'), execute()),
      batch(parse('SELECT * FROM settings LIMIT 0', 't'), describe('S', 't')),
      asks('RESET search_path'),
      batch(bind({ statement: 't' }), describe('P'), execute()),
      asks('DROP SCHEMA other CASCADE'),
    ],
    { deliveries: ['whole'] },
  ),
  story('DEALLOCATE and DISCARD by SQL of statements of the protocol', [
    batch(parse('SELECT 1', 'a'), parse('SELECT 2', 'b'), parse('SELECT 3', 'c')),
    asks('DEALLOCATE a'),
    batch(bind({ statement: 'a' })),
    batch(bind({ statement: 'b' }), execute()),
    batch(run('DEALLOCATE b')),
    batch(bind({ statement: 'b' })),
    asks('EXECUTE c', 'PREPARE d AS SELECT id, feeling FROM items WHERE id = $1'),
    batch(describe('S', 'd')),
    batch(bind({ statement: 'd', values: ['3'] }), describe('P'), execute()),
    batch(run('EXECUTE d (4)')),
    asks('DEALLOCATE ALL'),
    batch(bind({ statement: 'c' })),
    batch(describe('S', 'd')),
  ]),
  story('cursors of SQL through the protocol', [
    asks('BEGIN', 'DECLARE c CURSOR FOR SELECT id, feeling FROM items ORDER BY id'),
    batch(run('FETCH 2 FROM c')),
    batch(
      parse('FETCH 2 FROM c', 's'),
      describe('S', 's'),
      bind({ statement: 's' }),
      describe('P'),
      execute(),
    ),
    batch(describe('P', 'c')),
    batch(execute('c', 2)),
    batch(close('P', 'c'), run('FETCH c')),
    asks('ROLLBACK'),
  ]),
  story(
    'large numbers of parameters',
    [
      batch(
        run(`SELECT ${numbered(500, (n) => `$${n}::int4`).join(' + ')}`, numbered(500, String)),
      ),
      batch(
        run(
          `SELECT count(*) FROM items WHERE id IN (${numbered(500, (n) => `$${n}`).join()})`,
          numbered(500, String),
        ),
      ),
    ],
    { deliveries: ['whole', 'coalesced'] },
  ),
  story('two clients with statements of the same name', [
    batch(parse('SELECT id FROM items WHERE id = 3', 's')),
    by('B', batch(parse('SELECT name FROM items WHERE id = 4', 's'))),
    batch(bind({ statement: 's' }), describe('P'), execute()),
    by('B', batch(bind({ statement: 's' }), describe('P'), execute(), close('S', 's'))),
    batch(bind({ statement: 's' }), describe('P'), execute()),
  ]),
  story('a client that vanishes within a pipeline', [
    send(
      parse('SELECT 1', 's'),
      bind({ statement: 's' }),
      parse('SELECT pg_sleep(0.1), id FROM items'),
    ),
    vanish,
  ]),
]);

function bigint(value: number): Buffer {
  const bytes = Buffer.alloc(8);
  bytes.writeBigInt64BE(BigInt(value));
  return bytes;
}

function numbered<T>(count: number, make: (n: number) => T): T[] {
  return Array.from({ length: count }, (_, i) => make(i + 1));
}
