import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  refusedSetting,
  SessionSettings,
  settingsSql,
} from '../../../src/frontend/session-settings.js';

const set = (name: string, value: string | null, local = false) => ({ name, value, local });
const map = (values: Record<string, string>): ReadonlyMap<string, string> =>
  new Map(Object.entries(values));

describe('SessionSettings', () => {
  test('SET, SET to something else, RESET', () => {
    const settings = new SessionSettings();
    expect(settings.key).toBe('');
    settings.apply(set('timezone', 'UTC'));
    const key = settings.key;
    settings.apply(set('timezone', 'CET'));
    expect(settings.get('timezone')).toBe('CET');
    expect(settings.key).not.toBe(key);
    settings.apply(set('timezone', 'UTC'));
    expect(settings.key).toBe(key);
    settings.apply(set('timezone', null));
    expect(settings.get('timezone')).toBeUndefined();
    expect(settings.key).toBe('');
  });

  test('SET LOCAL leaves nothing behind', () => {
    const settings = new SessionSettings();
    settings.apply(set('timezone', 'UTC', true));
    expect(settings.current.size).toBe(0);
  });

  test('RESET goes back to the startup message', () => {
    const settings = new SessionSettings();
    settings.setBase(map({ timezone: 'CET', datestyle: 'ISO' }));
    const key = settings.key;
    settings.apply(set('timezone', 'UTC'));
    settings.apply(set('datestyle', 'German'));
    settings.apply(set('work_mem', '1MB'));
    settings.apply(set('timezone', null));
    expect(settings.get('timezone')).toBe('CET');
    settings.apply(set('*', null));
    expect(settings.key).toBe(key);
    settings.apply(set('work_mem', '1MB'));
    settings.reset();
    expect(settings.key).toBe(key);
  });

  test('a rollback restores what was current, whatever was set since', () => {
    const settings = new SessionSettings();
    settings.apply(set('a', '1'));
    const before = settings.current;
    settings.apply(set('a', '2'));
    settings.apply(set('b', '3'));
    expect(before).toEqual(map({ a: '1' }));
    settings.restore(before);
    expect(settings.current).toEqual(map({ a: '1' }));
    expect(settings.key).toBe(new SessionSettings().keyOf(map({ a: '1' })));
  });
});

describe('names that a session makes up', () => {
  const backend = (): { madeNames: Set<string> } => ({ madeNames: new Set() });

  test('are made known on each backend once, whatever became of their values', () => {
    const settings = new SessionSettings();
    const before = settings.current;
    settings.apply(set('my.var', '1'));
    settings.restore(before);
    settings.apply(set('my.local', 'x', true));
    const one = backend();
    expect(settings.sqlFor(map({}), settings.current, one)).toBe(
      'RESET "my"."var";RESET "my"."local"',
    );
    settings.noteMade(one);
    expect(settings.sqlFor(map({}), settings.current, one)).toBe('');
    expect(settings.key).not.toBe(new SessionSettings().key);
  });

  test('need nothing more where they have a value, or had one', () => {
    const settings = new SessionSettings();
    settings.apply(set('my.var', '1'));
    const one = backend();
    expect(settings.sqlFor(map({}), settings.current, one)).toBe(
      `SELECT pg_catalog.set_config('my.var','1',false)`,
    );
    settings.noteMade(one);
    settings.apply(set('my.var', null));
    expect(settings.sqlFor(map({ 'my.var': '1' }), settings.current, one)).toBe('RESET "my"."var"');
  });

  test('tell which backends know no others', () => {
    const settings = new SessionSettings();
    const one = backend();
    settings.name(set('my.var', '1'));
    settings.noteMade(one);
    expect(settings.knows(one.madeNames)).toBe(true);
    expect(new SessionSettings().knows(one.madeNames)).toBe(false);
    const other = new SessionSettings();
    other.setBase(map({ 'my.var': '2', work_mem: '1MB' }));
    expect(other.knows(one.madeNames)).toBe(true);
    other.noteMade(one);
    expect([...one.madeNames]).toEqual(['my.var']);
  });

  test('but how the session commits is not one of them', () => {
    const settings = new SessionSettings();
    settings.apply(set('shardgate.cross_shard', 'refuse'));
    settings.apply(set('shardgate.cross_shard', null));
    expect(settings.key).toBe('');
  });
});

test('keys are equal for equal settings and for no others', () => {
  const text = fc.string({ unit: fc.constantFrom('a', 'b', ',', '=', '"', ' '), maxLength: 3 });
  const name = fc.string({ unit: fc.constantFrom('a', 'b', '.'), minLength: 1, maxLength: 2 });
  const values = fc.dictionary(name, text, { maxKeys: 3 }).map(map);
  fc.assert(
    fc.property(values, values, (one, other) => {
      const same =
        one.size === other.size && [...one].every(([key, value]) => other.get(key) === value);
      const settings = new SessionSettings();
      expect(settings.keyOf(one) === settings.keyOf(other)).toBe(same);
      expect(settings.keyOf(new Map([...one].reverse()))).toBe(settings.keyOf(one));
    }),
    { numRuns: 500 },
  );
});

describe('what a backend must run', () => {
  test('nothing where it has what is wanted', () => {
    expect(settingsSql(map({ a: '1' }), map({ a: '1' }))).toBe('');
    expect(settingsSql(map({}), map({}))).toBe('');
  });

  test('only what differs', () => {
    expect(settingsSql(map({ a: '1', b: '2', c: '3' }), map({ a: '1', b: '9', d: '4' }))).toBe(
      `RESET "c";SELECT pg_catalog.set_config('b','9',false),pg_catalog.set_config('d','4',false)`,
    );
  });

  test('everything where nothing is known of it', () => {
    expect(settingsSql(null, map({}))).toBe('RESET ROLE;RESET ALL');
    expect(settingsSql(null, map({ a: '1' }))).toBe(
      `RESET ROLE;RESET ALL;SELECT pg_catalog.set_config('a','1',false)`,
    );
  });

  test('values and names cannot break out of their quotes', () => {
    const sql = settingsSql(map({ 'my.x"; DROP TABLE t': '1' }), map({ a: "'; DROP TABLE t --" }));
    expect(sql).toBe(
      `RESET "my"."x""; DROP TABLE t";SELECT pg_catalog.set_config('a','''; DROP TABLE t --',false)`,
    );
  });
});

describe('settings that would make the proxy read statements otherwise than the shards', () => {
  test.each([
    ['standard_conforming_strings', 'off'],
    ['standard_conforming_strings', '0'],
    ['client_encoding', 'LATIN1'],
    ['client_encoding', 'SJIS'],
    ['client_encoding', "utf8' x"],
    ['session_authorization', 'bob'],
    ['seed', '0.5'],
  ])('%s = %s is refused', (name, value) => {
    expect(refusedSetting(name, value)).toMatchObject({ code: '0A000', severity: 'ERROR' });
    expect(refusedSetting(name, value, 'FATAL')).toMatchObject({ severity: 'FATAL' });
  });

  test.each([
    ['standard_conforming_strings', 'on'],
    ['standard_conforming_strings', 'TRUE'],
    ['standard_conforming_strings', null],
    ['client_encoding', 'UTF8'],
    ['client_encoding', 'utf-8'],
    ['client_encoding', "'utf-8'"],
    ['client_encoding', 'unicode'],
    ['client_encoding', null],
    ['session_authorization', null],
    ['timezone', 'anything'],
  ])('%s = %s is fine', (name, value) => {
    expect(refusedSetting(name, value)).toBeNull();
  });
});
