import { expect, test } from 'vitest';
import { ruleFor, turnedAway, type Caller } from '../../../src/frontend/host-rules.js';
import { KEYSPACES, load } from '../config/fixtures.js';
import { CERTIFICATE, KEY } from '../config/tls-pair.js';

const { auth } = load(
  `listen: { tls: { cert: c, key: k } }
auth:
  method: scram-sha-256
  users: [{ name: ann, password: x }, { name: boss, password: x, role: admin }, { name: bob, password: x }]
  rules:
    - { type: local, user: ann, method: trust }
    - { type: host, address: 10.6.6.0/24, method: reject }
    - { type: hostssl, user: [+admin, '/^dev_'], address: [10.0.0.0/8, 'fd00::/8'], method: md5 }
    - { type: hostnossl, address: samehost, database: [shop, '/^test'] }
    - { type: host, database: other, method: trust }
${KEYSPACES}`,
  {},
  { c: CERTIFICATE, k: KEY },
);

const far: Caller = { address: '10.1.1.1', encrypted: true, user: 'boss', database: 'shop' };
const near: Caller = { address: '127.0.0.1', encrypted: false, user: 'bob', database: 'shop' };

test.each<[string, Caller, number]>([
  ['the Unix socket', { ...near, address: null, user: 'ann' }, 0],
  ['another user there', { ...near, address: null }, -1],
  ['a name does not make a TCP client local', { ...near, user: 'ann' }, 3],
  ['an address that is rejected', { ...far, address: '10.6.6.6' }, 1],
  ['the same one, as sockets for both families show it', { ...far, address: '::ffff:10.6.6.6' }, 1],
  ['a role', far, 2],
  ['a role, by IPv6', { ...far, address: 'fd12::1' }, 2],
  ['a regular expression', { ...far, user: 'dev_7' }, 2],
  ['neither', { ...far, user: 'bob' }, -1],
  ['without TLS', { ...far, encrypted: false }, -1],
  ['this machine', near, 3],
  ['this machine, with TLS', { ...near, encrypted: true }, -1],
  ['a database by its pattern', { ...near, database: 'test_1' }, 3],
  ['a database by its name', { ...far, address: '8.8.8.8', database: 'other' }, 4],
])('%s', (_, caller, index) => {
  expect(ruleFor(auth, caller)).toBe(auth.rules[index] ?? null);
});

test('a rule without a method has that of auth', () => {
  expect(auth.rules.map(({ method }) => method)).toEqual([
    ...['trust', 'reject', 'md5', 'scram-sha-256', 'trust'],
  ]);
});

test('who is turned away reads why', () => {
  expect(turnedAway(null, { ...far, address: '::ffff:10.1.1.1' })).toMatchObject({
    code: '28000',
    severity: 'FATAL',
    message:
      'no auth.rules entry for host "10.1.1.1", user "boss", database "shop", SSL encryption',
  });
  expect(turnedAway(auth.rules[1]!, { ...near, address: null }).message).toBe(
    'auth.rules rejects connection for host "[local]", user "bob", database "shop", no encryption',
  );
});
