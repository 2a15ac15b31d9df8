import {
  bind,
  close,
  copyData,
  describe,
  execute,
  flush,
  parse,
  query,
  sync,
} from '../support/frontend-bytes.js';
import { frame } from '../support/wire-messages.js';
import { asks, batch, closed, reads, ready, run, send, story } from './kit/story.js';
import { tell } from './kit/tell.js';

const whole = { deliveries: ['whole'] } as const;
const coalesced = { deliveries: ['coalesced'] } as const;

/** Of a message that holds no text or values: 10,000 bytes are the most. */
const LARGEST_NAME = 10_000 - 6;
/** OID of the type. */
const INT4 = 23;
/** Of a text, in bytes; see parse-limits.ts. */
const LONG = 'x'.repeat(17 * 1024 * 1024);
const [longName, likeIt] = ['n'.repeat(100), 'n'.repeat(99)];
const [beyondAscii, likeThat] = ['é'.repeat(40), 'é'.repeat(39)];

function numbered<T>(count: number, make: (n: number) => T): T[] {
  return Array.from({ length: count }, (_, i) => make(i + 1));
}

tell('wire_sizes', [
  // Names: the first 63 bytes tell them apart
  story('names of statements and portals are cut', [
    batch(
      parse('SELECT $1::int', longName),
      describe('S', likeIt),
      bind({ statement: likeIt, portal: longName, values: ['1'] }),
      describe('P', likeIt),
      execute(longName),
    ),
    batch(parse('SELECT 2', likeIt)),
    batch(close('S', likeIt)),
    batch(bind({ statement: longName, values: ['1'] })),
    batch(parse('SELECT 1', beyondAscii), bind({ statement: likeThat }), execute()),
    batch(parse('SELECT 1', likeThat)),
  ]),
  story('names of portals of several shards are cut', [
    batch(
      parse('SELECT id FROM items ORDER BY id', longName),
      bind({ statement: likeIt, portal: longName }),
      describe('P', likeIt),
      execute(likeIt, 3),
      bind({ statement: likeIt, portal: likeIt }),
    ),
  ]),
  story(
    'names of SQL are cut with a notice, wherever the statement runs',
    [
      asks(
        `SELECT 1 AS ${longName}`,
        `SELECT id AS ${longName} FROM items ORDER BY id LIMIT 1`,
        `SELECT count(*) AS "${beyondAscii} ""${longName}" FROM items`,
        `SELECT a.id AS ${longName.toUpperCase()} FROM items a JOIN items b ON a.label = b.label ORDER BY 1 LIMIT 1`,
        `BEGIN; SAVEPOINT ${longName}; ROLLBACK TO ${longName}; RELEASE ${longName}; COMMIT`,
        'BEGIN',
        'SELECT count(*) FROM items',
        `SAVEPOINT ${longName}`,
        `ROLLBACK TO ${longName}x`,
        `DECLARE ${longName} CURSOR FOR SELECT id FROM items ORDER BY id`,
        `FETCH ${longName}`,
        `CLOSE ${longName}`,
        'ROLLBACK',
        `LISTEN ${longName}`,
        `UNLISTEN ${longName}`,
        `PREPARE ${longName} AS SELECT id FROM items ORDER BY id LIMIT 1`,
        `EXECUTE ${longName}`,
        `DEALLOCATE ${longName}`,
        `CREATE TABLE changed (${longName} int)`,
        `INSERT INTO items (id) VALUES (900), (901) RETURNING id AS ${longName}`,
        `UPDATE items SET ${longName} = 1`,
        `DELETE FROM items WHERE id > 899 AND 'a ${longName}' > $$${longName}$$`,
        `COPY (SELECT id AS ${longName} FROM items ORDER BY id LIMIT 1) TO STDOUT (HEADER, FORMAT csv)`,
        `SELECT 1 AS ${longName}; SELECT count(*) AS ${likeIt} FROM items /* ${longName} */`,
        `SET client_min_messages = warning; SELECT count(*) AS ${longName} FROM items`,
        `LISTEN ${longName}`,
        'RESET ALL; UNLISTEN *; DROP TABLE changed',
      ),
    ],
    { ...whole, anyOrder: true },
  ),
  story(
    'names of SQL are cut with a notice by each Parse, and by nothing else',
    [
      batch(run(`SELECT id AS ${longName} FROM items WHERE id = $1`, ['3'])),
      batch(run(`SELECT id AS ${longName} FROM items WHERE id = $1`, ['3'])),
      batch(parse(`SELECT id AS ${longName} FROM items ORDER BY id LIMIT 1`, 's')),
      batch(bind({ statement: 's' }), describe('P'), execute(), bind({ statement: 's' })),
      batch(
        run('SELECT 1'),
        parse(`SELECT id AS ${longName} FROM items ORDER BY id LIMIT 1`, 't'),
        parse(`LISTEN ${longName}`),
        run(`SELECT count(*) AS ${longName} FROM items`),
      ),
      batch(run('BEGIN'), run(`SAVEPOINT ${longName}`), run('ROLLBACK')),
      asks('SET client_min_messages = error'),
      batch(run('COMMIT'), run(`SELECT count(*) AS ${longName} FROM items`)),
      asks('COMMIT'),
    ],
    whole,
  ),
  story(
    'names of ten thousand bytes',
    [
      batch(parse('SELECT 1', 'x'.repeat(20_000))),
      batch(bind({ statement: 'x'.repeat(20_000), portal: 'y'.repeat(20_000) })),
      batch(describe('S', 'x'.repeat(LARGEST_NAME))),
      batch(close('S', 'x'.repeat(LARGEST_NAME))),
      batch(describe('S', 'x'.repeat(63))),
    ],
    whole,
  ),

  // Messages
  ...[
    ['Close', close('S', 'x'.repeat(LARGEST_NAME + 1))] as const,
    ['Describe', describe('S', 'x'.repeat(LARGEST_NAME + 1))] as const,
    ['Execute', execute('x'.repeat(LARGEST_NAME))] as const,
    ['Sync', frame('S', Buffer.alloc(9_997))] as const,
    ['Flush', frame('H', Buffer.alloc(20_000))] as const,
    ['CopyDone', frame('c', Buffer.alloc(20_000))] as const,
    ['CopyFail', frame('f', Buffer.alloc(20_000))] as const,
  ].map(([what, message]) =>
    story(`a ${what} of more than ten thousand bytes`, [send(message), closed], whole),
  ),
  ...(['items (id, name)', 'countries', 'settings'] as const).map((table) =>
    story(
      `a Sync of more than ten thousand bytes within copy data of ${table}`,
      [
        send(query(`COPY ${table} FROM STDIN`), copyData('1\tx\n')),
        reads('G'),
        send(frame('S', Buffer.alloc(9_997))),
        closed,
      ],
      { ...whole, anyContext: true },
    ),
  ),
  story('Sync and Flush that hold something', [
    send(frame('S', Buffer.from('x'))),
    ready(),
    send(frame('H', Buffer.from('x')), ...run('SELECT 1'), sync()),
    ready(),
    send(...run('INSERT INTO items (id) VALUES (800)'), frame('S', Buffer.from('xyz'))),
    ready(),
    asks('SELECT count(*) FROM items WHERE id = 800'),
    send(...run('SELECT id FROM items ORDER BY id'), frame('S', Buffer.from('x'))),
    ready(),
    send(parse('SELEC'), flush(), frame('S')),
    ready(),
  ]),

  story(
    'literals that are longer than what is parsed',
    [`'${LONG}'`, `$x$${LONG}$x$`, `E'${LONG}'`].map((literal) =>
      asks(
        `SELECT length(${literal})`,
        `INSERT INTO items (id, name) VALUES (900, ${literal}) RETURNING id, length(name)`,
        `INSERT INTO items (id, name) VALUES (900, ${literal})`,
        `INSERT INTO items (id, name) VALUES (901, ${literal}), (902, 'b'), (903, 'c')`,
        `SELECT id FROM items WHERE name = ${literal} AND id = 900`,
        `UPDATE items SET name = ${literal} WHERE id > 901 RETURNING length(name)`,
        `INSERT INTO log (line) VALUES (${literal}) RETURNING length(line)`,
        'DELETE FROM items WHERE id >= 900',
      ),
    ),
    { ...whole, patienceMs: 60_000 },
  ),

  // Numbers
  story(
    'as many columns as there may be, and one more',
    [1664, 1665].flatMap((count) => [
      asks(
        `SELECT ${numbered(count, String).join()}`,
        `SELECT ${numbered(count, () => 'id').join()} FROM items WHERE id = 3`,
        `SELECT ${numbered(count, () => 'label').join()} FROM items ORDER BY id LIMIT 2`,
      ),
    ]),
    whole,
  ),
  story(
    'as many parameters as there may be, over several shards',
    [
      ...[
        'SELECT id FROM items WHERE id > $1 ORDER BY id',
        'SELECT id, label FROM items WHERE id > $65535 ORDER BY label, id',
        'SELECT label, count(*), sum(id) FROM items WHERE id > $2 GROUP BY label ORDER BY label',
        'SELECT a.id, b.id FROM items a JOIN items b ON a.label = b.label WHERE a.id > $3 ORDER BY 1, 2',
        'SELECT i.id, s.key FROM items i JOIN settings s ON i.id > $4 ORDER BY 1, 2',
      ].map((sql) =>
        batch(
          parse(
            sql,
            '',
            numbered(65_535, () => INT4),
          ),
          bind({ values: numbered(65_535, () => '9') }),
          describe('P'),
          execute(),
        ),
      ),
    ],
    whole,
  ),
  story(
    'a thousand portals at once, on one shard and on several',
    [
      asks('BEGIN'),
      batch(
        parse('SELECT id FROM items WHERE id = 3', 'one'),
        parse('SELECT id FROM items ORDER BY id', 'all'),
        ...numbered(500, (n) => bind({ statement: 'one', portal: `o${n}` })),
        ...numbered(500, (n) => bind({ statement: 'all', portal: `a${n}` })),
        ...numbered(500, (n) => execute(`o${n}`, 1)),
        ...numbered(500, (n) => execute(`a${n}`, 1)),
      ),
      batch(...numbered(500, (n) => execute(`a${n}`, 1))),
      asks('COMMIT'),
    ],
    coalesced,
  ),
  story(
    'ten thousand messages in front of one Sync',
    [
      batch(
        parse('SELECT name FROM items WHERE id = $1', 'one'),
        parse('SELECT id FROM items WHERE id >= $1 ORDER BY id LIMIT 2', 'all'),
        parse('SELECT value FROM settings WHERE key = $1', 'else'),
        ...numbered(2500, (n) => [
          bind({
            statement: n % 9 > 0 ? 'one' : n % 2 > 0 ? 'all' : 'else',
            values: [`${n % 12}`],
          }),
          describe('P'),
          execute(),
          close('P'),
        ]).flat(),
      ),
    ],
    coalesced,
  ),
]);
