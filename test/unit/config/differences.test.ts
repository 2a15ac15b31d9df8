import { expect, test } from 'vitest';
import { differences } from '../../../src/config/differences.js';
import { needsRestart } from '../../../src/config/fixed-settings.js';
import { digestOf } from '../../../src/config/source.js';
import { KEYSPACES, load } from './fixtures.js';

const changes = (before: string, after: string): readonly string[] =>
  differences(load(before).source, load(after).source);

test('what is the same is no difference', () => {
  expect(changes(KEYSPACES, `# a comment\n${KEYSPACES.replace('main:', "'main':")}`)).toEqual([]);
});

test('values, keys and named items are told by their place in the file', () => {
  const before = `limits: { max_clients: 100 }
auth: { users: [{ name: ann }, { name: bob, role: monitor }] }
${KEYSPACES}`;
  const after = `limits: { max_clients: 200, portals: 7 }
auth: { users: [{ name: bob, role: admin }, { name: eve }] }
listen: { host: [127.0.0.1] }
${KEYSPACES.replace("'-80'", "'-90'").replace("'80-'", "'90-'").replace('settings:', 'other:')}`;
  expect(changes(before, after)).toEqual([
    'limits.max_clients: 100 -> 200',
    'limits.portals: added 7',
    'auth.users.ann: removed {"name":"ann"}',
    'auth.users.bob.role: "monitor" -> "admin"',
    'auth.users.eve: added {"name":"eve"}',
    'keyspaces.main.tables.settings: removed',
    'keyspaces.main.tables.other: added {}',
    'keyspaces.shop.shards.s0.range: "-80" -> "-90"',
    'keyspaces.shop.shards.s1.range: "80-" -> "90-"',
    'listen.host: added ["127.0.0.1"]',
  ]);
});

test('secrets are changed, and no more', () => {
  const file = (secret: string): string =>
    `auth: { method: md5, users: [{ name: a, password: '${secret}', settings: { x.y: '${secret}' } }] }
${KEYSPACES.replace('app@db0', `app:${secret}@db0`)}`;
  const found = changes(file('hunter1'), file('hunter2'));
  expect(found).toEqual([
    'auth.users.a.password: changed',
    'auth.users.a.settings.x.y: changed',
    'keyspaces.main.shards.main.primary: changed',
  ]);
});

test('nor are they shown where something is new that holds some', () => {
  const users = `auth: { method: md5, users: [{ name: a, password: 'x' }`;
  const before = `${users}] }\n${KEYSPACES}`;
  const after = `${users}, { name: b, password: 'hunter2', role: monitor }] }\n${KEYSPACES}`;
  expect(changes(before, after)).toEqual([
    'auth.users.b.name: added "b"',
    'auth.users.b.password: added',
    'auth.users.b.role: added "monitor"',
  ]);
  expect(changes(after, before).join()).not.toContain('hunter');
});

test('of many the first are told, and how many more', () => {
  const tables = (count: number): string =>
    JSON.stringify({
      main: {
        shards: [{ name: 'm', primary: 'postgres://a@b/c' }],
        tables: Object.fromEntries(Array.from({ length: count }, (_, i) => [`t${i}`, {}])),
      },
    });
  const found = changes(`keyspaces: ${tables(1)}`, `keyspaces: ${tables(100)}`);
  expect(found).toHaveLength(51);
  expect(found.at(-1)).toBe('and 49 more');
});

test('files that the file names are told too', () => {
  const source = (contents: string) => ({
    values: {},
    files: new Map([
      ['/etc/shardgate.yaml', digestOf(contents)],
      ['/etc/tls.crt', digestOf(contents)],
      ['/etc/tls.key', digestOf('same')],
    ]),
  });
  expect(differences(source('a'), source('b'))).toEqual(['file /etc/tls.crt: changed']);
});

test('what a reload does not apply is told apart', () => {
  const before = `listen: { port: 6432, min_protocol: '3.0' }\nhttp: { port: 9400 }\n${KEYSPACES}`;
  const after = `listen: { port: 6433, min_protocol: '3.2' }\nhttp: { port: 9401 }\npool: { size: 3 }\n${KEYSPACES}`;
  expect(changes(before, after).filter(needsRestart)).toEqual([
    'listen.port: 6432 -> 6433',
    'http.port: 9400 -> 9401',
  ]);
  expect(changes(KEYSPACES, before).filter(needsRestart)).toEqual([
    'listen.port: added 6432',
    'http.port: added 9400',
  ]);
});
