import type { Dice } from './chaos-random.js';
import { pipeline, simple, type Exchange, type SqlOf } from './fault-exchanges.js';

const NAMED = [
  'SELECT $1::text, v FROM items WHERE id = 7',
  'SELECT $1::text, v FROM items WHERE id = 12',
  'SELECT $1::text, id FROM items ORDER BY id',
  'SELECT $1::text, count(*) FROM items',
  'UPDATE items SET v = v RETURNING $1::text',
  'SELECT $1::text, count(*) FROM items a JOIN lone b ON a.v <> b.v',
  'UPDATE lone SET v = v RETURNING $1::text',
];

function namedUse(dice: Dice, first: boolean): Exchange {
  const at = Array.from({ length: dice.between(1, 3) }, () => dice.below(NAMED.length));
  const describes = dice.chance(0.4);
  const flushes = dice.chance(0.2);
  return {
    completes: at.length,
    what: `named ${at.map((n) => NAMED[n]).join('; ')}`,
    send: (client, token) => {
      for (const n of at) {
        if (first) {
          client.closeNamed('S', `named${n}`);
          client.parse(NAMED[n]!, `named${n}`);
        }
        if (describes) client.describe('S', `named${n}`);
        client.bind({ statement: `named${n}`, values: [token] });
        client.execute();
        if (flushes) client.flush();
      }
      client.sync();
    },
  };
}

function portalRounds(dice: Dice, inside: boolean): Exchange[] {
  const sql = dice.pick([
    'SELECT $1::text, id FROM items ORDER BY id',
    'SELECT $1::text, id FROM items',
    'SELECT $1::text, a.id FROM items a JOIN lone b ON a.id = b.id',
    'UPDATE items SET v = v RETURNING $1::text',
    'SELECT $1::text, id FROM lone',
    'SELECT $1::text, v FROM items WHERE id = 3',
  ]);
  const name = dice.pick(['', `portal${dice.below(1e9)}`]);
  if (!inside || name === '') {
    return [
      {
        completes: 3,
        what: `portal thrice of ${sql}`,
        send: (client, token) => {
          client.parse(sql);
          client.bind({ portal: name, values: [token] });
          client.describe('P', name);
          client.execute(name, 3);
          client.execute(name, 2);
          client.flush();
          client.execute(name, 0);
          client.sync();
        },
      },
    ];
  }
  const more = (rows: number): Exchange => ({
    completes: 1,
    what: `more of portal of ${sql}`,
    send: (client) => {
      client.execute(name, rows);
      client.sync();
    },
  });
  return [
    {
      completes: 1,
      what: `open portal of ${sql}`,
      send: (client, token) => {
        client.parse(sql);
        client.bind({ portal: name, values: [token] });
        client.execute(name, 3);
        client.sync();
      },
    },
    more(3),
    more(4),
    {
      completes: 0,
      what: `close portal of ${sql}`,
      send: (client) => {
        client.closeNamed('P', name);
        client.sync();
      },
    },
  ];
}

const cursorSelects: readonly SqlOf[] = [
  (token) => `SELECT '${token}', id FROM items ORDER BY id`,
  (token) => `SELECT '${token}', id FROM items`,
  (token) => `SELECT '${token}', a.id FROM items a JOIN lone b ON a.id = b.id`,
  (token) => `SELECT '${token}', id FROM lone`,
];

function cursors(dice: Dice, inside: boolean): Exchange[] {
  const select = dice.pick(cursorSelects);
  const name = `cursor${dice.below(1e9)}`;
  const hold = dice.chance(0.3);
  const declare: SqlOf = (token) =>
    `DECLARE ${name} CURSOR ${hold ? 'WITH HOLD ' : ''}FOR ${select(token)}`;
  const text = `FETCH ${dice.between(1, 9)} FROM ${name}`;
  const close: SqlOf = () => `CLOSE ${name}`;
  if (!inside && !hold) {
    return [
      simple(5, (token) => `BEGIN; ${declare(token)}; ${text}; ${text}; COMMIT`, {
        leaves: 'I',
        leavesFailed: 'EI',
      }),
    ];
  }
  return [declare, () => text, () => text, close].map((sqlOf) => either(dice, sqlOf));
}

/** By a Query or by the extended protocol. */
function either(dice: Dice, sqlOf: SqlOf): Exchange {
  return dice.chance(0.5) ? simple(1, sqlOf) : pipeline(sqlOf);
}

function scratch(dice: Dice): Exchange[] {
  const name = `scratch${dice.below(1e9)}`;
  return [
    simple(1, () => `CREATE TEMP TABLE ${name} (id int)`),
    simple(1, () => `INSERT INTO ${name} VALUES (1), (2)`),
    either(dice, (token) => `SELECT '${token}', id FROM ${name}`),
    simple(1, () => `DROP TABLE ${name}`),
  ];
}

function locks(dice: Dice): Exchange[] {
  const key = dice.below(1e9);
  return [
    simple(1, (token) => `SELECT '${token}', pg_advisory_lock(${key})`),
    simple(1, (token) => `SELECT '${token}', count(*) FROM items`),
    simple(1, (token) => `SELECT '${token}', pg_advisory_unlock(${key})`),
  ];
}

/** Tables with lookups, with a directory, with ids of the proxy, and rows whose key changes. */
function keys(dice: Dice): Exchange[] {
  const id = dice.below(100);
  const ids = dice.pick(['flakes', 'numbered']);
  return dice.pick([
    [
      either(
        dice,
        (token) => `INSERT INTO ${ids} (v) VALUES ('a'), ('b') RETURNING '${token}', id`,
      ),
    ],
    [
      simple(1, (token) => `INSERT INTO people VALUES (${id}, '${token}') RETURNING '${token}'`),
      simple(1, (token) => `SELECT '${token}', id FROM people WHERE email = '${token}'`),
      simple(
        1,
        (token) => `UPDATE people SET email = email || 'x' WHERE id = ${id} RETURNING '${token}'`,
      ),
      either(dice, (token) => `DELETE FROM people WHERE id = ${id} RETURNING '${token}'`),
    ],
    [
      simple(1, (token) => `INSERT INTO tenants VALUES ('t${id}', 1) RETURNING '${token}'`),
      simple(1, (token) => `SELECT '${token}', n FROM tenants WHERE tenant = 't${id}'`),
      pipeline((token) => `DELETE FROM tenants WHERE tenant = 't${id}' RETURNING '${token}'`),
    ],
    [
      either(
        dice,
        (token) => `UPDATE moved SET id = ${id} WHERE id = ${200 - id} RETURNING '${token}'`,
      ),
    ],
    [
      pipeline(
        (token) => `UPDATE moved SET id = ${id} WHERE id = ${id + 1} RETURNING '${token}'`,
        (token) => `SELECT '${token}', id FROM moved`,
      ),
    ],
  ]);
}

function copies(dice: Dice): Exchange[] {
  const table = dice.pick(['log', 'lonelog']);
  const inPipeline: Exchange = {
    completes: 2,
    what: `COPY ${table} in a pipeline`,
    send: (client, token) => {
      client.parse(`SELECT '${token}', id FROM items`);
      client.bind();
      client.execute();
      client.parse(`COPY ${table} FROM STDIN`);
      client.bind();
      client.execute();
      for (let i = 0; i < 20; i++) client.copyData(`${i}\t${token}\n`);
      client.copyDone();
      client.sync();
    },
  };
  return dice.pick([
    [inPipeline],
    [
      simple(1, (token) => `COPY (SELECT '${token}', id FROM items) TO STDOUT`),
      pipeline((token) => `COPY (SELECT '${token}', v FROM items ORDER BY v) TO STDOUT`),
      simple(1, () => 'COPY items TO STDOUT', { untold: true }),
    ],
    [
      simple(1, () => 'INSERT INTO log SELECT id, v FROM items'),
      pipeline(() => 'INSERT INTO log SELECT id, v FROM lone'),
      simple(1, () => `DELETE FROM log WHERE id < 40`),
    ],
  ]);
}

const ENDS = { leaves: 'I', leavesFailed: 'EI' };

/** Transaction commands within a text or pipeline. */
function transactions(dice: Dice): Exchange[] {
  const id = dice.below(40);
  const read = dice.pick<SqlOf>([
    (token) => `SELECT '${token}', v FROM items`,
    (token) => `SELECT '${token}', v FROM items WHERE id = ${id}`,
  ]);
  const end = dice.pick(['COMMIT', 'ROLLBACK']);
  const change: SqlOf = (token) => `UPDATE items SET v = v WHERE id = ${id} RETURNING '${token}'`;
  return [
    dice.pick([
      simple(4, (token) => `BEGIN; UPDATE items SET v = v; ${read(token)}; COMMIT`, ENDS),
      simple(
        5,
        (token) => `UPDATE items SET v = v; BEGIN; UPDATE lone SET v = v; COMMIT; ${read(token)}`,
        ENDS,
      ),
      simple(3, (token) => `${read(token)}; ROLLBACK; SELECT '${token}'`, ENDS),
      {
        ...pipeline(
          () => 'BEGIN',
          change,
          read,
          () => end,
        ),
        ...ENDS,
      },
    ]),
  ];
}

function reads(dice: Dice): Exchange[] {
  const id = dice.below(40);
  const now: SqlOf = (token) => `SELECT '${token}', now() FROM items`;
  const all: SqlOf = (token) => `SELECT '${token}', v FROM items`;
  const one: SqlOf = (token) => `SELECT '${token}', v FROM items WHERE id = ${id}`;
  return dice.pick([
    [simple(1, now)],
    [pipeline(now, (token) => `UPDATE items SET v = now()::text RETURNING '${token}'`)],
    [pipeline(one, (token) => `SELECT '${token}', 1 / (id - 5) FROM items WHERE id = 5`, all)],
    [
      pipeline(
        (token) => `${one(token)} FOR UPDATE`,
        (token) => `SELECT '${token}', v FROM items WHERE id IN (1, 2, ${id})`,
        (token) => `UPDATE lone SET v = v WHERE id = 1 RETURNING '${token}'`,
      ),
    ],
    [simple(1, (token) => `EXPLAIN ${all(token)}`, { untold: true })],
    [
      simple(
        1,
        (token) =>
          `WITH u AS (UPDATE items SET v = v RETURNING id) SELECT '${token}', count(*) FROM u`,
      ),
    ],
  ]);
}

/** What is the session's own. */
function settings(dice: Dice): Exchange[] {
  const id = dice.below(1e9);
  return dice.pick([
    [
      simple(1, () => 'LISTEN news'),
      simple(1, () => `NOTIFY news, 'x'`),
      simple(1, () => 'UNLISTEN *'),
    ],
    [simple(1, () => `SET LOCAL work_mem = '${4 + (id % 5)}MB'`)],
    [either(dice, () => `SET application_name = 'a${id % 100}'`)],
    [
      simple(1, () => `PREPARE q${id} AS SELECT count(*) FROM items`),
      simple(1, () => `EXECUTE q${id}`, { untold: true }),
      simple(1, () => `DEALLOCATE q${id}`),
    ],
  ]);
}

function savepoints(dice: Dice): Exchange[] {
  const name = `s${dice.below(100)}`;
  return [
    simple(1, () => `SAVEPOINT ${name}`),
    dice.pick([
      simple(1, () => 'UPDATE items SET v = v'),
      pipeline((token) => `SELECT '${token}', v FROM items`),
    ]),
    either(dice, () => `ROLLBACK TO ${name}`),
    simple(1, (token) => `SELECT '${token}', count(*) FROM items`),
    simple(1, () => `RELEASE ${name}`),
  ];
}

/**
 * Exchanges of one client, one after the other, up to the first that fails. `inside`: it has a transaction open.
 * `fresh`: it has prepared nothing yet.
 */
export function scriptOf(dice: Dice, inside: boolean, fresh: boolean): readonly Exchange[] {
  const named = (): Exchange[] => [namedUse(dice, fresh || dice.chance(0.2))];
  const portals = (): Exchange[] => portalRounds(dice, inside);
  const open = (): Exchange[] => cursors(dice, inside);
  const others = [scratch, locks, keys, keys, copies, transactions, reads, reads, settings];
  const always = [named, named, portals, open, ...others];
  return dice.pick(inside ? [...always, savepoints, savepoints] : always)(dice);
}
