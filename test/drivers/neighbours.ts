import { once } from 'node:events';
import { connect as connectSocket } from 'node:net';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import pg from 'pg';
import { from, to } from 'pg-copy-streams';
import Cursor from 'pg-cursor';
import { cancelRequest } from '../support/frontend-bytes.js';

/** Clients that share the backends with whoever is tested, and have settings and statements of their own. */
export interface Neighbours {
  /** Ends them; answers what they found wrong. */
  stop(): Promise<string[]>;
}

/** Set up through the proxy before they come: a sharded table in which each has eight rows of its own. */
export const NEIGHBOURS_SCHEMA: readonly string[] = [
  "CREATE TABLE neighbours (id int8 PRIMARY KEY, owner int, n int DEFAULT 0, note text DEFAULT '')",
  'INSERT INTO neighbours SELECT 10 * o + k, o FROM generate_series(0, 7) o, generate_series(1, 8) k',
];

/** They share two cores with who is tested. */
const PAUSE_MS = 100;
const KEYS = [1, 2, 3, 4, 5, 6, 7, 8];

/** One turn of a neighbour; answers what was not as it must be, null: nothing. */
type Visit = (client: pg.Client, turn: number, url: string) => Promise<string | null>;

/** Each of them is one client with one kind of business. */
const visits: readonly Visit[] = [
  (client, turn) => changeSettings(client, 'DMY', 0, turn),
  (client, turn) => changeSettings(client, 'YMD', 1, turn),
  hideTables,
  listen,
  abortCursors,
  cancel,
  copy,
  vanish,
];

/**
 * Clients at work until they are stopped; the table `neighbours` is theirs.
 * @param alone who is tested keeps a backend for itself, so that none of them may
 */
export function startNeighbours(url: string, alone: boolean): Neighbours {
  const found: string[] = [];
  let stopped = false;
  const work = async (visit: Visit, number: number): Promise<void> => {
    const client = await connect(url, number);
    for (let turn = 0; !stopped; turn++) {
      const wrong = await visit(client, turn, url);
      if (wrong !== null) found.push(`neighbour ${number}: ${wrong}`);
      await sleep(PAUSE_MS);
    }
    await client.end();
  };
  const invited = alone ? visits.filter((visit) => visit !== hideTables) : visits;
  const running = invited.map((visit, number) =>
    work(visit, number).catch((error: unknown) => {
      found.push(`neighbour ${number}: ${String(error)}`);
    }),
  );
  return {
    stop: async () => {
      stopped = true;
      await Promise.all(running);
      return found;
    },
  };
}

async function connect(url: string, number: number): Promise<pg.Client> {
  const client = new pg.Client({
    connectionString: url,
    application_name: `neighbour ${number}`,
  });
  client.on('error', () => undefined);
  await client.connect();
  return client;
}

function differs(what: string, seen: unknown, expected: unknown): string | null {
  const [ours, theirs] = [JSON.stringify(seen), JSON.stringify(expected)];
  return ours === theirs ? null : `${what}: ${ours} in place of ${theirs}`;
}

/** The SQLSTATE of what must fail. */
async function failure(work: Promise<unknown>): Promise<string> {
  return work.then(
    () => 'none',
    (error: unknown) => String((error as { code?: unknown }).code),
  );
}

/** Odd settings, and statements under the names that drivers give. */
async function changeSettings(
  client: pg.Client,
  order: string,
  number: number,
  turn: number,
): Promise<string | null> {
  await client.query(`SET datestyle = 'SQL, ${order}'; SET bytea_output = 'escape'`);
  await client.query("SET TimeZone = 'Asia/Kathmandu'; SET extra_float_digits = -3");
  await client.query(`SET search_path = public, neighbour_${number}`);
  await client.query('BEGIN');
  for (const id of [turn % 8, (turn + 1) % 8]) {
    // Names that drivers give too: each client has its own statements.
    const name = ['__asyncpg_stmt_1__', 'S_1', 'lrupsc_1_0', 'by key'][turn % 4]!;
    const text = `UPDATE neighbours SET n = n + ${number} WHERE id = $1`;
    await client.query({ name, text, values: [10 * number + id + 1] });
  }
  await client.query(turn % 3 === 0 ? 'ROLLBACK' : 'COMMIT');
  const { rows } = await client.query<unknown[]>({
    text: `SELECT current_setting('datestyle'), current_setting('search_path'),
      current_setting('TimeZone'), current_setting('application_name'), count(*)::int
      FROM neighbours WHERE owner = ${number}`,
    rowMode: 'array',
  });
  const path = `public, neighbour_${number}`;
  const expected = [`SQL, ${order}`, path, 'Asia/Kathmandu', `neighbour ${number}`, 8];
  return differs('settings', rows[0], expected);
}

/** Temporary tables with the names of the scripts' own. */
async function hideTables(client: pg.Client, turn: number): Promise<string | null> {
  await client.query('BEGIN');
  const made = client.query('CREATE TEMP TABLE customers (id int8, name text) ON COMMIT DROP');
  // Other sessions may keep a backend just then, as those do that unlock: all but one may be kept.
  if ((await failure(made)) === '53000') {
    await client.query('ROLLBACK');
    return null;
  }
  await client.query('INSERT INTO customers VALUES (1, $1), (2, $1)', [`hidden ${turn}`]);
  const { rows } = await client.query(
    'SELECT c.id::int, c.name FROM customers c JOIN neighbours n USING (id) ORDER BY id',
  );
  await client.query('COMMIT');
  const name = `hidden ${turn}`;
  return differs('temporary table', rows, [
    { id: 1, name },
    { id: 2, name },
  ]);
}

/** What it notifies comes to itself, in order, and nothing else does. */
async function listen(client: pg.Client, turn: number): Promise<string | null> {
  const heard: (string | undefined)[] = [];
  const onNotification = ({ payload }: pg.Notification): void => void heard.push(payload);
  client.on('notification', onNotification);
  await client.query('LISTEN neighbours');
  await client.query(`BEGIN; NOTIFY neighbours, 'void ${turn}'; ROLLBACK`);
  await client.query(`NOTIFY neighbours, 'told ${turn}'`);
  const { rows } = await client.query('SELECT pg_try_advisory_xact_lock(77) AS mine');
  await client.query('UNLISTEN *');
  client.off('notification', onNotification);
  return differs('notifications', [heard, rows], [[`told ${turn}`], [{ mine: true }]]);
}

/** Cursors of SQL and of the protocol, in transactions that fail. */
async function abortCursors(client: pg.Client): Promise<string | null> {
  await client.query('BEGIN');
  await client.query(
    'DECLARE c CURSOR FOR SELECT id::int FROM neighbours WHERE owner = 0 ORDER BY id',
  );
  const fetched = await client.query('FETCH 3 FROM c');
  const portal = client.query(
    new Cursor<{ id: number }>('SELECT id::int FROM neighbours WHERE owner = 0 ORDER BY id DESC'),
  );
  const read = await portal.read(2);
  await portal.close();
  const errors = [
    await failure(client.query('SELECT 1 / 0')),
    await failure(client.query('FETCH c')),
  ];
  await client.query('ROLLBACK');
  errors.push(await failure(client.query('FETCH c')));
  const ids = (rows: readonly { id: number }[]): number[] => rows.map(({ id }) => id);
  return differs(
    'cursors',
    [ids(fetched.rows as { id: number }[]), ids(read), errors],
    [
      [1, 2, 3],
      [8, 7],
      ['22012', '25P02', '34000'],
    ],
  );
}

/** Cancel requests end what they are meant for, on all shards, and nothing behind it. */
async function cancel(client: pg.Client, turn: number, url: string): Promise<string | null> {
  let ended = false;
  const slow = failure(client.query('SELECT pg_sleep(30), id FROM neighbours ORDER BY id'));
  void slow.then(() => (ended = true));
  // One that overtakes its statement does nothing.
  do {
    await sleep(5 + (turn % 4) * 10);
    await sendCancel(client, url);
  } while (!ended);
  const count = await client.query<{ n: number }>(
    'SELECT count(*)::int AS n FROM neighbours WHERE owner = 5',
  );
  return differs('cancel', [await slow, count.rows], ['57014', [{ n: KEYS.length }]]);
}

/** Resolves when the proxy has closed the connection: the request has been delivered. */
async function sendCancel(client: pg.Client, url: string): Promise<void> {
  const { processID, secretKey } = client as unknown as Record<'processID' | 'secretKey', number>;
  const key = Buffer.alloc(8);
  key.writeInt32BE(processID, 0);
  key.writeInt32BE(secretKey, 4);
  const { hostname, port } = new URL(url);
  const socket = connectSocket(Number(port), hostname);
  socket.resume().write(cancelRequest(key));
  await once(socket, 'close');
}

/** COPY of rows that are all taken, of some that are not, and back. */
async function copy(client: pg.Client, turn: number): Promise<string | null> {
  const send = (lines: readonly string[]): Promise<void> =>
    pipeline(Readable.from(lines), client.query(from('COPY neighbours (id, note) FROM STDIN')));
  await client.query('BEGIN');
  await send(KEYS.map((key) => `${1000 + key}\tcopied ${turn}\n`));
  const stream = client.query(to(`COPY (SELECT note FROM neighbours WHERE id > 1000) TO STDOUT`));
  const out = Buffer.concat((await stream.toArray()) as Buffer[]).toString();
  await client.query('ROLLBACK');
  const error = await failure(send(['2000\tgood\n', 'bad\tbad\n']));
  return differs('copy', [out, error], [KEYS.map(() => `copied ${turn}\n`).join(''), '22P02']);
}

/** Somebody is gone in the middle of a transaction over all shards. */
async function vanish(client: pg.Client, _turn: number, url: string): Promise<string | null> {
  const guest = await connect(url, 99);
  await guest.query("SET TimeZone = 'Pacific/Apia'; BEGIN");
  await guest.query("UPDATE neighbours SET note = 'vanished' WHERE owner = 7");
  const last = failure(guest.query('SELECT pg_sleep(20) FROM neighbours'));
  (guest as unknown as { connection: { stream: { destroy(): void } } }).connection.stream.destroy();
  await last;
  const { rows } = await client.query(
    "SELECT count(*)::int AS n FROM neighbours WHERE note = 'vanished'",
  );
  return differs('vanished', rows, [{ n: 0 }]);
}
