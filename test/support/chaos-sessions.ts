import type { Dice } from './chaos-random.js';
import { bindValue, cstring, frame, int16, int32 } from './wire-messages.js';

/** What a client sends from its first byte on, message by message, without waiting for answers. */
export interface ByteSession {
  readonly name: string;
  readonly messages: readonly Buffer[];
}

/** Tables that the sessions use; `probe` is only read by them. */
export const byteSessionSchema = [
  'CREATE TABLE probe (id int PRIMARY KEY, v text NOT NULL)',
  'CREATE TABLE fuzzed (id int PRIMARY KEY, v text)',
  'CREATE TABLE fuzz_settings (id int PRIMARY KEY, v text)',
];

const SSL_REQUEST = 80877103;
const GSS_REQUEST = 80877104;
const CANCEL_REQUEST = 80877102;

export function startupPacket(
  database: string,
  parameters: Readonly<Record<string, string>> = {},
  version = 0x30000,
): Buffer {
  const all = { user: 'postgres', database, ...parameters };
  return frame('', int32(version), ...Object.entries(all).flat(), Buffer.from([0]));
}

export function cancelRequest(pid: number, secret: Buffer): Buffer {
  return frame('', int32(CANCEL_REQUEST), int32(pid), secret);
}

const query = (sql: string): Buffer => frame('Q', sql);
const sync = frame('S');
const flush = frame('H');
const parse = (name: string, sql: string, ...types: number[]): Buffer =>
  frame('P', name, sql, int16(types.length), ...types.map(int32));
const bind = (portal: string, name: string, ...values: (string | null)[]): Buffer =>
  frame(
    'B',
    cstring(portal),
    cstring(name),
    int16(0),
    int16(values.length),
    ...values.map(bindValue),
    int16(0),
  );
const describe = (kind: string, name: string): Buffer => frame('D', Buffer.from(kind), name);
const execute = (portal: string, rowsMax = 0): Buffer => frame('E', portal, int32(rowsMax));
const close = (kind: string, name: string): Buffer => frame('C', Buffer.from(kind), name);
const copyData = (text: string | Buffer): Buffer => frame('d', Buffer.from(text));
const copyDone = frame('c');
const terminate = frame('X');

type Maker = (dice: Dice) => Buffer[];

const makers: Readonly<Record<string, Maker>> = {
  simple: (dice) => [
    query('SELECT 1'),
    query(`SELECT * FROM fuzzed WHERE id = ${dice.below(50)}`),
    query(`SELECT id, v FROM fuzzed; SELECT v FROM fuzz_settings WHERE id = 1`),
    query(`INSERT INTO fuzzed VALUES (${dice.below(50)}, 'v') ON CONFLICT (id) DO NOTHING`),
  ],
  settings: (dice) => [
    query(`SET search_path TO nowhere_${dice.below(9)}`),
    query(`BEGIN; SET LOCAL work_mem = '1MB'; SELECT v FROM fuzz_settings; COMMIT`),
    query(`SET DateStyle = 'German'; SET TimeZone = 'Asia/Tokyo'`),
    query('SELECT now(), pg_sleep(0.01)'),
    query('RESET TimeZone'),
  ],
  transaction: (dice) => [
    query('BEGIN'),
    query(`UPDATE fuzzed SET v = 'a' WHERE id = ${dice.below(50)}`),
    query('SAVEPOINT s'),
    query(`UPDATE fuzzed SET v = 'b' WHERE id = ${dice.below(50)}`),
    query(dice.pick(['ROLLBACK TO s', 'SELECT 1/0', 'RELEASE s'])),
    query(dice.pick(['COMMIT', 'ROLLBACK', 'ABORT', 'SELECT count(*) FROM pg_class'])),
  ],
  extended: (dice) => [
    parse('', 'SELECT v FROM fuzzed WHERE id = $1', 23),
    bind('', '', String(dice.below(50))),
    describe('P', ''),
    execute('', dice.below(3)),
    sync,
    parse('s1', 'UPDATE fuzzed SET v = $1 WHERE id = $2'),
    describe('S', 's1'),
    flush,
    bind('p1', 's1', 'x', String(dice.below(50))),
    execute('p1'),
    close('P', 'p1'),
    sync,
    close('S', 's1'),
    sync,
  ],
  pipeline: (dice) => {
    const messages = [parse('q', 'SELECT id, v FROM fuzzed WHERE id = $1', 23)];
    for (let i = dice.between(2, 12); i > 0; i--) {
      messages.push(bind('', 'q', String(dice.below(50))), execute(''));
      if (dice.chance(0.3)) messages.push(dice.pick([sync, flush]));
    }
    return [...messages, parse('', 'SELECT 1/0'), bind('', ''), execute(''), sync];
  },
  scatter: (dice) => [
    query('SELECT id, v FROM fuzzed'),
    parse('a', 'SELECT id, v FROM fuzzed WHERE id <> $1', 23),
    bind('pa', 'a', '-1'),
    execute('pa', dice.below(2)),
    execute('pa'),
    sync,
    query(`SELECT id, repeat('x', 20000) FROM generate_series(1, 100) AS id`),
  ],
  copyIn: (dice) => [
    query('COPY fuzz_settings FROM STDIN'),
    copyData(`${dice.below(1e9)}\ta\n${dice.below(1e9)}\tb\n`),
    copyData(`${dice.below(1e9)}\t`),
    copyData('rest\n'),
    dice.pick([copyDone, frame('f', 'enough')]),
    query('SELECT 1'),
  ],
  copySplit: (dice) => [
    query('COPY fuzzed FROM STDIN (FORMAT csv)'),
    ...Array.from({ length: 8 }, () => copyData(`${dice.below(1e9)},"a ""b""\nc"\n`)),
    copyDone,
    parse('', 'COPY fuzzed (id, v) FROM STDIN'),
    bind('', ''),
    execute(''),
    copyData(`${dice.below(1e9)}\t\\N\n`),
    copyDone,
    sync,
  ],
  copyOut: () => [
    query('COPY fuzzed TO STDOUT'),
    query('COPY (SELECT v FROM fuzz_settings) TO STDOUT (FORMAT binary)'),
  ],
  sleeping: (dice) => [
    query(`SELECT pg_sleep(${dice.pick(['0.02', '5', '60'])}), v FROM fuzzed WHERE id = 1`),
    query('SELECT 1'),
  ],
  oversized: (dice) => [
    query(`SELECT '${'x'.repeat(dice.pick([1000, 15_000, 17_000, 70_000]))}'`),
    parse('', `SELECT ${'('.repeat(3000)}1${')'.repeat(3000)}`),
    sync,
    bind('', '', 'y'.repeat(20_000)),
    sync,
    frame('F', int32(1), int16(0), int16(0), int16(0)),
  ],
  sequel: () => [
    query('PREPARE x AS SELECT 1'),
    query('DEALLOCATE ALL'),
    query('DISCARD ALL'),
    query('LISTEN x; NOTIFY x'),
    query('SHOW search_path'),
    query('EXPLAIN SELECT * FROM fuzzed WHERE id = 1'),
  ],
};

const makerNames = Object.keys(makers);

/** One valid session, with everything that clients do between connect and Terminate. */
export function validSession(database: string, dice: Dice): ByteSession {
  const parts = Array.from({ length: dice.between(1, 3) }, () => dice.pick(makerNames));
  const messages = parts.flatMap((name) => makers[name]!(dice));
  if (dice.chance(0.5)) messages.push(terminate);
  return { name: parts.join('+'), messages: [...opening(database, dice), ...messages] };
}

function opening(database: string, dice: Dice): Buffer[] {
  const version = dice.chance(0.3) ? 0x30002 : 0x30000;
  const parameters: Record<string, string> = dice.pick([
    {},
    {},
    { application_name: 'fuzz' },
    { DateStyle: 'German', options: '-c work_mem=1MB' },
    { client_encoding: 'UTF8', TimeZone: 'Asia/Tokyo' },
  ]);
  const packet = startupPacket(database, parameters, version);
  if (dice.chance(0.1)) return [frame('', int32(GSS_REQUEST)), packet];
  if (dice.chance(0.1)) return [frame('', int32(SSL_REQUEST)), packet];
  if (dice.chance(0.05)) return [cancelRequest(dice.below(2 ** 31), dice.bytes(4)), packet];
  return [packet];
}
