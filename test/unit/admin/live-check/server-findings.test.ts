import { describe, expect, test } from 'vitest';
import { formatFinding } from '../../../../src/admin/live-check/finding.js';
import {
  comparedFindings,
  serverFindings,
} from '../../../../src/admin/live-check/server-findings.js';
import type { ServerFacts } from '../../../../src/admin/live-check/server-facts.js';
import { loadConfig } from '../../../../src/config/load.js';

const config = await loadConfig(
  new URL('../../../../config/shardgate.yaml', import.meta.url).pathname,
  { env: { APP_PASSWORD: 'x', OPERATOR_PASSWORD: 'x', SHARD_PASSWORD: 'x' } },
);
const [main, s0, s1] = config.topology.shards;

function facts(shard: typeof main, given: Partial<ServerFacts> = {}): ServerFacts {
  return {
    shard: shard!,
    version: '18.4',
    versionNumber: 180_004,
    encoding: 'UTF8',
    collation: 'c en_US.utf8 en_US.utf8',
    collationVersion: '2.36',
    maxPrepared: 100,
    maxConnections: 97,
    mayCreate: true,
    isStandby: false,
    identity: shard!.name,
    settings: new Map([['TimeZone', 'UTC']]),
    ...given,
  };
}

const told = (given: Partial<ServerFacts>): string =>
  serverFindings(facts(main, given), config).map(formatFinding).join('');
const compared = (given: Partial<ServerFacts>): string =>
  comparedFindings([facts(main), facts(s0), facts(s1, given)], facts(main))
    .map(formatFinding)
    .join('');

describe('one server', () => {
  test.each<[string, Partial<ServerFacts>]>([
    ['', {}],
    [
      'problem: shard "main": PostgreSQL 13.2 is too old; ',
      { version: '13.2', versionNumber: 130_002 },
    ],
    ['problem: shard "main": the database has the encoding LATIN1; ', { encoding: 'LATIN1' }],
    ['problem: shard "main": it is a standby, which only reads; ', { isStandby: true }],
    ['note: shard "main": 12 connections are there for clients, ', { maxConnections: 12 }],
    ['note: shard "main": max_prepared_transactions is 3, less than ', { maxPrepared: 3 }],
    [
      'problem: shard "main": standard_conforming_strings is off; ',
      { settings: new Map([['standard_conforming_strings', 'off']]) },
    ],
  ])('%s', (expected, given) => {
    const text = told(given);
    expect(text.startsWith(expected) && (expected !== '' || text === '')).toBe(true);
  });
});

describe('servers beside each other', () => {
  test.each<[string, Partial<ServerFacts>]>([
    ['', {}],
    ['problem: shard "s1": text is sorted by "b C.UTF-8", ', { collation: 'b C.UTF-8' }],
    ['note: shard "s1": its collations are of version 2.31, ', { collationVersion: '2.31' }],
    [
      'note: shard "s1": it runs PostgreSQL 16.1, 18.4 runs on "main"; ',
      { version: '16.1', versionNumber: 160_001 },
    ],
    [
      'note: shard "s1": setting "TimeZone" is "CET", on "main" "UTC"; ',
      { settings: new Map([['TimeZone', 'CET']]) },
    ],
    ['problem: shard "s1": it is the same database as shard "s0"; ', { identity: 's0' }],
  ])('%s', (expected, given) => {
    const text = compared(given);
    expect(text.startsWith(expected) && (expected !== '' || text === '')).toBe(true);
  });
});
