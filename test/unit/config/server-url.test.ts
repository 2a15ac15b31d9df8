import { describe, expect, test } from 'vitest';
import { parseServerUrl, ServerUrlError } from '../../../src/config/server-url.js';
import { load, problemsOf } from './fixtures.js';
import { CERTIFICATE, KEY, OTHER_KEY } from './tls-pair.js';

const base = {
  host: 'db',
  port: 5432,
  database: 'shop',
  user: 'app',
  password: null,
  sslmode: 'prefer',
  channelBinding: 'prefer',
  files: {},
};

describe('server URLs are read as libpq reads them', () => {
  const cases: readonly [url: string, expected: Partial<Record<keyof typeof base, unknown>>][] = [
    ['postgres://app@db/shop', {}],
    ['postgresql://app@db/shop', {}],
    ['postgres://app:secret@db:6000/shop', { password: 'secret', port: 6000 }],
    ['postgres://app:@db/shop', {}],
    [
      'postgres://a%40b:p%2Fw%3A%25@db/my%20shop',
      { user: 'a@b', password: 'p/w:%', database: 'my shop' },
    ],
    ['postgres://app:a:b@db/shop', { password: 'a:b' }],
    ['postgres://app@[::1]:5433/shop', { host: '::1', port: 5433 }],
    ['postgres://app@[fe80::1%eth0]/shop', { host: 'fe80::1%eth0' }],
    ['postgres://app@10.0.0.1:1/shop', { host: '10.0.0.1', port: 1 }],
    ['postgres://app@/shop?host=/var/run/postgresql', { host: '/var/run/postgresql' }],
    ['postgres://app@%2Ftmp%2Fpg:5499/shop', { host: '/tmp/pg', port: 5499 }],
    ['postgres://app@/shop?host=/tmp&port=6000', { host: '/tmp', port: 6000 }],
    ['postgres://app@db/shop?sslmode=disable', { sslmode: 'disable' }],
    [
      'postgres://app@db/shop?sslmode=verify-full&sslrootcert=ca.pem',
      { sslmode: 'verify-full', files: { sslRootCert: 'ca.pem' } },
    ],
    [
      'postgres://app@db/shop?sslcert=app.crt&sslkey=app.key&channel_binding=require',
      { channelBinding: 'require', files: { sslCert: 'app.crt', sslKey: 'app.key' } },
    ],
    ['postgres://app@db/shop?sslmode=verify-full&sslrootcert=system', { sslmode: 'verify-full' }],
  ];
  test.each(cases)('%s', (url, expected) => {
    expect(parseServerUrl(url)).toEqual({ ...base, ...expected });
  });
});

describe('a URL that cannot be read says why, and nothing of itself', () => {
  const cases: readonly [url: string, why: RegExp][] = [
    ['mysql://app:hunter2@db/shop', /no PostgreSQL URL/],
    ['postgres://app:hunter2@db/shop?sslcert=a', /only one of sslcert and sslkey/],
    ['postgres://app:hunter2@db/shop?channel_binding=hunter2', /channel_binding .* not known/],
    ['postgres://app@db/shop?sslmode=disable&channel_binding=require', /TLS is off/],
    ['app:hunter2@db/shop', /no PostgreSQL URL/],
    ['postgres:/app:hunter2@db/shop', /no PostgreSQL URL/],
    ['postgres://app:hunter2@db', /names no database/],
    ['postgres://app:hunter2@db/', /names no database/],
    ['postgres://db/shop', /names no user/],
    ['postgres://:hunter2@db/shop', /names no user/],
    ['postgres://app:hunter2@/shop', /names no host/],
    ['postgres://app:hunt@er2@db/shop', /@ in the wrong place/],
    ['postgres://app:hunt/er2@db/shop', /@ in the wrong place/],
    ['postgres://app:hunt?er2@db/shop', /@ in the wrong place/],
    ['postgres://app:%zz@db/shop', /percent-encoding in the password/],
    ['postgres://app:%00@db/shop', /NUL character in the password/],
    ['postgres://app:hunter2/shop', /names no user/],
    ['postgres://app@db:hunter2/shop', /port .* no number/],
    ['postgres://app@db:0/shop', /port .* no number in range/],
    ['postgres://app@db:65536/shop', /port .* no number in range/],
    ['postgres://app@db1,db2/shop', /several hosts/],
    ['postgres://app@::1/shop', /host .* cannot be read/],
    ['postgres://app@[::1/shop', /host .* cannot be read/],
    ['postgres://app@db/shop?sslmod=require', /unknown parameter/],
    ['postgres://app@db/shop?hunter2', /unknown parameter/],
    ['postgres://app@db/shop?sslmode=allow', /sslmode .* not known/],
    ['postgres://app@db/shop?sslmode', /sslmode has no value/],
  ];
  test.each(cases)('%s', (url, why) => {
    let caught: unknown;
    try {
      parseServerUrl(url);
    } catch (error) {
      caught = error;
    }
    expect(caught).toBeInstanceOf(ServerUrlError);
    const { message, cure } = caught as ServerUrlError;
    expect(message).toMatch(why);
    expect(`${message} ${cure}`).not.toMatch(/hunt|er2/);
  });
});

describe('in the configuration file', () => {
  const file = (url: string): string =>
    `keyspaces: { k: { shards: [{ name: a, primary: '${url}' }] } }`;

  test('a variable in user or password needs no percent-encoding', () => {
    const env = { U: 'a:b', P: 'p@ss/w?rd%41' };
    const [server] = load(file('postgres://${U}:${P}@db/shop'), env).servers;
    expect(server!.primary).toMatchObject({ user: 'a:b', password: 'p@ss/w?rd%41', host: 'db' });
  });

  test('a variable may hold host and port, or the whole URL', () => {
    const one = load(file('postgres://app@${DB}/shop'), { DB: 'db9:6000' }).servers[0]!;
    expect(one.primary).toMatchObject({ host: 'db9', port: 6000 });
    const whole = load(file('${URL}'), { URL: 'postgres://app:p%40@db/shop' }).servers[0]!;
    expect(whole.primary.password).toBe('p@');
  });

  test('the URL and the root certificate come from files where the file says so', () => {
    const files = {
      '/run/url': 'postgres://app:x@db/shop?sslmode=verify-ca&sslrootcert=ca.pem\n',
      'ca.pem': CERTIFICATE,
    };
    const { primary } = load(file('file:/run/url'), {}, files).servers[0]!;
    expect(primary).toMatchObject({ password: 'x', sslRootCert: CERTIFICATE });
  });

  test('certificates are read with the URL, and must fit', () => {
    const url = 'postgres://app@db/shop?sslcert=a.crt&sslkey=a.key';
    const { primary } = load(file(url), {}, { 'a.crt': CERTIFICATE, 'a.key': KEY }).servers[0]!;
    expect(primary).toMatchObject({ sslRootCert: null, sslCert: CERTIFICATE, sslKey: KEY });
    const problem = (files: Record<string, string>): string =>
      problemsOf(file(url), {}, files)[0]!.message;
    expect(problem({ 'a.crt': CERTIFICATE, 'a.key': OTHER_KEY })).toMatch(/key values mismatch/);
    expect(problem({ 'a.crt': CERTIFICATE, 'a.key': 'hunter2' })).toMatch(/OpenSSL does not take/);
    expect(problem({ 'a.crt': CERTIFICATE })).toMatch(/sslkey cannot be read/);
  });
});
