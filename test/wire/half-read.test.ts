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
} from '../support/frontend-bytes.js';
import {
  asks,
  batch,
  by,
  closed,
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

/** Queries of several rows that are sorted, one for each way to be answered on several shards, and of one. */
const queries = {
  'of one shard': 'SELECT item_id, n, amount FROM parts WHERE item_id = 3 ORDER BY n',
  merged: 'SELECT item_id, n, amount FROM parts ORDER BY amount DESC, n',
  aggregated: 'SELECT label, count(*), max(feeling) FROM items GROUP BY label ORDER BY label',
  gathered:
    'SELECT a.id, b.id FROM items a JOIN items b ON a.label = b.label AND a.id < b.id ORDER BY 1, 2',
} as const;

const forms = { deliveries: ['whole', 'coalesced'] } as const;

function each(title: string, make: (sql: string) => Story['steps']): Story[] {
  return Object.entries(queries).map(([name, sql]) =>
    story(`${title}: a query ${name}`, make(sql), forms),
  );
}

/** Portal `p` of the query, of which so many rows have been read. */
function halfRead(sql: string, rowsMax = 1): Buffer[] {
  return [parse(sql, 'q'), bind({ statement: 'q', portal: 'p' }), execute('p', rowsMax)];
}

const types = [
  ...['bool', 'int2', 'int4', 'int8', 'float4', 'float8', 'numeric', 'text', 'varchar', 'bpchar'],
  ...['name', 'bytea', 'uuid', 'json', 'jsonb', 'xml', 'date', 'time', 'timetz', 'timestamp'],
  ...['timestamptz', 'interval', 'inet', 'cidr', 'macaddr', 'macaddr8', 'bit', 'varbit', 'money'],
  ...['point', 'box', 'path', 'polygon', 'circle', 'lseg', 'line', 'tsvector', 'tsquery', 'oid'],
  ...['regclass', 'regtype', 'int4range', 'numrange', 'daterange', 'tstzrange', 'int8multirange'],
  ...['pg_lsn', 'tid', 'xid', 'cid', '"char"', 'mood', 'positive', 'jsonpath', 'refcursor'],
];

/** A text that a value of the type can be. */
const samples: Readonly<Record<string, string>> = {
  bool: 't',
  bytea: '\\x00ff',
  uuid: '00000000-0000-4000-8000-000000000007',
  json: '{"a": [1, null]}',
  jsonb: '{"a": [1, null]}',
  xml: '<a>b</a>',
  date: '2026-02-03',
  time: '04:05:06.7',
  timetz: '04:05:06.7+02',
  timestamp: '2026-02-03 04:05:06.7',
  timestamptz: '2026-02-03 04:05:06.7+00',
  interval: '1 mon 2 days 03:04:05',
  inet: '10.0.0.7/8',
  cidr: '10.0.0.0/8',
  macaddr: '01:02:03:04:05:06',
  macaddr8: '01:02:03:04:05:06:07:08',
  bit: '1',
  varbit: '10101',
  point: '(1,2)',
  box: '(3,4),(1,2)',
  path: '((1,2),(3,4))',
  polygon: '((1,2),(3,4),(5,6))',
  circle: '<(1,2),3>',
  lseg: '[(1,2),(3,4)]',
  line: '{1,2,3}',
  tsvector: 'a:1 b:2',
  tsquery: 'a & b',
  regclass: 'pg_class',
  regtype: 'integer',
  int4range: '[1,5)',
  numrange: '(1.5,2.5]',
  daterange: '[2026-02-03,2026-02-05)',
  tstzrange: '[2026-02-03,2026-02-05)',
  int8multirange: '{[1,3),[5,9)}',
  pg_lsn: '1/2',
  tid: '(1,2)',
  mood: 'ok',
  jsonpath: '$.a[*]',
};

/** Binary arrays of them hold a type's OID, which each server has given itself. */
const ownTypes = ['mood', 'positive'];

/** Rows with a column of each type, and one of its array type; null in the first. */
function everyType(order: string): string {
  const columns = types.map((type, i) => {
    const text = samples[type] ?? '7';
    const value = `'${text}'::${type}`;
    const array = ownTypes.includes(type) ? '' : `, ARRAY[${value}, NULL] AS a${i}`;
    return `CASE WHEN id > 1 THEN ${value} END AS c${i}${array}`;
  });
  return `SELECT id, ${columns.join(', ')} FROM items WHERE id < 5 ${order}`;
}

tell('wire_half_read', [
  ...each('a portal that is closed half read, while others go on', (sql) => [
    asks('BEGIN'),
    batch(halfRead(sql), bind({ statement: 'q', portal: 'p2' }), execute('p2', 1)),
    batch(close('P', 'p'), execute('p2', 1), execute('p', 1)),
    batch(execute('p2', 1)),
    asks('ROLLBACK'),
  ]),
  ...each('a portal that is closed half read, and bound again, in one pipeline', (sql) => [
    batch(
      halfRead(sql),
      close('P', 'p'),
      bind({ statement: 'q', portal: 'p' }),
      execute('p', 2),
      close('P', 'p'),
      close('P', 'p'),
      run('SELECT 1'),
      bind({ statement: 'q', portal: 'p' }),
      describe('P', 'p'),
      execute('p'),
    ),
    batch(execute('p')),
  ]),
  ...each('a portal that is described and run half read in a transaction that fails', (sql) => [
    asks('BEGIN'),
    batch(halfRead(sql), describe('P', 'p')),
    batch(run('SELECT 1/0'), describe('P', 'p'), execute('p')),
    batch(describe('P', 'p')),
    batch(execute('p', 1)),
    batch(describe('S', 'q')),
    batch(bind({ statement: 'q', portal: 'other' })),
    asks('ROLLBACK'),
    batch(describe('P', 'p')),
    batch(execute('p', 1)),
  ]),
  ...each('a portal half read behind ROLLBACK TO a savepoint older than it is', (sql) => [
    asks('BEGIN; SAVEPOINT a'),
    batch(halfRead(sql)),
    asks('ROLLBACK TO a'),
    batch(execute('p', 1)),
    asks('ROLLBACK TO a'),
    batch(bind({ statement: 'q', portal: 'p' }), execute('p', 1), run('SAVEPOINT b')),
    batch(execute('p', 1), run('RELEASE a'), execute('p', 1)),
    asks('COMMIT'),
    batch(execute('p', 1)),
  ]),
  ...each('a portal half read, and writes beside it that it does not see', (sql) => [
    asks('BEGIN'),
    batch(halfRead(sql)),
    asks("UPDATE parts SET amount = 999; UPDATE items SET label = 'gone'"),
    batch(execute('p', 1), run('SELECT max(amount) FROM parts'), execute('p')),
    asks('ROLLBACK'),
  ]),
  ...each('Sync, COMMIT and ROLLBACK end a portal that is half read', (sql) => [
    batch(halfRead(sql)),
    batch(execute('p', 1)),
    batch(run('BEGIN'), halfRead(sql).slice(1), run('COMMIT'), execute('p', 1)),
    batch(run('BEGIN'), halfRead(sql).slice(1), run('ROLLBACK')),
    batch(execute('p', 1)),
    batch(run('BEGIN'), halfRead(sql).slice(1), run('COMMIT AND CHAIN'), execute('p', 1)),
    asks('ROLLBACK'),
  ]),
  ...each('Terminate and vanishing half read', (sql) => [
    by('B', asks('BEGIN'), batch(halfRead(sql)), send(terminate()), closed),
    by('D', send(...halfRead(sql), flush()), reads('s'), send(terminate()), closed),
    by('E', send(...halfRead(sql), flush()), reads('s'), vanish),
    by('F', send(query(sql), terminate()), closed),
    by('G', send(...run('SELECT 1/0'), ...halfRead(sql), terminate()), closed),
    by('H', asks('BEGIN', 'SELECT 1/0'), send(terminate()), closed),
    batch(halfRead(sql)),
  ]),
  ...each('a client that sends Flush and no Sync', (sql) => [
    send(...halfRead(sql), flush()),
    reads('s'),
    send(execute('p', 1), flush(), flush()),
    reads('s'),
    send(describe('P', 'p'), flush()),
    reads('T'),
    send(close('P', 'p'), flush()),
    reads('3'),
    send(execute('p', 1), flush()),
    reads('E'),
    send(flush(), ...halfRead(sql), flush()),
    silence(),
    send(sync()),
    ready(),
  ]),
  ...each('Syncs in one write, with errors between them', (sql) => [
    send(
      ...halfRead(sql),
      sync(),
      sync(),
      execute('p', 1),
      describe('S', 'q'),
      sync(),
      describe('S', 'q'),
      sync(),
      ...run('SELECT 1/0'),
      ...halfRead(sql),
      sync(),
      sync(),
      bind({ statement: 'q', values: ['1'] }),
      sync(),
      bind({ statement: 'q', resultFormats: [1, 1, 1, 1] }),
      sync(),
      bind({ statement: 'q' }),
      execute('', -1),
      sync(),
      query('SELECT 2'),
      sync(),
    ),
    ready(11),
    asks('SELECT 3'),
  ]),
  ...each('empty statements and portals between the parts', (sql) => [
    asks('BEGIN'),
    batch(
      run('', [], { portal: 'void' }),
      halfRead(sql),
      execute('void'),
      describe('P', 'void'),
      execute('p', 1),
      run('-- nothing'),
      execute('p', 1),
    ),
    asks('', '; ;'),
    batch(execute('p', 1)),
    asks('COMMIT'),
  ]),
  ...each('an error of a later portal leaves nothing of an earlier one', (sql) => [
    batch(halfRead(sql), run('SELECT 1/(id - 7) FROM items ORDER BY id'), execute('p', 1)),
    batch(execute('p', 1)),
    batch(halfRead(sql).slice(1), run('SELECT nothing FROM items'), execute('p')),
    asks('SELECT 1'),
  ]),
  ...['text', 'binary'].flatMap((format) =>
    ['ORDER BY id', 'ORDER BY id DESC LIMIT 3', 'AND id = 3'].map((order) =>
      story(
        `values of all types ${order}, as ${format}`,
        [
          asks("SET TimeZone = 'UTC'"),
          batch(run(everyType(order), [], { resultFormats: [format === 'text' ? 0 : 1] })),
        ],
        forms,
      ),
    ),
  ),
  story('ParameterStatus of what is set in transactions over several shards', [
    asks(
      'BEGIN',
      'SELECT count(*) FROM items',
      "SET TimeZone = 'Asia/Tokyo'; SELECT max(added) FROM items",
      "SET LOCAL DateStyle = 'SQL, DMY'; SELECT max(added) FROM items",
      'SELECT added FROM items ORDER BY id LIMIT 1',
      'SAVEPOINT a',
      "SET IntervalStyle = 'iso_8601'",
      'ROLLBACK TO a',
      'SELECT added FROM items WHERE id = 3',
      'COMMIT',
      'SELECT max(added) FROM items',
      "BEGIN; SET TimeZone = 'Asia/Tokyo'",
      'SELECT 1/0',
      'ROLLBACK',
      'RESET ALL',
      "SELECT set_config('TimeZone', 'Europe/Paris', false)",
      'SELECT max(added) FROM items',
      'DISCARD ALL',
    ),
    batch(
      run('BEGIN'),
      run("SET LOCAL TimeZone = 'UTC'"),
      run('SELECT max(added) FROM items'),
      run('COMMIT'),
      run("SET DateStyle = 'German'"),
      run('SELECT max(added) FROM items'),
      run('SELECT 1/0'),
    ),
    asks('SHOW DateStyle', 'RESET ALL'),
  ]),
  story(
    'notices and warnings of a function that runs on one of several shards',
    [
      asks('SELECT count(told(id, name)) FROM items WHERE id = 3 OR id < 0'),
      batch(run('SELECT id, told(id, name) FROM items WHERE id = 3 OR id < 0')),
      asks('SELECT told(id, name) FROM items WHERE id = 9 OR id < 0 ORDER BY id'),
      asks('SET client_min_messages = warning'),
      batch(run('SELECT told(id, name) FROM items WHERE id = 3 OR id < 0 ORDER BY id')),
    ],
    forms,
  ),
  ...['ROLLBACK', 'COMMIT', 'SELECT 1/0'].map((end) =>
    story(
      `settings in front of BEGIN are the transaction's, which ends by ${end}`,
      [
        asks("SET TimeZone = 'Asia/Tokyo'; BEGIN; SELECT count(*) FROM items"),
        asks('SELECT max(added) FROM items WHERE id < 9', end, 'ROLLBACK', 'SHOW TimeZone'),
        asks('RESET ALL', "SET TimeZone = 'Asia/Tokyo'; SELECT added FROM items WHERE id = 3"),
        asks("SET TimeZone = 'UTC'; BEGIN; SAVEPOINT a; SET TimeZone = 'GMT'; ROLLBACK TO a"),
        asks('SELECT max(added) FROM items', end, 'ROLLBACK', 'SHOW TimeZone', 'RESET ALL'),
        batch(
          run("SET TimeZone = 'Asia/Tokyo'"),
          run('BEGIN'),
          run('SELECT max(added) FROM items'),
        ),
        asks("SET LOCAL DateStyle = 'German'; SELECT max(added) FROM items"),
        asks(end, 'ROLLBACK', 'SHOW TimeZone', 'SHOW DateStyle', 'RESET ALL'),
        batch(run("SET TimeZone = 'Asia/Tokyo'"), run('END')),
        asks('SHOW TimeZone', 'RESET ALL'),
      ],
      forms,
    ),
  ),
  ...['COMMIT AND CHAIN', 'ROLLBACK AND CHAIN'].map((end) =>
    story(
      `${end} in a pipeline and in a script: what follows is in a transaction`,
      [
        batch(run('BEGIN'), run('SELECT id FROM items ORDER BY id'), run(end)),
        asks("INSERT INTO settings VALUES ('chained', '')", 'ROLLBACK'),
        asks(`BEGIN; UPDATE items SET name = name; ${end}; DELETE FROM parts`, 'ROLLBACK'),
        batch(
          run('BEGIN ISOLATION LEVEL READ COMMITTED READ ONLY'),
          halfRead(queries.merged),
          run(end),
          run('INSERT INTO items (id) VALUES (600)'),
        ),
        asks('ROLLBACK'),
        batch(run('BEGIN'), run('UPDATE items SET name = name'), run(end), run('SELECT 1/0')),
        asks(
          'SELECT 1',
          'ROLLBACK',
          'SELECT count(*) FROM parts',
          'SELECT * FROM settings ORDER BY key',
        ),
      ],
      forms,
    ),
  ),
]);
