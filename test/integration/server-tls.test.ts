import {
  chmodSync,
  chownSync,
  copyFileSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import pg from 'pg';
import { afterAll, beforeAll, describe, expect, inject, test, vi } from 'vitest';
import { makeDataFolder } from '../../scripts/lib/data-folder.mjs';
import { PostgresServer } from '../../scripts/lib/postgres-server.mjs';
import { serverUser } from '../../scripts/lib/unprivileged-user.mjs';
import { removeAtEnd } from '../../scripts/lib/watchdog-client.mjs';
import { BackendError } from '../../src/backend/backend-error.js';
import { cancelBackend, loginToBackend } from '../../src/backend/postgres/login.js';
import type { ServerAddress } from '../../src/config/config.js';
import { Authority, pemOf } from '../support/certificates.js';
import { startProxy, type Proxy } from '../support/proxy.js';

const authority = new Authority();
const strangers = new Authority('another authority');
const user = serverUser();
const folder = mkdtempSync(join(tmpdir(), 'shardgate-tls-server-'));
const dataFolder = join(folder, 'data');
let server: PostgresServer;

/** A server that lets nobody in without TLS: `app` by SCRAM, `certuser` by certificate. */
beforeAll(async () => {
  removeAtEnd(folder);
  if (user !== null) chownSync(folder, user.uid, user.gid);
  chmodSync(folder, 0o755);
  const common = { bin: inject('pgBin'), user, password: null };
  await makeDataFolder({ ...common, folder: dataFolder, durable: false, settings: {} });
  const { cert, key } = authority.issue('localhost', 'sha384');
  const install = (from: string, name: string): string => {
    const path = join(dataFolder, name);
    copyFileSync(from, path);
    if (user !== null) chownSync(path, user.uid, user.gid);
    chmodSync(path, 0o600);
    return name;
  };
  server = await PostgresServer.start({
    ...common,
    name: 'tls',
    dataFolder,
    logFile: join(folder, 'log'),
  });
  const client = new pg.Client({ connectionString: server.url() });
  await client.connect();
  await client.query(
    "CREATE ROLE app LOGIN SUPERUSER PASSWORD 'pencil'; CREATE ROLE certuser LOGIN",
  );
  await client.query(`ALTER SYSTEM SET ssl_cert_file = '${install(cert, 'own.crt')}'`);
  await client.query(`ALTER SYSTEM SET ssl_key_file = '${install(key, 'own.key')}'`);
  await client.query(`ALTER SYSTEM SET ssl_ca_file = '${install(authority.ca, 'ca.crt')}'`);
  await client.query('ALTER SYSTEM SET ssl = on');
  writeFileSync(
    join(dataFolder, 'pg_hba.conf'),
    'hostssl all certuser all cert\nhostssl all all all scram-sha-256\n',
  );
  await client.query('SELECT pg_reload_conf()');
  await client.end();
  await vi.waitFor(async () => expect(await login({})).toBe('in, TLS'), 10_000);
});
afterAll(async () => {
  await server.stopNow();
  authority.remove();
  strangers.remove();
  rmSync(folder, { recursive: true, force: true });
});

const address = (changes: Partial<ServerAddress>): ServerAddress => ({
  host: '127.0.0.1',
  port: server.port,
  database: 'postgres',
  user: 'app',
  password: 'pencil',
  sslmode: 'prefer',
  sslRootCert: null,
  sslCert: null,
  sslKey: null,
  channelBinding: 'prefer',
  ...changes,
});

/** `in`, and whether the connection is encrypted; or why not. */
async function login(changes: Partial<ServerAddress>): Promise<string> {
  try {
    const { transport } = await loginToBackend('s0', address(changes), {}, 5000);
    const encrypted = transport.peerCertificate() !== null;
    transport.destroy();
    return encrypted ? 'in, TLS' : 'in';
  } catch (error) {
    if (!(error instanceof BackendError)) throw error;
    return error.message;
  }
}

describe('a login to a shard over TLS', () => {
  const ca = readFileSync(authority.ca, 'utf8');

  test('is bound to the channel where both ends can', async () => {
    expect(await login({ sslmode: 'require', channelBinding: 'require' })).toBe('in, TLS');
    expect(await login({ sslmode: 'require', channelBinding: 'disable' })).toBe('in, TLS');
    expect(await login({ channelBinding: 'require', password: 'pen' })).toMatch(
      /password authentication failed for user "app"/,
    );
  });

  test('checks the server as sslmode says', async () => {
    const other = readFileSync(strangers.ca, 'utf8');
    for (const sslmode of ['require', 'verify-ca', 'verify-full'] as const) {
      expect(await login({ sslmode, sslRootCert: ca })).toBe('in, TLS');
      expect(await login({ sslmode, sslRootCert: other })).toMatch(/unable to verify|self-signed/);
    }
    expect(await login({ sslmode: 'verify-full', sslRootCert: ca, host: 'localhost' })).toBe(
      'in, TLS',
    );
    expect(await login({ sslmode: 'disable' })).toMatch(/no pg_hba.conf entry .* no encryption/);
  });

  test('shows a certificate of its own', async () => {
    const { cert: sslCert, key: sslKey } = pemOf(authority.issue('certuser'));
    const own = { user: 'certuser', password: null, sslmode: 'require', sslCert, sslKey } as const;
    expect(await login(own)).toBe('in, TLS');
    expect(await login({ ...own, channelBinding: 'require' })).toBe(
      'channel_binding=require, but the server logs in without it',
    );
    const wrong = pemOf(authority.issue('somebody'));
    expect(await login({ ...own, sslCert: wrong.cert, sslKey: wrong.key })).toMatch(
      /certificate authentication failed for user "certuser"/,
    );
  });

  test('may be cancelled', async () => {
    const target = address({ sslmode: 'require', sslRootCert: ca });
    const { transport, pid, secret } = await loginToBackend('s0', target, {}, 5000);
    await cancelBackend(target, pid, secret, 5000);
    transport.destroy();
  });
});

function startProxyOverTls(): Promise<Proxy> {
  const parameters = `sslmode=verify-full&sslrootcert=${authority.ca}&channel_binding=require`;
  const url = `postgres://app:pencil@127.0.0.1:${server.port}/postgres?${parameters}`;
  return startProxy({
    config: {
      database: 'postgres',
      default_keyspace: 'main',
      keyspaces: { main: { shards: [{ name: 'main', primary: url }] } },
    },
  });
}

test('a client waits for what a server says of its settings, though TLS writes late', async () => {
  const proxy = await startProxyOverTls();
  const login = async (options: string): Promise<unknown> => {
    const client = new pg.Client({ connectionString: proxy.url, options });
    client.on('error', () => undefined);
    try {
      await client.connect();
    } catch (error) {
      return (error as pg.DatabaseError).code;
    }
    const { rows } = await client.query<{ TimeZone: string }>('SHOW TimeZone');
    await client.end();
    return rows[0]!.TimeZone;
  };
  expect(await login('-c nonsense=1')).toBe('42704');
  expect(await login('-c TimeZone=Asia/Tokyo')).toBe('Asia/Tokyo');
  await proxy.stop();
});

test('a whole proxy over TLS: statements, and cancels of them', async () => {
  const proxy = await startProxyOverTls();
  const client = new pg.Client({ connectionString: proxy.url });
  await client.connect();
  const text = 'x'.repeat(300_000);
  const { rows } = await client.query('SELECT $1::text AS text', [text]);
  expect(rows[0].text).toBe(text);
  await client.query("SET statement_timeout = '200ms'");
  await expect(client.query('SELECT pg_sleep(10)')).rejects.toMatchObject({ code: '57014' });
  await client.end();
  expect(proxy.logs()).not.toMatch(/pencil|PRIVATE KEY/);
  await proxy.stop();
});
