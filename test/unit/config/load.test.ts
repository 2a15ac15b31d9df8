import { resolve } from 'node:path';
import { describe, expect, test } from 'vitest';
import { loadConfig } from '../../../src/config/load.js';
import { formatKeyRange } from '../../../src/keyspace/key-range.js';
import { KEYSPACES, load } from './fixtures.js';

describe('a file that holds keyspaces only', () => {
  test('gets every default', () => {
    const config = load(KEYSPACES);
    expect(config.listen).toMatchObject({ hosts: ['127.0.0.1'], port: 6432, tls: null });
    expect(config.listen).toMatchObject({ unixSocket: null, minProtocol: 0 });
    expect(config.http).toBeNull();
    expect(config.database).toBe('postgres');
    expect(config.auth).toMatchObject({ method: 'trust', users: new Map() });
    expect(config.pool).toEqual({
      size: 10,
      reserve: 2,
      queueTimeoutMs: 5_000,
      idleTimeoutMs: 600_000,
      maxLifetimeMs: 3_600_000,
      connectTimeoutMs: 5_000,
      healthCheckIntervalMs: 30_000,
      batchMax: 8,
      preparedStatementsMax: 200,
    });
    expect(config.limits).toEqual({
      maxClients: 10_000,
      gatherMemoryBytes: 64 * 1024 * 1024,
      gatherRowsMax: 0,
      gatherTimeoutMs: 0,
      statementTimeoutMs: 0,
      loginTimeoutMs: 15_000,
      messageBytesMax: 256 * 1024 * 1024,
      idleInTransactionTimeoutMs: 0,
      idleSessionTimeoutMs: 0,
      transactionTimeoutMs: 0,
      stalledClientTimeoutMs: 0,
      preparedStatementsPerClient: 5_000,
      portalsPerClient: 1_000,
    });
    expect(config.transactions).toEqual({ crossShard: 'two_phase', snapshots: 'refuse' });
    expect(config.log).toEqual({ level: 'info' });
    expect([config.workers, config.drainTimeoutMs]).toEqual([1, 30_000]);
    expect(config.topology.defaultKeyspace).toBeNull();
  });

  test('builds the topology in the order of the file', () => {
    const { topology, servers } = load(KEYSPACES);
    expect(topology.shards.map((shard) => [shard.index, shard.name, shard.keyspace])).toEqual([
      [0, 'main', 'main'],
      [1, 's0', 'shop'],
      [2, 's1', 'shop'],
    ]);
    expect(topology.shards.map((shard) => shard.ranges.map(formatKeyRange))).toEqual([
      [],
      ['-80'],
      ['80-'],
    ]);
    expect(servers.map((server) => server.primary.host)).toEqual(['db0', 'db1', 'db2']);
    expect(topology.tables.get('public.settings')?.type).toBe('unsharded');
    const orders = topology.tables.get('public.orders');
    expect(orders).toMatchObject({ type: 'sharded', keyColumns: ['customer_id'] });
    expect(orders?.type === 'sharded' && orders.vindex.type).toBe('hash');
  });

  test('means an empty section as one that is left out', () => {
    expect(load(`pool:\nlimits: ~\nhttp:\n${KEYSPACES}`).pool.size).toBe(10);
    expect(load(`http:\n${KEYSPACES}`).http).toBeNull();
    expect(load(`http: {}\n${KEYSPACES}`).http).toEqual({ host: '127.0.0.1', port: 9400 });
  });
});

describe('values', () => {
  test('durations and sizes come in ms and bytes', () => {
    const config = load(
      `pool: { queue_timeout: 250ms, idle_timeout: 10m, max_lifetime: 2h }
limits: { gather_memory: 512kB, gather_rows: 1000, gather_timeout: 2s, message_size: 1MB }
drain_timeout: "0"
${KEYSPACES}`,
    );
    expect(config.pool).toMatchObject({
      queueTimeoutMs: 250,
      idleTimeoutMs: 600_000,
      maxLifetimeMs: 7_200_000,
    });
    expect(config.limits).toMatchObject({
      gatherMemoryBytes: 524_288,
      gatherRowsMax: 1000,
      gatherTimeoutMs: 2_000,
      messageBytesMax: 1_048_576,
    });
    expect(config.drainTimeoutMs).toBe(0);
  });

  test('variables stand for values of every kind', () => {
    const env = { PORT: '7000', SIZE: '25', WAIT: '3s', DB: 'shop', LEVEL: 'debug' };
    const config = load(
      `listen: { port: "\${PORT}" }
database: \${DB}
pool: { size: "\${SIZE}", queue_timeout: "\${WAIT}", idle_timeout: "\${NONE:-7s}" }
log: { level: "\${LEVEL}" }
${KEYSPACES}`,
      env,
    );
    expect(config.listen.port).toBe(7000);
    expect(config.database).toBe('shop');
    expect(config.pool).toMatchObject({ size: 25, queueTimeoutMs: 3000, idleTimeoutMs: 7000 });
    expect(config.log.level).toBe('debug');
  });

  test('passwords come literally, from a variable or from a file', () => {
    const scram = `SCRAM-SHA-256$4096:c2FsdA==$${'a'.repeat(43)}=:${'b'.repeat(43)}=`;
    const config = load(
      `auth:
  method: scram-sha-256
  users:
    - { name: a, password: 'pa$$word$\${' }
    - { name: b, password: "x\${PW}", role: admin }
    - { name: c, password: file:secrets/c }
    - { name: d, password: '${scram}' }
${KEYSPACES}`,
      { PW: '${NOT_EXPANDED_TWICE}' },
      { 'secrets/c': 'from file \n' },
    );
    const users = [...config.auth.users.values()].map((user) => [user.password, user.role]);
    expect(users).toEqual([
      ['pa$$word${', 'app'],
      ['x${NOT_EXPANDED_TWICE}', 'admin'],
      ['from file ', 'app'],
      [scram, 'app'],
    ]);
  });

  test('what belongs to a user alone', () => {
    const { auth } = load(`auth:
  method: trust
  users:
    - name: a
      databases: shop
      settings: { Statement_Timeout: 5s, search_path: 'app, public', work_mem: 4096, jit: off }
      valid_until: 2030-01-01T00:00:00+01:00
    - { name: b, databases: [shop, shardgate], valid_until: 2030-01-01 }
${KEYSPACES}`);
    const [a, b] = [auth.users.get('a')!, auth.users.get('b')!];
    expect([a.databases, b.databases]).toEqual([['shop'], ['shop', 'shardgate']]);
    expect(Object.fromEntries(a.settings)).toEqual({
      statement_timeout: '5s',
      search_path: 'app, public',
      work_mem: '4096',
      jit: 'off',
    });
    const day = Date.UTC(2030, 0, 1);
    expect([a.validUntil, b.validUntil]).toEqual([day - 3_600_000, day]);
  });

  test('passwords are kept where some rule asks for them', () => {
    const file = (rules: string): string =>
      `auth: { users: [{ name: a, password: x }, { name: b }], rules: [${rules}] }\n${KEYSPACES}`;
    const password = (rules: string): unknown => load(file(rules)).auth.users.get('a')!.password;
    const local = '{ type: local, method: trust }';
    expect(password(local)).toBeNull();
    expect(password(`${local}, { type: host, method: md5 }`)).toBe('x');
  });

  test('several addresses, and a Unix socket beside the file', () => {
    const text = "listen: { host: [127.0.0.1, '::1'], unix_socket: run, unix_socket_mode: '0770' }";
    const { listen } = load(`${text}\n${KEYSPACES}`);
    expect(listen).toMatchObject({ hosts: ['127.0.0.1', '::1'], unixSocketMode: 0o770 });
    expect(listen.unixSocket).toBe(resolve('run'));
  });

  test('trust keeps no passwords', () => {
    const config = load(`auth: { method: trust, users: [{ name: a, password: x }] }\n${KEYSPACES}`);
    expect(config.auth.users.get('a')).toMatchObject({ password: null, role: 'app' });
  });

  test('key ranges may be written without quotes, and a shard may own several', () => {
    const { topology } = load(`keyspaces:
  k:
    shards:
      - { name: a, range: -40, primary: 'postgres://u@h/a' }
      - { name: b, ranges: [40-60, c0-], primary: 'postgres://u@h/b' }
      - name: c
        range: 60-c0
        primary: postgres://u@h/c
`);
    expect(topology.shards.map((shard) => shard.ranges.map(formatKeyRange).join())).toEqual([
      '-40',
      '40-60,c0-',
      '60-c0',
    ]);
  });

  test('a single shard with a range is a sharded keyspace', () => {
    const text = `keyspaces: { k: { shards: [{ name: a, range: '-', primary: 'postgres://u@h/a' }],
      tables: { t: { shard_key: id, vindex: hash }, r: { type: reference } } } }`;
    const [keyspace] = load(text).topology.keyspaces;
    expect(keyspace!.sharded).toBe(true);
    expect(keyspace!.tables.get('public.r')!.type).toBe('reference');
  });

  test('tables may name a schema', () => {
    const { topology } = load(KEYSPACES.replace('settings: {}', '"sales.Orders": {}, settings: '));
    expect([...topology.tables.keys()]).toEqual([
      'sales.Orders',
      'public.settings',
      'public.orders',
    ]);
  });

  test('anchors and aliases share sections', () => {
    const config = load(`auth: { method: trust }
listen: &here { host: 127.0.0.1, port: 5000 }
http: { host: 127.0.0.1 }
keyspaces:
  k:
    shards: [{ name: a, range: '-', primary: 'postgres://u@h/a' }]
    tables:
      a: &by_id { shard_key: id }
      b: *by_id
`);
    expect(config.topology.tables.get('public.b')).toMatchObject({ keyColumns: ['id'] });
  });

  test('the default keyspace is one that holds what no keyspace lists', () => {
    const { topology } = load(`default_keyspace: main\n${KEYSPACES}`);
    expect(topology.defaultKeyspace?.name).toBe('main');
    expect(topology.catalogShard.name).toBe('main');
  });
});

describe('what comes out', () => {
  test('is frozen', () => {
    const config = load(`http: {}\n${KEYSPACES}`);
    for (const part of [config, config.listen, config.http, config.pool, config.limits]) {
      expect(Object.isFrozen(part)).toBe(true);
    }
    expect(Object.isFrozen(config.servers[0]!.primary)).toBe(true);
    expect(Object.isFrozen(config.topology.keyspaces)).toBe(true);
  });

  test('is the same when the same file is loaded again', () => {
    const text = `default_keyspace: main\n${KEYSPACES}`;
    const plain = (value: unknown): string =>
      JSON.stringify(value, (key, part: unknown) =>
        key === 'keyspace' && typeof part === 'object'
          ? 'cycle'
          : part instanceof Map
            ? [...part]
            : part,
      );
    expect(plain(load(text))).toBe(plain(load(text)));
    expect(plain(load(text))).toContain('customer_id');
  });

  test('says so when the file is not there', async () => {
    await expect(loadConfig('/no/such/file.yaml')).rejects.toThrow(
      '/no/such/file.yaml:1:1: the configuration file cannot be read (ENOENT); ',
    );
  });
});
