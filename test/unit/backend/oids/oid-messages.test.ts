import { describe, expect, test } from 'vitest';
import { OidMap } from '../../../../src/backend/oids/oid-map.js';
import {
  mapBoundArrays,
  mapParameterDescription,
  mapRowDescription,
  parseRestFor,
  userTypesAt,
} from '../../../../src/backend/oids/oid-messages.js';
import { serverOidsOf } from '../../../../src/backend/oids/server-oids.js';
import { CAPTURE, DROP, PASS, Expect } from '../../../../src/backend/postgres/expected-replies.js';
import { PreparedTexts, unnamedText } from '../../../../src/backend/postgres/prepared-text.js';
import { int32, message } from '../../protocol/messages.js';
import { RecordingSink } from '../postgres/recording-sink.js';
import { replies } from '../postgres/replies.js';
import { ScriptedTransport } from '../postgres/scripted-transport.js';

/** Clients know mood as 20001 and its array as 20002; the shard's are 30001 and 30002. */
const map = OidMap.between(
  serverOidsOf([
    ['t', 'public', 'mood', 'f', '20001', 'f'],
    ['t', 'public', 'mood', 't', '20002', 't'],
    ['r', 'public', 'people', 'f', '20003', 'f'],
  ]),
  serverOidsOf([
    ['t', 'public', 'mood', 'f', '30001', 'f'],
    ['t', 'public', 'mood', 't', '30002', 't'],
    ['r', 'public', 'people', 'f', '30003', 'f'],
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

function array(element: number): Buffer {
  const value = Buffer.from('happy');
  return Buffer.concat([...[1, 0, element, 1, 1, value.length].map(int32), value]);
}

/** A Bind message from behind the statement's name. */
function bindRest(formats: readonly number[], values: readonly (Buffer | null)[]): Buffer {
  const parts = values.flatMap((value) =>
    value === null ? [int32(-1)] : [int32(value.length), value],
  );
  return message('B', formats.length, ...formats, values.length, ...parts, 1, 1).subarray(5);
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

  test('binary arrays name the shard OID of their elements', () => {
    const types = [20002, 17, 20002, 20002];
    const values = [array(20001), array(20001), null, array(20001)];
    const bound = bindRest([1], values);
    mapBoundArrays(bound, types, map);
    expect(bound).toEqual(bindRest([1], [array(30001), array(20001), null, array(30001)]));
  });

  test.each([
    ['in text format', [0], [20002]],
    ['in text by default', [], [20002]],
    ['of a type that is not known', [1], [0]],
    ['of built-in types', [1], [1009]],
    ['without any known type', [1], []],
  ])('values %s stay what they are', (_name, formats, types) => {
    const bound = bindRest(formats, [array(20001)]);
    mapBoundArrays(bound, types, map);
    expect(bound).toEqual(bindRest(formats, [array(20001)]));
  });

  test('a format each', () => {
    const bound = bindRest([0, 1], [array(20001), array(20001)]);
    mapBoundArrays(bound, [20002, 20002], map);
    expect(bound).toEqual(bindRest([0, 1], [array(20001), array(30001)]));
  });

  test('a value too short for an array is left to the server', () => {
    const bound = bindRest([1], [Buffer.alloc(11), array(20001)]);
    mapBoundArrays(bound, [20002, 20002], map);
    expect(bound).toEqual(bindRest([1], [Buffer.alloc(11), array(30001)]));
  });
});

test('only types made by users make a list', () => {
  const told = parameters(23, 20001);
  expect(userTypesAt(told, 5, told.length)).toEqual([23, 20001]);
  const builtIn = parameters(23, 25);
  expect(userTypesAt(builtIn, 5, builtIn.length)).toBeNull();
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
    backend.statements.describe(text, text.name, PASS);
    backend.flush();
    expect(transport.written).toContain(parseRest('a', 30001).toString('latin1'));
    const answer = [replies.parseComplete, parameters(30001), rows(30003, 30002)];
    for (const byte of Buffer.concat(answer)) transport.deliver(Buffer.from([byte]));
    const heard = [replies.parseComplete, parameters(20001), rows(20003, 20002)];
    expect(sink.passed).toBe(Buffer.concat(heard).toString('latin1'));
  });

  test('what it describes is known when values are bound, on any backend of the text', () => {
    const sink = new RecordingSink();
    const first = new ScriptedTransport(24);
    const described = first.backend(sink);
    const text = texts.intern(parseRest('b'), '');
    expect(text.userTypes).toBeNull();
    described.statements.describe(text, text.name, CAPTURE);
    first.deliver(Buffer.concat([parameters(25, 20002), replies.noData]));
    expect(text.userTypes).toEqual([25, 20002]);

    const mapped = new RecordingSink();
    mapped.oids = map;
    const second = new ScriptedTransport(24);
    const backend = second.backend(mapped);
    backend.statements.parseUnnamed(text, DROP);
    backend.statements.bindUnnamed(bindRest([1], [null, array(20001)]));
    backend.flush();
    expect(second.written).toContain(bindRest([1], [null, array(30001)]).toString('latin1'));
  });

  test('descriptions that fail are not taken for those behind them', () => {
    const transport = new ScriptedTransport(24);
    const backend = transport.backend(new RecordingSink());
    const [failing, later] = ['c', 'd'].map((sql) => texts.intern(parseRest(sql), ''));
    backend.statements.describe(failing!, failing!.name, DROP);
    backend.sync(DROP);
    backend.statements.describe(later!, later!.name, DROP);
    backend.expect(Expect.sync, DROP);
    const error = [replies.error('42P01'), replies.ready()];
    transport.deliver(Buffer.concat([...error, parameters(20001), replies.noData]));
    expect([failing!.userTypes, later!.userTypes]).toEqual([null, [20001]]);
  });

  test('a text of one use knows the types it was given', () => {
    expect(unnamedText('e', [25, 20001]).userTypes).toEqual([25, 20001]);
    expect(unnamedText('e', [25]).userTypes).toBeNull();
  });
});
