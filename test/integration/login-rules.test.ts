import { existsSync, mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { networkInterfaces, tmpdir } from 'node:os';
import { join } from 'node:path';
import pg from 'pg';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { Authority } from '../support/certificates.js';
import { createDatabaseSet, type DatabaseSet } from '../support/cluster.js';
import { newestLibpq } from '../support/libpq.js';
import { clusterConfig } from '../support/proxy-config.js';
import { startProxy, type Proxy } from '../support/proxy.js';
import { WireClient } from '../support/wire-client.js';

const DATABASE = 'login_rules';
const authority = new Authority();
const server = authority.issue('localhost');
const folder = mkdtempSync(join(tmpdir(), 'shardgate-socket-'));
/** An address of this machine that is no loopback; none on a machine without a network. */
const ownAddress = Object.values(networkInterfaces())
  .flat()
  .find((one) => one?.family === 'IPv4' && !one.internal)?.address;
let databases: DatabaseSet;
let proxy: Proxy;

const users = [
  { name: 'postgres', role: 'admin', password: 'secret' },
  {
    name: 'ann',
    password: 'secret',
    settings: { work_mem: '3MB', search_path: 'ann, public', statement_timeout: '7s' },
  },
  { name: 'late', password: 'secret', valid_until: '2020-01-01' },
  { name: 'guest', password: 'secret', databases: ['elsewhere'] },
  { name: 'odd', password: 'secret', settings: { work_mem: 'much' } },
];
const rules = [
  { type: 'local', user: 'ann', method: 'trust' },
  { type: 'local' },
  { type: 'host', user: 'postgres', address: 'samehost', method: 'trust' },
  { type: 'hostssl', user: 'ann', address: '127.0.0.0/8', clientcert: 'verify-full', map: 'staff' },
  { type: 'hostnossl', user: 'ann', method: 'reject' },
  { type: 'host', user: ['late', 'guest', 'odd'], address: '::1' },
  { type: 'host', user: ['late', 'guest', 'odd'], address: '127.0.0.1' },
];

const configuration = (changes: object = {}): ReturnType<typeof clusterConfig> =>
  clusterConfig(
    databases,
    {},
    {
      auth: {
        method: 'scram-sha-256',
        users,
        rules,
        maps: { staff: [{ certificate: '/^(.*)@example[.]com$', user: '\\1' }] },
      },
      listen: {
        host: '*',
        unix_socket: folder,
        unix_socket_mode: '0700',
        tls: { mode: 'prefer', ...server, client_ca: authority.ca },
      },
      ...changes,
    },
  );

beforeAll(async () => {
  databases = await createDatabaseSet(DATABASE);
  proxy = await startProxy({ config: configuration() });
});
afterAll(async () => {
  await proxy.stop();
  await databases.drop();
  authority.remove();
  rmSync(folder, { recursive: true });
});

/** The answer of a statement after a login with `pg`, or the error's SQLSTATE and text. */
async function ask(config: pg.ClientConfig, sql = 'SELECT 1'): Promise<unknown> {
  const base = { host: '127.0.0.1', port: proxy.port, database: DATABASE };
  const client = new pg.Client({ ...base, ...config });
  client.on('error', () => undefined);
  try {
    await client.connect();
    const { rows } = await client.query({ text: sql, rowMode: 'array' });
    return rows[0]![0];
  } catch (error) {
    const { code, message } = error as { code?: string; message: string };
    return `${code ?? ''} ${message}`;
  } finally {
    await client.end().catch(() => undefined);
  }
}

describe('rules', () => {
  test('the first that fits decides', async () => {
    expect(await ask({ user: 'postgres' })).toBe(1);
    expect(await ask({ user: 'ann', password: 'secret' })).toBe(
      `28000 auth.rules rejects connection for host "127.0.0.1", user "ann", database "${DATABASE}", no encryption`,
    );
    expect(await ask({ user: 'eve', password: 'secret' })).toBe(
      `28000 no auth.rules entry for host "127.0.0.1", user "eve", database "${DATABASE}", no encryption`,
    );
    const ssl = { rejectUnauthorized: false };
    expect(await ask({ user: 'eve', ssl })).toMatch(/^28000 no auth.rules entry .*SSL encryption$/);
  });

  test('are about addresses of both families', async () => {
    expect(await ask({ user: 'guest', password: 'wrong', host: '::1' })).toMatch(/^28P01/);
    if (ownAddress === undefined) return;
    expect(await ask({ user: 'postgres', host: ownAddress })).toBe(1);
    expect(await ask({ user: 'guest', password: 'wrong', host: ownAddress })).toMatch(
      new RegExp(`^28000 no auth.rules entry for host "${ownAddress}"`),
    );
  });

  test.skipIf(newestLibpq === null)('ask for a certificate beside the password', async () => {
    const login = (name: string | null, password = 'secret'): Promise<string> => {
      const base = { host: '127.0.0.1', port: proxy.port, dbname: DATABASE, user: 'ann' };
      const { cert, key } = name === null ? { cert: '', key: '' } : authority.issue(name);
      const files = { sslcert: cert, sslkey: key };
      return newestLibpq!({ ...base, sslmode: 'require', password, ...files });
    };
    expect(await login('ann@example.com')).toBe('1');
    expect(await login('ann@example.com', 'wrong')).toMatch(/password authentication failed/);
    expect(await login('ann')).toMatch(/password authentication failed for user "ann"/);
    expect(await login('bob@example.com')).toMatch(/password authentication failed/);
    expect(await login(null)).toMatch(/connection requires a valid client certificate/);
  });
});

describe('a user', () => {
  test('whose password has expired is told no more than one with a wrong one', async () => {
    expect(await ask({ user: 'late', password: 'secret' })).toBe(
      '28P01 password authentication failed for user "late"',
    );
  });

  test('may connect to its own databases only', async () => {
    expect(await ask({ user: 'guest', password: 'secret' })).toBe(
      `42501 permission denied for database "${DATABASE}"`,
    );
  });

  test('begins with its settings, comes back to them, and may start with others', async () => {
    const ann = { host: folder, user: 'ann' };
    expect(await ask(ann, 'SHOW work_mem')).toBe('3MB');
    expect(await ask(ann, 'SHOW search_path')).toBe('ann, public');
    expect(await ask({ ...ann, options: '-c work_mem=5MB' }, 'SHOW work_mem')).toBe('5MB');
    expect(await ask({ user: 'postgres' }, 'SHOW work_mem')).not.toBe('3MB');
    const client = new pg.Client({ ...ann, port: proxy.port, database: DATABASE });
    await client.connect();
    const shown = async (): Promise<unknown> =>
      (await client.query('SHOW work_mem')).rows[0].work_mem;
    await client.query("SET work_mem = '9MB'");
    expect(await shown()).toBe('9MB');
    await client.query('RESET work_mem');
    expect(await shown()).toBe('3MB');
    await client.query('DISCARD ALL');
    expect(await shown()).toBe('3MB');
    await client.end();
  });

  test('with a setting that the shards refuse cannot log in', async () => {
    expect(await ask({ user: 'odd', password: 'secret' })).toMatch(/^22023 .*work_mem/);
  });
});

describe('the Unix socket', () => {
  const path = (): string => join(folder, `.s.PGSQL.${proxy.port}`);

  test('lets in by rules of its own, and only whom its permissions let', async () => {
    expect(await ask({ host: folder, user: 'ann' })).toBe(1);
    expect(await ask({ host: folder, user: 'guest', password: 'wrong' })).toMatch(/^28P01/);
    expect(statSync(path()).mode & 0o777).toBe(0o700);
  });

  test('has no TLS', async () => {
    const client = await WireClient.open({ path: path() });
    client.send(Buffer.from([0, 0, 0, 8, 0x04, 0xd2, 0x16, 0x2f]));
    expect(await client.nextByte()).toBe('N');
    client.destroy();
  });

  test.skipIf(newestLibpq === null)('serves libpq', async () => {
    const base = { host: folder, port: proxy.port, dbname: DATABASE };
    expect(await newestLibpq!({ ...base, user: 'ann', sslmode: 'prefer' })).toBe('1');
  });

  test('goes with the proxy; one that a crash has left is taken over, a living one is not', async () => {
    const trust = (port = {}): ReturnType<typeof configuration> =>
      configuration({
        auth: { method: 'trust' },
        listen: { host: '127.0.0.1', unix_socket: folder, ...port },
      });
    const first = await startProxy({ config: trust() });
    const file = join(folder, `.s.PGSQL.${first.port}`);
    await first.kill();
    expect(existsSync(file)).toBe(true);
    const config = trust({ port: first.port });
    const second = await startProxy({ config });
    expect(await ask({ host: folder, port: second.port, user: 'x' })).toBe(1);
    await second.stop();
    expect(existsSync(file)).toBe(false);

    const holder = createServer().listen(file);
    const third = await startProxy({ config, waitUntilReady: false });
    await expect.poll(() => third.logs(), { timeout: 10_000 }).toMatch(/EADDRINUSE/);
    await third.stop();
    expect(existsSync(file)).toBe(true);
    await new Promise((resolve) => holder.close(resolve));
  });
});

test('a reload changes rules, users and certificates, and drops nobody', async () => {
  const stays = new pg.Client({
    ...{ user: 'ann', host: folder },
    port: proxy.port,
    database: DATABASE,
  });
  await stays.connect();
  const auth = { method: 'scram-sha-256', users: [users[0]], rules: [{ type: 'host' }] };
  const changed = configuration({ auth });
  const reload = (more: object = {}): void => {
    const listen = { ...(changed['listen'] as object), port: proxy.port, ...more };
    writeFileSync(proxy.configFile, JSON.stringify({ ...changed, listen }));
  };
  reload();
  const outcome = (): Promise<unknown> => ask({ user: 'postgres', password: 'wrong' });
  await expect.poll(outcome, { timeout: 10_000 }).toMatch(/^28P01/);
  expect(await ask({ user: 'ann', host: folder })).toMatch(
    /no auth.rules entry for host "\[local\]"/,
  );
  reload({ min_protocol: '3.2' });
  await expect
    .poll(outcome, { timeout: 10_000 })
    .toBe('0A000 unsupported frontend protocol 3.0: server supports 3.2 to 3.2');
  const base = { host: '127.0.0.1', port: proxy.port, dbname: DATABASE, user: 'postgres' };
  const login = await newestLibpq?.({ ...base, password: 'secret', min_protocol_version: '3.2' });
  expect(login ?? '1').toBe('1');
  expect((await stays.query('SELECT 1 AS one')).rows).toEqual([{ one: 1 }]);
  await stays.end();
});
