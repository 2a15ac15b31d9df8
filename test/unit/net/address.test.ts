import { describe, expect, test } from 'vitest';
import { networkHas, ownNetworks, parseAddress, parseNetwork } from '../../../src/net/address.js';

const has = (network: string, address: string): boolean =>
  networkHas(parseNetwork(network)!, parseAddress(address)!);

describe('an address is in a network', () => {
  test.each([
    ['10.0.0.0/8', '10.255.1.2', true],
    ['10.0.0.0/8', '11.0.0.0', false],
    ['10.1.2.3', '10.1.2.3', true],
    ['10.1.2.3', '10.1.2.4', false],
    ['192.168.0.0/23', '192.168.1.9', true],
    ['192.168.0.0/23', '192.168.2.9', false],
    ['0.0.0.0/0', '8.8.8.8', true],
    ['10.0.0.0/8', '::ffff:10.1.2.3', true],
    ['::ffff:10.0.0.0/104', '10.1.2.3', true],
    ['fd00::/8', 'fd12:3456::1', true],
    ['fd00::/8', 'fe80::1', false],
    ['fe80::/10', 'fe80::1%eth0', true],
    ['2001:db8::/33', '2001:db8:7fff::1', true],
    ['2001:db8::/33', '2001:db8:8000::1', false],
    ['::1', '::1', true],
    // One family is never within the other.
    ['0.0.0.0/0', '::1', false],
    ['::/0', '1.2.3.4', false],
    ['::/0', '::ffff:1.2.3.4', false],
    ['::/0', '1:2:3:4:5:6:7:8', true],
  ])('%s has %s: %s', (network, address, expected) => {
    expect(has(network, address)).toBe(expected);
  });
});

test.each([
  '',
  'db1',
  '10.0.0/8',
  '10.0.0.0/33',
  '::/129',
  '10.0.0.1/8',
  'fd00::1/8',
  '1.2.3.4/',
  '1.2.3.4/8/8',
])('%j is no network', (text) => {
  expect(parseNetwork(text)).toBeNull();
});

test('this machine knows its own addresses', () => {
  const loopback = parseAddress('127.0.0.1')!;
  expect(ownNetworks('host').some((network) => networkHas(network, loopback))).toBe(true);
  const neighbour = parseAddress('127.200.0.1')!;
  expect(ownNetworks('net').some((network) => networkHas(network, neighbour))).toBe(true);
  expect(ownNetworks('host').some((network) => networkHas(network, neighbour))).toBe(false);
});
