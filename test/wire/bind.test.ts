import {
  bind,
  close,
  describe,
  execute,
  flush,
  parse,
  query,
  sync,
} from '../support/frontend-bytes.js';
import { asks, batch, reads, ready, run, send, story, type Story } from './kit/story.js';
import { tell } from './kit/tell.js';

const options = { anyOrder: true, deliveries: ['whole', 'coalesced'] } as const;

/** Statements on several shards, one for each way to be answered; all have one parameter, a numeric. */
const statements = {
  concatenated: 'SELECT id FROM items WHERE price > $1',
  merged: 'SELECT id FROM items WHERE price > $1 ORDER BY id',
  counted: 'SELECT count(*) FROM items WHERE price > $1',
  aggregated: 'SELECT count(*), max(name) FROM items WHERE price > $1',
  gathered:
    'SELECT a.id FROM items a JOIN items b ON a.label = b.label WHERE a.price > $1 ORDER BY 1',
  'that fails for a row': 'SELECT 1/(id - 12) FROM items WHERE price > $1 ORDER BY id',
  'that fails when it is planned': 'SELECT 1/0, id FROM items WHERE price > $1 ORDER BY id',
  'that updates': 'UPDATE items SET name = name WHERE price > $1',
  'that updates, with rows': 'UPDATE items SET name = name WHERE price > $1 RETURNING id',
  'that moves rows': 'UPDATE items SET id = id + 100 WHERE price > $1 AND false',
  'that inserts': 'INSERT INTO items (id, price) VALUES (900, $1), (901, 5) RETURNING id',
  'that inserts what it selects': 'INSERT INTO items (id, price) SELECT id + 900, $1 FROM items',
  'that writes a reference table':
    'UPDATE countries SET name = name WHERE length(name) > $1::numeric',
} as const;

function each(title: string, make: (sql: string) => Story['steps']): Story[] {
  return Object.entries(statements).map(([name, sql]) =>
    story(`${title}: a statement ${name}`, make(sql), options),
  );
}

const kinds = {
  'one shard': 'SELECT id FROM items WHERE id = 3',
  'several shards': 'SELECT id FROM items ORDER BY id LIMIT 2',
  'any shard': 'SELECT 1',
  'no shard': "SET work_mem = '5MB'",
} as const;

tell('wire_bind', [
  ...each('a value that is none', (sql) => [
    batch(parse(sql), bind({ values: ['x'] }), execute()),
    batch(parse(sql), bind({ values: ['x'] }), describe('P'), execute()),
    batch(parse(sql), bind({ values: ['x'] }), execute('', 1)),
    batch(parse(sql), bind({ values: ['x'] })),
    send(parse(sql), bind({ values: ['x'] }), flush()),
    reads('E'),
    send(sync()),
    ready(),
    batch(parse(sql), bind({ values: ['x'], portal: 'p' }), execute('p')),
    batch(parse(sql), bind({ values: ['x'], portal: 'p' }), describe('P', 'p')),
    batch(parse(sql), bind({ values: ['x'], portal: 'p' }), execute('p', 1)),
    batch(parse(sql), bind({ values: ['x'], portal: 'p' }), parse('SELECT 1', 's')),
    batch(run('SELECT 1'), parse(sql), bind({ values: ['x'] }), execute(), run('SELECT 1')),
    asks('SELECT 1'),
  ]),
  ...each('a value that is one', (sql) => [
    asks('BEGIN'),
    batch(parse(sql), bind({ values: ['16'] }), execute()),
    asks('ROLLBACK; BEGIN'),
    batch(parse(sql), bind({ values: ['16'] }), describe('P'), execute()),
    asks('ROLLBACK; BEGIN'),
    batch(parse(sql), bind({ values: ['16'] })),
    asks('ROLLBACK; BEGIN'),
    send(parse(sql), bind({ values: ['16'] }), sync()),
    ready(),
    asks('ROLLBACK; BEGIN'),
    batch(
      parse(sql),
      bind({ values: ['16'], portal: 'p' }),
      parse('SELECT 1', 's'),
      execute('p'),
      bind({ statement: 's' }),
      execute(),
      close('P', 'p'),
      close('S', 's'),
    ),
    asks('ROLLBACK; BEGIN'),
    batch(
      parse(sql, 'q'),
      bind({ statement: 'q', values: ['16'], portal: 'p' }),
      bind({ statement: 'q', values: ['17'], portal: 'p2' }),
      describe('P', 'p2'),
      close('P', 'p'),
      close('P', 'p2'),
      close('S', 'q'),
    ),
    batch(parse(sql), bind({ values: ['16'] }), bind({ values: ['17'] }), execute()),
    asks('ROLLBACK'),
    send(parse(sql), bind({ values: ['16'] }), query('SELECT 7')),
    ready(),
    send(sync()),
    ready(),
  ]),
  // Nobody has asked for what the later Parse messages are about when the earlier portals run.
  ...Object.entries(kinds).flatMap(([name, sql]) =>
    Object.entries(kinds).map(([otherName, other]) =>
      story(
        `answers keep the order of messages: ${name}, with Parse for ${otherName} in between`,
        [
          batch(
            parse(sql, 'a'),
            bind({ statement: 'a', portal: 'p' }),
            parse(other, 'b'),
            describe('P', 'p'),
            parse(`${other} `, 'c'),
            execute('p'),
            parse(`${other}  `, 'd'),
            close('P', 'p'),
            parse(`${other}   `, 'e'),
            close('S', 'e'),
            parse(`${other}    `, 'f'),
            describe('S', 'a'),
          ),
          asks('RESET work_mem', 'DEALLOCATE ALL'),
        ],
        options,
      ),
    ),
  ),
  story('a portal of one shard outlives the Describe of another one', [
    batch(
      parse('SELECT id FROM items WHERE id = 3', 'one'),
      parse('SELECT id FROM items ORDER BY id', 'all'),
      bind({ statement: 'one' }),
      bind({ statement: 'all', portal: 'p' }),
      describe('P', 'p'),
      execute(),
    ),
  ]),
  ...Object.entries({ ...kinds, 'a wrong one': 'SELECT nothing FROM items' }).map(([name, sql]) =>
    story(
      `Parse for ${name}, and then what needs no shard: answers keep the order`,
      [
        batch(parse('SAVEPOINT a', 'local')),
        batch(parse(sql, 'a'), bind({ statement: 'local' }), execute()),
        batch(parse(sql, 'b'), parse('COMMIT'), bind(), execute(), run('SELECT 1')),
        batch(parse(sql, 'c'), parse('', 'd'), bind({ statement: 'd' }), execute()),
        send(parse(sql, 'e'), parse('BEGIN'), bind(), execute(), flush()),
        reads(name === 'a wrong one' ? 'E' : 'C'),
        send(sync()),
        ready(),
        asks('ROLLBACK', 'RESET work_mem', 'DEALLOCATE ALL'),
      ],
      options,
    ),
  ),
]);
