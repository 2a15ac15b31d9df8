import { describe, expect, test } from 'vitest';
import { formatted, KEYSPACES, load, problemsOf } from './fixtures.js';
import { CERTIFICATE, KEY, OTHER_KEY } from './tls-pair.js';

/**
 * What is put before two sound keyspaces, and the problems expected, whole or by their beginning.
 */
type Case = readonly [text: string, ...problems: string[]];

function check(text: string, expected: readonly string[]): void {
  const found = formatted(text).map((line) => line.replace(/^test\.yaml:/, ''));
  expect(found.map((line, index) => line.slice(0, expected[index]?.length ?? line.length))).toEqual(
    expected,
  );
}

describe('keys and types', () => {
  const cases: readonly Case[] = [
    ['prot: 1', '1:1: unknown key "prot"; the keys here are listen, http, '],
    ['listen: { prot: 1 }', '1:11: unknown key "prot"; did you mean "port"?'],
    ['limits:\n  maxClients: 5', '2:3: unknown key "maxClients"; did you mean "max_clients"?'],
    ['pools: {}', '1:1: unknown key "pools"; did you mean "pool"?'],
    ['<<: {}', '1:1: merge keys (<<) are not supported; write the keys out'],
    ['pool: 5', '1:7: expected a mapping, found the number; write "key: value" lines'],
    ['pool: [size, 5]', '1:7: expected a mapping, found a list; '],
    ['pool: { size: [1] }', '1:15: expected a plain value, found a list; write a number of '],
    ['auth: { users: { a: b } }', '1:16: expected a list of users, found a mapping; write [ ... ]'],
    ['database: 5', '1:11: expected text, found the number 5; put it in quotes: "5"'],
    ['database: true', '1:11: expected text, found the truth value true; put it in quotes: "true"'],
    ['database: {}', '1:11: expected text, found a mapping; write a database name'],
    ["database: ''", '1:11: empty text; write a database name'],
    ['database: "a\\0b"', '1:11: text with a NUL character; write a database name'],
    [
      `database: ${'d'.repeat(64)}`,
      '1:11: text of 64 bytes where Postgres takes at most 63 bytes; ',
    ],
    [
      'database: shardgate',
      '1:11: database "shardgate" is reserved for the console; choose another',
    ],
    ['listen: { host: "a b" }', '1:17: "a b" is not a host name or an address; write a host name'],
    ['5: a', '1:1: unknown key "5"; '],
    ['? [a]\n: b', '1:3: a key that is not plain text; write a name before the colon'],
    ['pool: *nope', '1:7: an alias of an anchor that is not defined above; define the anchor'],
  ];
  test.each(cases)('%s', (text, ...expected) => check(`${text}\n${KEYSPACES}`, expected));
});

describe('numbers, durations and sizes', () => {
  const cases: readonly Case[] = [
    ['listen: { port: 65536 }', '1:17: 65536 is out of range; write a port from 0 to 65535'],
    ['listen: { port: -1 }', '1:17: -1 is out of range; '],
    ['listen: { port: 1.5 }', '1:17: 1.5 is no whole number; write a port from 0 to 65535'],
    ['listen: { port: 1e400 }', '1:17: 1e400 is no whole number; '],
    ['listen: { port: abc }', '1:17: abc is no whole number; '],
    [
      'pool: { size: 0 }',
      '1:15: 0 is out of range; write a number of connections from 1 to 262143',
    ],
    ['pool: { queue_timeout: 5 }', '1:24: "5" has no unit; write a duration such as 250ms, 5s,'],
    ['pool: { queue_timeout: 5 sec }', '1:24: "5 sec" has an unknown unit; '],
    ['pool: { queue_timeout: 5S }', '1:24: "5S" has an unknown unit; '],
    ['pool: { queue_timeout: 1.5s }', '1:24: "1.5s" is no duration; '],
    ['pool: { queue_timeout: -5s }', '1:24: "-5s" is no duration; '],
    ['pool: { queue_timeout: 0 }', '1:24: "0" is out of range; write a duration from 10ms to 596h'],
    ['pool: { max_lifetime: 1000h }', '1:23: "1000h" is out of range; write a duration from 10ms'],
    ['pool: { queue_timeout: 5constructor }', '1:24: "5constructor" has an unknown unit; '],
    [
      'drain_timeout: soon',
      '1:16: "soon" is no duration; write a duration such as 250ms, 5s, 10m or 1h, or 0',
    ],
    ['limits: { gather_memory: 64 }', '1:26: "64" has no unit; write a size such as 512kB, 64MB'],
    ['limits: { gather_memory: 64mb }', '1:26: "64mb" has an unknown unit; '],
    [
      'limits: { gather_memory: 1kB }',
      '1:26: "1kB" is out of range; write a size from 64kB to 1024GB',
    ],
    [
      'limits: { message_size: 1GB }',
      '1:25: "1GB" is out of range; write a size from 16kB to 1023MB',
    ],
    ['workers: 2', '1:10: workers: 2 is not supported yet; write 1'],
    ['workers: auto', '1:10: workers: auto is not supported yet; write 1'],
    ['workers: 0', '1:10: workers: 0 is no number of processes; write 1'],
    ['workers: "\\n"', '1:10: workers: "\\n" is no number of processes; write 1'],
    ['listen: { port: "a\\nb" }', '1:17: "a\\nb" is no whole number; '],
    ['log: { level: warning }', '1:15: "warning" is not one of the choices; did you mean warn?'],
    ['log: { level: loud }', '1:15: "loud" is not one of the choices; write trace, debug, info,'],
    [
      'transactions: { cross_shard: 2pc }',
      '1:30: "2pc" is not one of the choices; write two_phase,',
    ],
  ];
  test.each(cases)('%s', (text, ...expected) => check(`${text}\n${KEYSPACES}`, expected));
});

describe('who may log in', () => {
  const SAFE = 'write auth: { method: scram-sha-256, users: [...] }, or listen on 127.0.0.1';
  const cases: readonly Case[] = [
    [
      'listen: { host: 0.0.0.0 }',
      `1:17: without auth.method everybody who can reach this address would be let in; ${SAFE}`,
    ],
    ["listen: { host: '::' }\nauth: {}", '2:7: without auth.method everybody who can reach'],
    [
      'auth: { method: scram }',
      '1:17: "scram" is not one of the choices; did you mean scram-sha-256?',
    ],
    [
      'auth: { method: scram-sha-265 }',
      '1:17: "scram-sha-265" is not one of the choices; did you mean scram-sha-256?',
    ],
    ['auth: { method: md5 }', '1:7: nobody can log in: md5 needs users; write users: [ {'],
    [
      'auth:\n  method: md5\n  users:\n    - { name: a }',
      '4:7: a user without a password cannot log in by md5; ',
    ],
    [
      'auth:\n  method: md5\n  users:\n    - password: x',
      '4:7: "name" is missing; write name: NAME',
    ],
    [
      'auth: { users: [{ name: a }, { name: a }] }',
      '1:38: user "a" is listed twice; keep one of them',
    ],
    [
      'auth: { users: [{ name: a, role: root }] }',
      '1:34: "root" is not one of the choices; write admin,',
    ],
    ['auth: { users: [] , method: cert }', '1:29: cert needs TLS with a client_ca; '],
    [
      "auth: { method: md5, users: [{ name: a, password: '' }] }",
      '1:51: the password is empty; write one',
    ],
    [
      'auth: { method: md5, users: [{ name: a, password: file:/none }] }',
      '1:51: the file of the password cannot be read (ENOENT); name a file',
    ],
    [
      "listen: { host: [127.0.0.1, '*'] }",
      '1:17: without auth.method everybody who can reach this address would be let in',
    ],
    ['listen: { host: [] }', '1:17: nothing to listen to; write host: 127.0.0.1, or unix_socket'],
    ['listen: { unix_socket_mode: rwx }', '1:29: "rwx" is not permissions in octal'],
    ['listen: { min_protocol: 3.1 }', '1:25: "3.1" is not one of the choices; did you mean 3.0?'],
    [
      'auth: { rules: [{ type: host }] }',
      '1:17: a rule without a method, and no auth.method; write method: scram-sha-256',
    ],
    ['auth: { rules: [{ method: trust }] }', '1:17: "type" is missing; write type: host'],
    [
      'auth: { rules: [{ type: host, method: scram-sha-256 }] }',
      '1:7: nobody can log in: scram-sha-256 needs users; write users: [ {',
    ],
    [
      'auth: { rules: [{ type: host, method: trust, address: [10.0.0.0/8, 10.1.0.0/8] }] }',
      '1:55: "10.1.0.0/8" is no address and no network; write all, samehost',
    ],
    [
      'auth: { rules: [{ type: local, method: trust, address: 10.0.0.0/8 }] }',
      '1:56: a Unix socket has no addresses; leave it out',
    ],
    [
      'auth: { rules: [{ type: host, method: trust, user: +boss }] }',
      '1:52: "+boss" is no role; write +admin, +monitor, +app',
    ],
    [
      "auth: { rules: [{ type: host, method: trust, database: '/(' }] }",
      '1:56: "/(" is no regular expression; write it as in JavaScript',
    ],
    ['auth: { rules: [{ type: hostssl, method: trust }] }', '1:25: hostssl without TLS; write'],
    [
      'auth: { users: [{ name: a }], rules: [{ type: host, method: cert }] }',
      '1:39: method cert in a rule of type host; write type: hostssl',
    ],
    [
      'auth: { rules: [{ type: hostnossl, method: trust, clientcert: verify-ca }] }',
      '1:17: clientcert in a rule of type hostnossl; write type: hostssl',
    ],
    [
      'auth: { map: stuff, maps: { staff: [{ certificate: a, user: b }] } }',
      '1:14: there is no map "stuff"; did you mean staff?',
    ],
    [
      "auth: { maps: { staff: [{ certificate: '/)', user: b }] } }",
      '1:40: "/)" is no regular expression',
    ],
    [
      'auth: { users: [{ name: a, valid_until: tomorrow }] }',
      '1:41: "tomorrow" is no day or moment; write a day or a moment such as 2030-12-31',
    ],
    [
      'auth: { users: [{ name: a, settings: { "a b": 1 } }] }',
      '1:40: "a b" is no name of a setting; write it as SHOW takes it',
    ],
    [
      "auth: { method: scram-sha-256, users: [{ name: a, password: 'SCRAM-SHA-256$9999999:c2FsdA==$x:y' }] }",
      '1:61: a SCRAM-SHA-256 verifier that cannot be read; copy it from pg_authid',
    ],
    ['auth: { users: [~] }', '1:16: item 1 of the list is empty; write users there, or drop it'],
    [
      'http: { port: 6432 }',
      '1:15: http and listen share port 6432; give one of them another port',
    ],
  ];
  test.each(cases)('%s', (text, ...expected) => check(`${text}\n${KEYSPACES}`, expected));

  test('an md5 verifier is of no use for SCRAM; a SCRAM verifier serves both', () => {
    const user = (password: string, method: string): string =>
      `auth: { method: ${method}, users: [{ name: a, password: '${password}' }] }\n${KEYSPACES}`;
    const scram = `SCRAM-SHA-256$4096:c2FsdA==$${'a'.repeat(43)}=:${'b'.repeat(43)}=`;
    const md5 = `md5${'0'.repeat(32)}`;
    for (const method of ['md5', 'scram-sha-256']) {
      expect(load(user(scram, method)).auth.users.get('a')!.password).toBe(scram);
    }
    expect(formatted(user(md5, 'scram-sha-256'))[0]).toContain('an md5 verifier cannot be used');
  });
});

describe('TLS', () => {
  const tls = (rest: string): string => `listen:\n  tls: { ${rest} }\n${KEYSPACES}`;
  test('needs certificate and key, in PEM, that belong together', () => {
    check(tls('mode: require'), [
      '2:8: "cert" is missing for TLS mode require; write cert: PATH, or mode: disable',
      '2:8: "key" is missing for TLS mode require; write key: PATH, or mode: disable',
    ]);
    check(tls('cert: none.crt, key: none.key'), [
      '2:16: the file of the certificate cannot be read (ENOENT); ',
      '2:31: the file of the private key cannot be read (ENOENT); ',
    ]);
    const files = { 'a.crt': 'not PEM', 'a.key': '-----BEGIN PRIVATE KEY-----' };
    const [notPem] = problemsOf(tls('cert: a.crt, key: a.key'), {}, files);
    expect(notPem).toMatchObject({ line: 2, message: 'the file of the certificate holds no PEM' });
    const [broken] = problemsOf(tls('cert: a.key, key: a.key'), {}, files);
    expect(broken?.message).toMatch(/^OpenSSL does not take cert and key \(/);
  });

  test('takes a pair that fits, refuses one that does not, and ignores both when disabled', () => {
    const files = { 'a.crt': CERTIFICATE, 'a.key': KEY, 'b.key': OTHER_KEY };
    const text = tls('cert: a.crt, key: a.key, client_ca: a.crt');
    expect(load(text, {}, files).listen.tls).toEqual({
      mode: 'prefer',
      minVersion: 'TLSv1.2',
      cert: CERTIFICATE,
      key: KEY,
      clientCa: CERTIFICATE,
    });
    const [mismatch] = problemsOf(tls('cert: a.crt, key: b.key'), {}, files);
    expect(mismatch?.message).toContain('key values mismatch');
    expect(load(tls('mode: disable')).listen.tls).toBeNull();
    const withCert = `${text}auth: { method: cert, users: [{ name: a }] }\n`;
    expect(load(withCert, {}, files).auth.method).toBe('cert');
  });
});

describe('keyspaces and shards', () => {
  const shards = (lines: string, more = ''): string =>
    `keyspaces:\n  k:\n    shards:\n${lines}${more}`;
  const shard = (name: string, rest: string): string =>
    `      - { name: ${name}, primary: 'postgres://u@h/${name}'${rest} }\n`;
  const cases: readonly Case[] = [
    ['listen: {}\n', '1:1: "keyspaces" is missing; write keyspaces: with at least one'],
    ['keyspaces: {}', '1:12: no keyspaces; name at least one keyspace with its shards'],
    ['keyspaces: []', '1:12: expected a mapping, found a list; '],
    ['keyspaces:\n  k:', '2:3: keyspace "k" is empty; write what it holds, or leave it out'],
    ['keyspaces:\n  k: {}', '2:3: "shards" is missing; write shards: [ {'],
    ['keyspaces:\n  k: { shards: [] }', '2:16: an empty list of shards; list at least one'],
    ['keyspaces:\n  k: { shards: [5] }', '2:17: expected a mapping, found the number; '],
    ['keyspaces:\n  k: { shards: [{ name: a }] }', '2:17: "primary" is missing; write primary: '],
    [
      "keyspaces:\n  9k: { shards: [{ name: a, primary: 'postgres://u@h/d' }] }",
      '2:3: "9k" is no name of a keyspace; write up to 63 letters',
    ],
    [
      "keyspaces:\n  all: { shards: [{ name: a, primary: 'postgres://u@h/d' }] }",
      '2:3: "all" is a reserved word; choose another keyspace name',
    ],
    [
      "keyspaces:\n  k: { shards: [{ name: a b, primary: 'postgres://u@h/d' }] }",
      '2:25: "a b" is not a shard name: letters, digits, _ and -',
    ],
    [
      shards(shard('a', ", range: '-40'") + shard('b', ", range: '80-'")),
      '5:56: no shard owns the key range "40-80"; give "40-80" to a shard, or widen',
    ],
    [
      shards(shard('a', ", range: '-80'") + shard('b', ", range: '40-'")),
      '5:56: key ranges "-80" and "40-" of shards "a" and "b" overlap; every keyspace id',
    ],
    [
      shards(shard('a', ", range: '-80'") + shard('b', '')),
      '4:56: no shard owns the key range "80-"; ',
      '5:9: shard "b" has no key range, though its keyspace is sharded; give it a range',
    ],
    [
      shards(shard('a', ", range: '-80'") + shard('b', ", range: '80-', ranges: ['80-']")),
      '5:71: both range and ranges; keep one of them',
    ],
    [shards(shard('a', ', ranges: []')), '4:57: an empty list of key ranges; list at least one'],
    [
      shards(shard('a', ', weight: 1') + shard('b', ", range: '80-'")),
      '5:56: key ranges in a keyspace whose shards have weights; keep one of them',
    ],
    [
      shards(shard('a', ', weight: 1') + shard('b', '')),
      '5:9: a shard without a weight beside shards that have one; write weight: 1',
    ],
    [shards(shard('a', ', weight: 0')), '4:57: 0 is out of range; write a weight from 1 to 1000'],
    [
      shards(shard('a', ', range: 80-40') + shard('b', ', range: xyz')),
      '4:56: "80-40" is an empty key range; write it from low to high, such as "40-80"',
      '5:56: "xyz" is no key range; write hex bounds such as "-40", "40-80"',
    ],
    [
      shards(shard('a', ", range: '-80'") + shard('a', ", range: '80-'")),
      '5:17: shard "a" stands on line 4 already; give every shard of the cluster a name',
      '5:29: the same database as shard "a" on line 4; give every shard a database',
    ],
    [shards(shard('a', ", replicas: ['http://x']")), '4:60: no PostgreSQL URL; write postgres://'],
    [shards(shard('a', ', rnage: -80')), '4:49: unknown key "rnage"; did you mean "range"?'],
    [
      `default_keyspace: shop\n${KEYSPACES}`,
      '1:19: keyspace "shop" is sharded, so it cannot hold tables without a shard key; write "main"',
    ],
    [`default_keyspace: mian\n${KEYSPACES}`, '1:19: there is no keyspace "mian"; write "main"'],
  ];
  test.each(cases)('%s', (text, ...expected) => check(text, expected));

  test('shard names are unique over all keyspaces', () => {
    const text = KEYSPACES.replace('name: s1', 'name: main');
    check(text, ['8:17: shard "main" stands on line 3 already; ']);
  });
});

describe('vindexes and tables', () => {
  const sharded = (vindexes: string, tables: string): string => `keyspaces:
  k:
    vindexes: { ${vindexes} }
    shards: [{ name: a, range: '-', primary: 'postgres://u@h/a' }]
    tables:
      ${tables}
`;
  const cases: readonly Case[] = [
    [
      sharded('v: { type: hsah }', 't: { shard_key: id }'),
      '3:28: unknown vindex type "hsah"; did you mean "hash"?',
    ],
    [
      sharded('v: { type: foo }', 't: { shard_key: id }'),
      '3:28: unknown vindex type "foo"; the types are hash, xxhash, md5, ',
    ],
    [
      sharded('v: { type: lookup_unique }', 't: { shard_key: id }'),
      '3:17: "table" is missing; write table: NAME',
    ],
    [
      sharded('v: { type: lookup, table: x, unique: true }', 't: { shard_key: id }'),
      '3:46: unknown key "unique"; the keys here are type, table',
    ],
    [
      sharded('v: { type: lookup, table: x }', 't: { shard_key: id, vindex: v }'),
      '6:35: vindex "v" is not defined; ',
    ],
    [
      sharded('v: { type: lookup, table: x }', 't: { shard_key: id, lookups: { a: w } }'),
      '6:38: lookup vindex "w" is not defined; did you mean "v"?',
    ],
    [
      sharded('v: { type: lookup, table: x }', 't: { shard_key: id, lookups: { id: v } }'),
      '6:38: a lookup for the shard key "id"; leave it out',
    ],
    [
      sharded('v: { type: lookup, table: x }', 't: { shard_key: id, lookups: { a: v } }'),
      '3:43: the lookup table "public.x" belongs to no keyspace; list it under tables:',
    ],
    [
      sharded(
        'v: { type: lookup, table: x }',
        't: { shard_key: id, lookups: { a: v } }\n      x: { shard_key: keyspace_id }',
      ),
      '3:43: the lookup table "public.x" is sharded otherwise than by its column "value" alone; ',
    ],
    [
      sharded(
        'v: { type: lookup, table: x }',
        't: { shard_key: id, lookups: { a: v } }\n      x: { type: reference }',
      ),
      '3:43: the lookup table "public.x" is listed in keyspace "k" with type reference; list it',
    ],
    [
      sharded('v: { type: hash, table: x }', 't: { shard_key: id }'),
      '3:34: unknown key "table"; the keys here are type',
    ],
    [sharded('v: {}', 't: { shard_key: id }'), '3:17: "type" is missing; write type: hash'],
    [
      sharded('v: { type: ring }', 't: { shard_key: id }'),
      '3:17: vindex "v" of type ring over shards without weights; give each shard a weight',
    ],
    [
      sharded('v: { type: range }', 't: { shard_key: id }'),
      '3:17: "ranges" is missing; write ranges: [ { to: VALUE, shard: NAME }, { shard: NAME } ]',
    ],
    [
      sharded(
        'v: { type: range, ranges: [ { to: 9, shard: a }, { to: 8, shard: a }, { shard: a } ] }',
        '',
      ),
      '3:72: "8" is not above the end of the range before; list the ranges in the order',
    ],
    [
      sharded('v: { type: range, ranges: [ { to: 9, shard: x }, { shard: a } ] }', ''),
      '3:61: the keyspace has no shard "x"; did you mean "a"?',
    ],
    [
      sharded('v: { type: range, ranges: [ { to: 9 }, { shard: a } ] }', ''),
      '3:45: "shard" is missing; write shard: NAME',
    ],
    [
      sharded('v: { type: list, values: { x: a, y: b }, column_type: int }', ''),
      '3:71: "int" is not one of the choices; did you mean integer?',
    ],
    [
      sharded(`v: { type: list, values: { '7': a, '07': a } }`, ''),
      '3:52: value "07" is listed twice; keep one of its spellings',
    ],
    [
      sharded('v: { type: time, period: quarter }', ''),
      '3:42: "quarter" is not one of the choices; write day, week, month or year',
    ],
    [
      sharded(
        'v: { type: time, period: day, turns: [ { shards: a }, { from: soon, shards: a } ] }',
        '',
      ),
      '3:79: "soon" is no value of type date; write it in ISO form, such as 2024-01-31',
    ],
    [
      sharded('by_id: { type: hash }', 't: { shard_key: id, vindex: by_di }'),
      '6:35: vindex "by_di" is not defined; did you mean "by_id"?',
    ],
    [
      sharded('', 't: { shard_key: id, vindex: v }'),
      '6:35: vindex "v" is not defined; define it under vindexes: of keyspace "k"',
    ],
    [
      sharded('', 't: {}'),
      '6:7: table "t" of the sharded keyspace "k" has no shard_key; write { shard_key: COLUMN }',
    ],
    [sharded('', 't:'), '6:7: table "t" of the sharded keyspace "k" has no shard_key; '],
    [
      sharded('', 't: { shard_key: 5 }'),
      '6:23: expected text, found the number 5; put it in quotes: "5"',
    ],
    [
      sharded('', 't: { type: reference, shard_key: id }'),
      '6:40: shard_key has no meaning here: a reference table is copied whole',
    ],
    [
      sharded('', 't: { type: sequence }'),
      '6:18: table "t" of type sequence in the sharded keyspace "k"; move it',
    ],
    [
      sharded('', 't: { type: refrence }'),
      '6:18: "refrence" is not one of the choices; did you mean reference?',
    ],
    [
      sharded('', 't: { shard_key: id, lookups: { a: b } }'),
      '6:38: lookup vindex "b" is not defined; define it under vindexes:',
    ],
    [
      sharded('', 't: { shard_key: id, ids: { column: id } }'),
      '6:32: "from" is missing; write from: snowflake, sequence or uuidv7',
    ],
    [
      sharded('', 't: { shard_key: id, ids: { column: id, from: uuidv7, sequence: s } }'),
      '6:70: sequence has no meaning with from: uuidv7; leave it out, or write from: sequence',
    ],
    [
      sharded('', 'a.b.c: { shard_key: id }'),
      '6:7: "a.b.c" is no table name; write name or schema.name',
    ],
    [sharded('', '.t: { shard_key: id }'), '6:7: ".t" is no table name; '],
    [
      sharded('', 'pg_catalog.pg_class: { shard_key: id }'),
      '6:7: schema "pg_catalog" is reserved; leave it out',
    ],
    [sharded('', 'shardgate.x: { shard_key: id }'), '6:7: schema "shardgate" is reserved; '],
    [
      sharded('', 't: { shard_key: id }\n      public.t: { shard_key: id }'),
      '7:7: table "public.t" stands in keyspace "k" on line 6 already; keep one',
    ],
  ];
  test.each(cases)('%s', (text, ...expected) => check(text, expected));

  const unsharded: readonly Case[] = [
    [
      '{ shard_key: id }',
      '4:38: shard_key has no meaning here: keyspace "main" has one shard and no range; leave it out',
    ],
    ['{ vindex: hash }', '4:35: vindex has no meaning here: keyspace "main" has one shard'],
    [
      '{ type: reference }',
      '4:33: table "settings" of type reference in the unsharded keyspace "main"; write {}',
    ],
  ];
  test.each(unsharded)('in an unsharded keyspace: %s', (table, ...expected) =>
    check(KEYSPACES.replace('settings: {}', `settings: ${table}`), expected),
  );

  test('a table lives in one keyspace', () => {
    check(KEYSPACES.replace('{ settings: {} }', '{ orders: {} }'), [
      '9:15: table "public.orders" stands in keyspace "main" on line 4 already; keep one of them',
    ]);
  });
});

describe('YAML syntax', () => {
  const cases: readonly Case[] = [
    ['', '1:1: the file is empty; write keyspaces: with at least one keyspace below'],
    ['# nothing\n', '1:1: the file is empty; '],
    ['a: "x', '1:6: a missing quote, bracket, comma or blank; close what is open'],
    ['a:\n\tb: 1', '2:1: a tab as indentation; indent with blanks'],
    ['a: b: c', '1:4: a second "key: value" on one line; put it on a line of its own'],
    ['a: { b: 1', '1:10: wrong indentation, or a bracket that is not closed; '],
    ['a: @b', '1:4: text that starts with a reserved character; put the value in quotes'],
    ['a: 1\n---\nb: 2', '2:1: a second document; leave out what follows the line ---'],
    ['- a', '1:1: expected a mapping, found a list; '],
    ['just text', '1:1: expected a mapping, found the text; '],
    [
      `http: {}\nhttp: {}\nprot: 1\n${KEYSPACES}`,
      '2:1: a key that stands here twice; keep one',
      '3:1: unknown key "prot"',
    ],
    [`database: !x shop\n${KEYSPACES}`, '1:11: an unknown tag; leave the tag (!...) out'],
    [
      'listen: { port: ${PORT}, host: x }',
      '1:18: something that does not belong here; check quotes',
    ],
    [`${'['.repeat(50_000)}`, '1:'],
  ];
  test.each(cases.map(([text, ...rest]) => [text.slice(0, 60), text, rest] as const))(
    '%s',
    (_, text, expected) => check(text, expected),
  );
});

describe('variables', () => {
  const cases: readonly Case[] = [
    [
      'database: ${DB}',
      '1:11: environment variable DB is not set; set it, or write ${DB:-default}',
    ],
    ['database: "a${"', '1:11: "${" that names no environment variable; write ${NAME} or'],
    ['database: "${1}"', '1:11: "${" that names no environment variable; '],
    ['pool: { size: "${N}" }', '1:15: environment variable N is not set; '],
  ];
  test.each(cases)('%s', (text, ...expected) => check(`${text}\n${KEYSPACES}`, expected));
});

test('a variable’s value is shown as the variable', () => {
  expect(formatted(`default_keyspace: \${NAME}\n${KEYSPACES}`, { NAME: 'abc' })).toEqual([
    'test.yaml:1:19: there is no keyspace "${NAME}"; write "main"',
  ]);
});

describe('all at once', () => {
  test('every problem of a file is reported, in the order of its lines', () => {
    const found = formatted(`listen: { prot: 1, port: 70000 }
pool:
  size: many
  idle_timeout: 10
auth: { method: scram-sha-256 }
default_keyspace: nowhere
keyspaces:
  shop:
    shards:
      - { name: s0, range: '-40', primary: 'postgres://app@db1/shop' }
      - { name: s1, range: '80-', primary: 'postgres://app@db2' }
    tables:
      orders: { vindex: by_customer }
      pg_toast.x: { shard_key: id }
`);
    expect(found.map((line) => line.split(':').slice(1, 3).join(':'))).toEqual([
      '1:11',
      '1:26',
      '3:9',
      '4:17',
      '5:7',
      '6:19',
      '11:28',
      '11:44',
      '13:7',
      '14:7',
    ]);
  });

  test('no problem shows a password, a variable’s value or what stands near them', () => {
    const secret = 'hunter2';
    const texts = [
      `auth: { method: md5, users: [{ name: a, password: 7${secret}: x }] }`,
      `auth: { users: [{ name: a, password:${secret} }] }`,
      `auth: { users: [{ name: a, pasword: ${secret} }] }`,
      `auth:\n  users:\n    - name: a\n      password:${secret}`,
      `auth:\n  users:\n    - name: a\n      password: "${secret}" ${secret}`,
      `auth:\n  users:\n    - name: a\n      password: "${secret}\n      role: app`,
      `auth: { users: [{ name: a, password: [${secret}] }] }`,
      `keyspaces: { k: { shards: [{ name: a, primary: 'postgres://u:${secret}/d' }] } }`,
      `keyspaces: { k: { shards: [{ name: a, primary: 'postgres://u:${secret}@h:x/d' }] } }`,
      `keyspaces: { k: { shards: [{ name: a, primary: postgres://u:${secret}@h }] } }`,
      'listen: { port: "${S}", host: "${S} x" }\ndatabase: "${S}\\0"\nlog: { level: "${S}" }\nworkers: "${S}"',
      'pool: { size: "${S}", idle_timeout: "${S}" }\nlimits: { gather_memory: "${S}" }',
      'auth: { method: md5, users: [{ name: a, password: "file:${S}" }] }',
      'keyspaces: { k: { shards: [{ name: a, range: "${S}", primary: "${S}" }] } }',
    ];
    for (const text of texts) {
      for (const suffix of ['', `\n${KEYSPACES}`]) {
        const found = formatted(`${text}${suffix}`, { S: secret }).join('\n');
        expect(found).not.toContain(secret);
      }
    }
  });
});
