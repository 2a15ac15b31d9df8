import { describe, expect, test } from 'vitest';
import { suggest } from '../../../src/util/suggest.js';

const KNOWN = ['port', 'host', 'max_clients', 'statement_timeout', 'keyspaces', 'warn', 'tls'];

describe('did you mean', () => {
  const near: readonly [typed: string, meant: string][] = [
    ['prot', 'port'],
    ['hots', 'host'],
    ['maxClients', 'max_clients'],
    ['max-client', 'max_clients'],
    ['statment_timout', 'statement_timeout'],
    ['keyspace', 'keyspaces'],
    ['warning', 'warn'],
    ['TLS', 'tls'],
  ];
  test.each(near)('%s: %s', (typed, meant) => expect(suggest(typed, KNOWN)).toBe(meant));

  test.each(['foo', 'x', '', 'password', 'p'.repeat(100_000)])('nothing for %.20s', (typed) => {
    expect(suggest(typed, KNOWN)).toBeNull();
  });
});
