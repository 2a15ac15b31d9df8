import {
  bind,
  copyData,
  copyDone,
  copyFail,
  execute,
  flush,
  parse,
  query,
  sync,
  terminate,
} from '../support/frontend-bytes.js';
import { frame } from '../support/wire-messages.js';
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
  story,
  vanish,
  type Step,
  type Story,
} from './kit/story.js';
import { tell } from './kit/tell.js';

const anyOrder = { anyOrder: true };

/** COPY into a sharded, a reference and an unsharded table; each with its own rows, in text format. */
const targets = {
  'a sharded table': {
    into: 'items (id, name)',
    rows: ['500\tone\n', '501\t\\N\n', '502\t\\\\ \\t\n', '503\tfour\n'],
    wrong: 'x\ty\n',
    twice: '500\tagain\n',
    undo: 'DELETE FROM items WHERE id > 499',
    look: 'SELECT id, name FROM items WHERE id > 499 ORDER BY id',
  },
  'a reference table': {
    into: 'countries',
    rows: ['xa\tone\n', 'xb\ttwo\n', 'xc\tthree\n', 'xd\tfour\n'],
    wrong: 'xyz\tlong\n',
    twice: 'xa\tagain\n',
    undo: "DELETE FROM countries WHERE code > 'x'",
    look: "SELECT * FROM countries WHERE code > 'x' ORDER BY code",
  },
  'an unsharded table': {
    into: 'settings',
    rows: ['x1\tone\n', 'x2\t\\N\n', 'x3\tthree\n', 'x4\tfour\n'],
    wrong: 'x5\ttoo\tmany\n',
    twice: 'x1\tagain\n',
    undo: "DELETE FROM settings WHERE key > 'x'",
    look: "SELECT * FROM settings WHERE key > 'x' ORDER BY key",
  },
} as const;

type Target = (typeof targets)[keyof typeof targets];

/** One story for each kind of table. */
function each(
  title: string,
  make: (target: Target) => readonly Step[],
  options: Parameters<typeof story>[2] = {},
): Story[] {
  return Object.entries(targets).map(([name, target]) =>
    story(`${title}: ${name}`, make(target), options),
  );
}

/** Rows that are refused, in the text format; each is told with its line. */
const refused = {
  'items (id, name)': [
    '500\tone\n501\ttwo\nx\ty\n',
    '500\tone\n1\n',
    '500\tone\n\n501\tx\n',
    '500\ta\n501\tb\n502\tc\n3\tdup\n503\td\n',
    `500\tone\n${'y'.repeat(150)}\tone\n`,
  ],
  'items (id, price)': [
    '500\t1\n501\t2\n502\tx\n503\t4\n',
    '500\t1\n501\t-1\n502\t1\n',
    '500\t1\n501\t2\n502\t3\n503\t99999999999999\n',
  ],
  countries: [
    'xa\tone\nxyz\tlong\n',
    'xa\tone\nxe\n',
    'xa\tone\nxb\t\\N\n',
    'xa\tone\nat\tagain\n',
  ],
  settings: ['x1\ta\nk1\tb\n', 'x1\ta\nx2\n'],
} as const;

/** COPY FROM STDIN as a Query, and the data behind it. */
function copies(into: string, ...messages: readonly Buffer[]): Step {
  return send(query(`COPY ${into} FROM STDIN`), ...messages);
}

tell('wire_copy', [
  ...each('COPY FROM STDIN stores rows, cut anywhere', ({ into, rows, look, undo }) => {
    const all = rows.join('');
    return [
      copies(
        into,
        copyData(all.slice(0, 3)),
        copyData(all.slice(3, 9)),
        copyData(''),
        copyData(all.slice(9)),
        copyDone(),
      ),
      ready(),
      asks(look, undo),
    ];
  }),
  ...each('COPY FROM STDIN without rows', ({ into }) => [
    copies(into, copyDone()),
    ready(),
    asks('SELECT 1'),
  ]),
  ...each('COPY FROM STDIN whose last row has no end of line', ({ into, rows, look, undo }) => [
    copies(into, copyData(rows.join('').trimEnd()), copyDone()),
    ready(),
    asks(look, undo),
  ]),
  ...each('COPY FROM STDIN that ends with \\.', ({ into, rows, look, undo }) => [
    copies(into, copyData(`${rows[0]}\\.\n`), copyDone()),
    ready(),
    asks(look, undo),
  ]),
  ...each('COPY FROM STDIN that the client gives up', ({ into, rows, look }) => [
    copies(into, copyData(rows.join('')), copyFail('changed my mind')),
    ready(),
    copies(into, copyFail('at once')),
    ready(),
    asks(look),
  ]),
  ...each('COPY FROM STDIN of a row that exists', ({ into, rows, twice, look }) => [
    copies(into, copyData(rows.join('') + twice), copyDone()),
    ready(),
    asks(look),
  ]),
  ...each(
    'COPY FROM STDIN in a transaction that is rolled back, and in one that has failed',
    ({ into, rows, look }) => [
      asks('BEGIN'),
      copies(into, copyData(rows.join('')), copyDone()),
      ready(),
      asks(look, 'SELECT 1/0'),
      send(query(`COPY ${into} FROM STDIN`)),
      ready(),
      asks('ROLLBACK', look),
    ],
  ),
  ...each('Sync and Flush within copy data are ignored', ({ into, rows, look, undo }) => [
    copies(into, copyData(rows[0]), sync(), flush(), copyData(rows[1]), sync(), copyDone()),
    ready(),
    asks(look, undo),
  ]),
  ...each(
    'a Query within copy data ends the session',
    ({ into, rows }) => [
      copies(into, copyData(rows[0])),
      reads('G'),
      send(query('SELECT 1')),
      closed,
    ],
    // Lines are counted where rows are split only.
    { anyContext: true },
  ),
  ...each(
    'a statement behind COPY FROM STDIN in a pipeline ends the session, behind the answers so far',
    ({ into }) => [
      send(parse(`COPY ${into} FROM STDIN`), bind(), execute(), ...run('SELECT 1'), sync()),
      closed,
    ],
    // In one write: a server that closes with something unread resets the connection, and its words are lost.
    { anyContext: true, deliveries: ['coalesced'] },
  ),
  story('messages of other kinds within copy data that is split', [
    ...[parse('SELECT 1'), bind(), execute(), terminate()].map((message, n) =>
      by(
        `client ${n}`,
        copies('items (id, name)', copyData('500\tone\n501\ttwo\n502')),
        reads('G'),
        send(message),
        closed,
      ),
    ),
  ]),
  ...each('COPY FROM STDIN that the client gives up in other words', ({ into, rows }) =>
    [
      frame('f'),
      frame('f', Buffer.from('no zero')),
      frame('f', Buffer.from('one\0two\0')),
      frame('f', Buffer.from([0x61, 0xff, 0])),
    ].flatMap((words) => [
      copies(into, copyData(rows[0]), words),
      ready(),
      copies(into, words),
      ready(),
    ]),
  ),
  ...Object.entries(refused).flatMap(([into, datas]) => [
    story(
      `the line of what is refused: ${into}`,
      datas.flatMap((data) => [copies(into, copyData(data), copyDone()), ready()]),
    ),
    story(
      `the line of what is refused: ${into}, CSV with a header`,
      datas.flatMap((data) => [
        send(
          query(`COPY ${into} FROM STDIN (FORMAT csv, HEADER, NULL 'none')`),
          copyData(`h,h\n${data.replaceAll('\t', ',')}`),
          copyDone(),
        ),
        ready(),
      ]),
    ),
  ]),
  story('the line of what is refused behind lines within quotes', [
    ...['\n', '\r\n', '\r'].map((newline) =>
      by(
        'A',
        send(
          query('COPY items (id, name, price) FROM STDIN (FORMAT csv)'),
          copyData(
            [500, 501, 502, 503, 504]
              .map((id) => `${id},"a${newline}${newline}b",${id === 504 ? 'x' : 1}${newline}`)
              .join(''),
          ),
          copyDone(),
        ),
        ready(),
      ),
    ),
  ]),
  ...each(
    'Terminate within copy data stores nothing',
    ({ into, rows, look }) => [
      by(
        'B',
        copies(into, copyData(rows[0]), copyData(rows[1])),
        reads('G'),
        send(terminate()),
        closed,
      ),
      pause(50),
      asks(look),
    ],
    { anyContext: true },
  ),
  ...each('gone within copy data, nothing is stored', ({ into, rows, look }) => [
    by('B', copies(into, copyData(rows[0]), copyData(rows[1])), reads('G'), vanish),
    pause(50),
    asks(look),
  ]),
  ...each('COPY FROM STDIN through the extended protocol', ({ into, rows, look, undo }) => [
    send(parse(`COPY ${into} FROM STDIN`), bind(), execute(), sync()),
    reads('G'),
    send(copyData(rows.join('')), copyDone(), sync()),
    ready(),
    asks(look, undo),
    send(parse(`COPY ${into} FROM STDIN`), bind(), execute(), flush()),
    reads('G'),
    send(copyData(rows[0]), copyDone(), flush()),
    reads('C'),
    send(sync()),
    ready(),
    asks(look, undo),
  ]),
  ...each('COPY FROM STDIN that fails in the extended protocol', ({ into, rows, look }) => [
    send(parse(`COPY ${into} FROM STDIN`), bind(), execute(), sync()),
    reads('G'),
    send(copyData(rows.join('')), copyFail('no'), sync()),
    ready(),
    asks(look),
  ]),
  story('rows that cannot be stored', [
    ...['x\ty\n', '1\n', '1\t2\t3\n', '\n'].flatMap((row) => [
      copies('items (id, name)', copyData(`500\tone\n${row}`), copyDone()),
      ready(),
    ]),
    ...['xyz\tlong\n', 'xe\n', 'xf\t\\N\n'].flatMap((row) => [
      copies('countries', copyData(`xa\tone\n${row}`), copyDone()),
      ready(),
    ]),
    asks('SELECT count(*) FROM items', 'SELECT count(*) FROM countries'),
  ]),
  story('CSV, with quotes, a header and NULL', [
    send(
      query("COPY items (id, name, label) FROM STDIN (FORMAT csv, HEADER, NULL 'none')"),
      copyData('id,name,label\n500,"one, ""two""\n'),
      copyData('three",none\n501,"none",x\n'),
      copyDone(),
    ),
    ready(),
    asks(
      'SELECT id, name, label FROM items WHERE id > 499 ORDER BY id',
      'DELETE FROM items WHERE id > 499',
    ),
  ]),
  story(
    'COPY FROM STDIN that cannot begin',
    [
      ...[
        'COPY nowhere FROM STDIN',
        'COPY items (id, id) FROM STDIN',
        'COPY items FROM STDIN (nonsense)',
        'COPY items FROM STDIN (FORMAT nonsense)',
        "COPY items FROM STDIN (DELIMITER 'ab')",
        "COPY items FROM STDIN (FORMAT csv, QUOTE '')",
        "COPY items FROM STDIN (FORMAT csv, ESCAPE 'é')",
        'COPY items TO STDOUT (FORMAT nonsense)',
        "COPY (SELECT id FROM items ORDER BY id) TO STDOUT (DELIMITER 'ab')",
        'COPY countries (nocolumn) FROM STDIN',
        'COPY settings (nocolumn) FROM STDIN',
      ].map((sql) => asks(sql)),
      send(copyData('late\n'), copyDone(), query('SELECT 1')),
      ready(),
    ],
    { codesOnly: true },
  ),
  story(
    'COPY TO STDOUT of one shard, of all, and of queries',
    [
      asks(
        'COPY (SELECT id, name FROM items WHERE id = 3) TO STDOUT',
        'COPY countries TO STDOUT (FORMAT csv, HEADER)',
        'COPY settings TO STDOUT',
        'COPY (SELECT 1, NULL, 2) TO STDOUT',
        'COPY (SELECT id FROM items WHERE false) TO STDOUT',
        'COPY (SELECT 1/0) TO STDOUT',
        'COPY nowhere TO STDOUT',
        'COPY items (missing) TO STDOUT',
      ),
      batch(run('COPY settings TO STDOUT (FORMAT binary)')),
      batch(run('COPY (SELECT id FROM items WHERE id = 4) TO STDOUT'), run('SELECT 1')),
    ],
    anyOrder,
  ),
  story('COPY FROM STDIN that fails before it takes any data', [
    asks(
      "CREATE FUNCTION stop() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE 'stop'; END $$",
      'CREATE TRIGGER stop BEFORE INSERT ON settings FOR EACH STATEMENT EXECUTE FUNCTION stop()',
    ),
    send(query('COPY settings FROM STDIN')),
    ready(),
    send(parse('COPY settings FROM STDIN'), bind(), execute(), flush()),
    reads('E'),
    send(copyData('x1\tone\n'), copyDone(), sync()),
    ready(),
    asks('SELECT 1', 'DROP TRIGGER stop ON settings', 'DROP FUNCTION stop'),
  ]),
  story('COPY and other statements in one text', [
    send(
      query("SELECT 1; COPY settings FROM STDIN; SELECT key FROM settings WHERE key > 'x'"),
      copyData('x1\tone\n'),
      copyDone(),
    ),
    ready(),
    asks("DELETE FROM settings WHERE key > 'x'"),
  ]),
]);
