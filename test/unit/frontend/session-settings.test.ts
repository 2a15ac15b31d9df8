import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  refusedSetting,
  SessionSettings,
  settingsKey,
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
    expect(settings.key).toBe(settingsKey(map({ a: '1' })));
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
      expect(settingsKey(one) === settingsKey(other)).toBe(same);
      expect(settingsKey(new Map([...one].reverse()))).toBe(settingsKey(one));
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
