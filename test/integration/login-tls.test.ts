import { copyFileSync } from 'node:fs';
import { join } from 'node:path';
import { connect as connectTls, type ConnectionOptions, type TLSSocket } from 'node:tls';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { Authority, pemOf, type CertificateFiles } from '../support/certificates.js';
import { createDatabaseSet, type DatabaseSet } from '../support/cluster.js';
import { newestLibpq, type LibpqParameters } from '../support/libpq.js';
import { clusterConfig } from '../support/proxy-config.js';
import { startProxy, type Proxy } from '../support/proxy.js';
import { connectPg } from '../support/scene.js';
import { WireClient } from '../support/wire-client.js';
import { frame, int32 } from '../support/wire-messages.js';

const DATABASE = 'login_tls';
const authority = new Authority();
const strangers = new Authority('another authority');
const server = authority.issue('localhost', 'sha384');
let databases: DatabaseSet;
let scram: Proxy;
let certificates: Proxy;

beforeAll(async () => {
  databases = await createDatabaseSet(DATABASE);
  const start = (extra: Readonly<Record<string, unknown>>): Promise<Proxy> =>
    startProxy({ config: clusterConfig(databases, {}, extra) });
  [scram, certificates] = await Promise.all([
    start({
      auth: { method: 'scram-sha-256', users: [{ name: 'postgres', password: 'secret' }] },
      listen: { tls: { mode: 'prefer', ...server } },
    }),
    start({
      auth: { method: 'cert', users: [{ name: 'postgres' }, { name: 'ann' }] },
      listen: { tls: { mode: 'require', ...server, client_ca: authority.ca } },
    }),
  ]);
});
afterAll(async () => {
  await Promise.all([scram.stop(), certificates.stop()]);
  await databases.drop();
  authority.remove();
  strangers.remove();
});

/** What a login with the newest libpq ends with. */
function login(proxy: Proxy, parameters: LibpqParameters): Promise<string> {
  const base = { host: '127.0.0.1', port: proxy.port, dbname: DATABASE, user: 'postgres' };
  return newestLibpq!({ ...base, ...parameters });
}

/** A TLS connection without a request in front; null: it could not be made, or was closed at once. */
function direct(proxy: Proxy, options: ConnectionOptions = {}): Promise<TLSSocket | null> {
  return new Promise((resolve) => {
    const socket = connectTls({ port: proxy.port, rejectUnauthorized: false, ...options });
    socket.once('secureConnect', () => resolve(socket));
    socket.once('error', () => resolve(null));
  });
}

/** Everything that comes until the connection is closed, or until `enough` bytes are there. */
function received(socket: TLSSocket, enough = Infinity): Promise<Buffer> {
  return new Promise((resolve) => {
    let bytes = Buffer.alloc(0);
    socket.on('error', () => undefined);
    socket.on('close', () => resolve(bytes));
    socket.on('data', (chunk: Buffer) => {
      bytes = Buffer.concat([bytes, chunk]);
      if (bytes.length >= enough) resolve(bytes);
    });
  });
}

const startup = frame(
  '',
  int32(196608),
  'user',
  'postgres',
  'database',
  DATABASE,
  Buffer.from([0]),
);
const sslRequest = Buffer.concat([int32(8), int32(80877103)]);
const gssRequest = Buffer.concat([int32(8), int32(80877104)]);

describe.skipIf(newestLibpq === null)('libpq', () => {
  test.each([
    { sslmode: 'disable' },
    { sslmode: 'require', channel_binding: 'disable' },
    { sslmode: 'require', channel_binding: 'require' },
    { sslmode: 'require', channel_binding: 'require', ssl_max_protocol_version: 'TLSv1.2' },
    { sslmode: 'verify-full', sslrootcert: authority.ca, channel_binding: 'require' },
    { sslmode: 'require', sslnegotiation: 'direct', channel_binding: 'require' },
    { sslmode: 'require', min_protocol_version: '3.2', require_auth: 'scram-sha-256' },
  ])('%o', async (parameters) => {
    expect(await login(scram, { ...parameters, password: 'secret' })).toBe('1');
    expect(await login(scram, { ...parameters, password: 'wrong' })).toMatch(
      /FATAL: {2}password authentication failed for user "postgres"$/,
    );
  });

  test('a certificate logs in the user of its name, and nobody else', async () => {
    const as = async (user: string, { cert, key }: { cert: string; key: string }) =>
      login(certificates, { user, sslmode: 'require', sslcert: cert, sslkey: key });
    expect(await as('ann', authority.issue('ann'))).toBe('1');
    expect(await as('postgres', authority.issue('postgres'))).toBe('1');
    const failed = /certificate authentication failed for user "postgres"/;
    expect(await as('postgres', authority.issue('ann'))).toMatch(failed);
    expect(await as('eve', authority.issue('eve'))).toMatch(/role "eve" does not exist/);
    const missing = /connection requires a valid client certificate/;
    expect(await as('postgres', strangers.issue('postgres'))).toMatch(missing);
    expect(await login(certificates, { sslmode: 'require' })).toMatch(missing);
    expect(await login(certificates, { sslmode: 'disable' })).toMatch(/must be encrypted/);
  });
});

describe('TLS begun without a request', () => {
  test('must name the protocol', async () => {
    for (const ALPNProtocols of [['postgresql'], ['h2', 'postgresql']]) {
      const socket = await direct(scram, { ALPNProtocols });
      socket!.write(startup);
      expect((await received(socket!, 1)).toString('latin1', 0, 1)).toBe('R');
      socket!.destroy();
    }
    expect(await direct(scram, { ALPNProtocols: ['h2'] })).toBeNull();
    const nameless = await direct(scram);
    nameless!.write(startup);
    expect((await received(nameless!)).length).toBe(0);
  });

  test('refuses further encryption', async () => {
    const socket = await direct(scram, { ALPNProtocols: ['postgresql'] });
    const answers = received(socket!);
    for (const request of [sslRequest, gssRequest]) {
      socket!.write(request);
      await new Promise((resolve) => socket!.once('data', resolve));
    }
    socket!.write(sslRequest);
    const text = (await answers).toString('latin1');
    expect(text.slice(0, 3)).toBe('NNE');
    expect(text).toContain('unsupported frontend protocol 1234.5679');
  });

  test('in pieces, or with a handshake that fails, ends that connection only', async () => {
    const pieces = await WireClient.open({ port: scram.port });
    for (const byte of Buffer.from('\x16\x03\x01\x00\x05hello', 'latin1')) {
      pieces.send(Buffer.from([byte]));
      await new Promise((resolve) => setTimeout(resolve, 2));
    }
    await pieces.closed();
    const socket = await direct(scram, { ALPNProtocols: ['postgresql'] });
    socket!.write(startup);
    expect((await received(socket!, 1)).toString('latin1', 0, 1)).toBe('R');
    socket!.destroy();
  });

  test('comes as first bytes only', async () => {
    const client = await WireClient.open({ port: scram.port });
    client.send(gssRequest);
    expect(await client.nextByte()).toBe('N');
    client.send(Buffer.from('\x16\x03\x01\x00\x05hello', 'latin1'));
    expect(await client.closed()).toEqual([]);
  });

  test('may show a certificate', async () => {
    const pem = pemOf(authority.issue('ann'));
    const socket = await direct(certificates, { ALPNProtocols: ['postgresql'], ...pem });
    socket!.write(frame('', int32(196608), 'user', 'ann', 'database', DATABASE, Buffer.from([0])));
    const bytes = await received(socket!, 9);
    expect(bytes.toString('hex', 0, 9)).toBe('520000000800000000');
    socket!.destroy();
  });
});

describe('a reload', () => {
  test('takes over certificates that have changed; who is in stays in', async () => {
    const files = {
      cert: join(authority.folder, 'live.crt'),
      key: join(authority.folder, 'live.key'),
    };
    const install = (from: CertificateFiles): void => {
      copyFileSync(from.key, files.key);
      copyFileSync(from.cert, files.cert);
    };
    install(server);
    const proxy = await startProxy({
      config: clusterConfig(databases, {}, { listen: { tls: { mode: 'require', ...files } } }),
    });
    const ssl = { rejectUnauthorized: false };
    const stays = await connectPg(proxy.url, { ssl });
    const shown = async (): Promise<unknown> => {
      const socket = await direct(proxy, { ALPNProtocols: ['postgresql'] });
      const { subject } = socket!.getPeerCertificate();
      socket!.destroy();
      return subject.CN;
    };
    expect(await shown()).toBe('localhost');
    install(authority.issue('renewed'));
    proxy.signal('SIGHUP');
    await expect.poll(shown, { timeout: 10_000 }).toBe('renewed');
    expect(proxy.logs()).toContain(`file ${files.cert}: changed`);
    // A key that does not fit: the old pair stays.
    copyFileSync(server.key, files.key);
    proxy.signal('SIGHUP');
    await expect.poll(() => proxy.logs(), { timeout: 10_000 }).toMatch(/the old one stays/);
    expect(await shown()).toBe('renewed');
    expect((await stays.query('SELECT 1 AS one')).rows).toEqual([{ one: 1 }]);
    await stays.end();
    await proxy.stop();
  });
});
