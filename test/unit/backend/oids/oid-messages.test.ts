import { describe, expect, test } from 'vitest';
import { OidMap } from '../../../../src/backend/oids/oid-map.js';
import {
  mapParameterDescription,
  mapRowDescription,
  namesUserTypes,
  parseRestFor,
} from '../../../../src/backend/oids/oid-messages.js';
import { serverOidsOf } from '../../../../src/backend/oids/server-oids.js';
import { Expect, PASS } from '../../../../src/backend/postgres/expected-replies.js';
import { PreparedTexts, unnamedText } from '../../../../src/backend/postgres/prepared-text.js';
import { int32, message } from '../../protocol/messages.js';
import { RecordingSink } from '../postgres/recording-sink.js';
import { replies } from '../postgres/replies.js';
import { ScriptedTransport } from '../postgres/scripted-transport.js';

/** Clients know mood as 20001 and its array as 20002; the shard's are 30001 and 30002. */
const map = OidMap.between(
  serverOidsOf([
    ['t', 'public', 'mood', 'f', '20001'],
    ['t', 'public', 'mood', 't', '20002'],
    ['r', 'public', 'people', 'f', '20003'],
  ]),
  serverOidsOf([
    ['t', 'public', 'mood', 'f', '30001'],
    ['t', 'public', 'mood', 't', '30002'],
    ['r', 'public', 'people', 'f', '30003'],
  ]),
)!;

function column(name: string, table: number, type: number): Buffer {
  const rest = [int32(table), Buffer.from([0, 1]), int32(type), Buffer.alloc(8, 0xff)];
  return Buffer.concat([Buffer.from(`${name}\0`), ...rest]);
}

function rows(table: number, ...types: readonly number[]): Buffer {
  const columns = types.map((type, i) => column('x'.repeat(i), table, type));
  return message('T', types.length, ...columns);
}

function parameters(...types: readonly number[]): Buffer {
  return message('t', types.length, ...types.map(int32));
}

function parseRest(text: string, ...types: readonly number[]): Buffer {
  return message('P', `${text}\0`, types.length, ...types.map(int32)).subarray(5);
}

describe('descriptions of a shard', () => {
  test('name types and tables as the catalog shard does', () => {
    const described = Buffer.concat([Buffer.from('before'), rows(30003, 30001, 25, 30002, 40000)]);
    const length = described.length;
    mapRowDescription(described, 6, length, map);
    expect(described.subarray(6)).toEqual(rows(20003, 20001, 25, 20002, 40000));
    const types = parameters(30002, 0, 30001, 23);
    mapParameterDescription(types, 0, types.length, map);
    expect(types).toEqual(parameters(20002, 0, 20001, 23));
  });

  test('that are cut short are left to whoever reads them', () => {
    const whole = rows(30003, 30001, 30002);
    for (let end = 7; end < whole.length; end++) {
      const cut = Buffer.from(whole.subarray(0, end));
      expect(() => {
        mapRowDescription(cut, 0, end, map);
      }).not.toThrow();
    }
  });
});

describe('what goes to a shard', () => {
  test('Parse has the shard OIDs; the shared text keeps its own', () => {
    const rest = parseRest('select $1', 20001, 0, 20002, 25);
    const before = Buffer.from(rest);
    expect(parseRestFor(rest, map)).toEqual(parseRest('select $1', 30001, 0, 30002, 25));
    expect(rest).toEqual(before);
  });

  test('Parse is looked at only where it names types made by users', () => {
    expect(namesUserTypes(parseRest('select $1', 25, 20001))).toBe(true);
    expect(namesUserTypes(parseRest('select $1', 25, 0))).toBe(false);
    expect(namesUserTypes(parseRest('select $1'))).toBe(false);
  });
});

describe('a backend whose server has other OIDs', () => {
  const texts = new PreparedTexts();

  test('gets its own OIDs and is heard with those of the catalog shard', () => {
    const sink = new RecordingSink();
    sink.oids = map;
    const transport = new ScriptedTransport(24);
    const backend = transport.backend(sink);
    const text = texts.intern(parseRest('a', 20001), '');
    backend.statements.parse(text, PASS);
    backend.expect(Expect.describe, PASS);
    backend.flush();
    expect(transport.written).toContain(parseRest('a', 30001).toString('latin1'));
    const answer = [replies.parseComplete, parameters(30001), rows(30003, 30002)];
    for (const byte of Buffer.concat(answer)) transport.deliver(Buffer.from([byte]));
    const heard = [replies.parseComplete, parameters(20001), rows(20003, 20002)];
    expect(sink.passed).toBe(Buffer.concat(heard).toString('latin1'));
  });

  test('a text of one use knows the types it was given', () => {
    expect(unnamedText('e', [25, 20001]).namesUserTypes).toBe(true);
    expect(unnamedText('e', [25]).namesUserTypes).toBe(false);
  });
});
