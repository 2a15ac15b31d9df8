import { describe, expect, test } from 'vitest';
import { sqlError, SqlError } from '../../../src/errors/sql-error.js';
import { sqlstates, type SqlStateName } from '../../../src/errors/sqlstates.js';

const names = Object.keys(sqlstates) as SqlStateName[];

describe('the table of SQLSTATEs', () => {
  test('holds codes as PostgreSQL writes them, each once', () => {
    const codes = names.map((name) => sqlstates[name].code);
    for (const code of codes) expect(code).toMatch(/^[0-9A-Z]{5}$/);
    expect(new Set(codes).size).toBe(codes.length);
  });

  test('says of each when it is raised, in one line that a Markdown table can hold', () => {
    for (const name of names) {
      const { when } = sqlstates[name];
      expect(when, name).toMatch(/^[^|\n]{10,}[^.|\n]$/);
    }
  });
});

describe('an error made from the table', () => {
  test('carries the code of its name, and is an ERROR unless it says more', () => {
    for (const name of names) {
      const error = sqlError(name, 'what happened');
      expect(error).toBeInstanceOf(SqlError);
      expect(error).toBeInstanceOf(Error);
      expect(error.state).toBe(name);
      expect(error.code).toBe(sqlstates[name].code);
      expect(error.severity).toBe('ERROR');
      expect(error.message).toBe('what happened');
    }
  });

  test('keeps detail, hint, position and severity, and invents none', () => {
    const fields = { detail: 'd', hint: 'h', position: 7, severity: 'FATAL' } as const;
    expect(sqlError('syntax_error', 'm', fields)).toMatchObject(fields);
    const bare = sqlError('syntax_error', 'm');
    expect([bare.detail, bare.hint, bare.position]).toEqual([undefined, undefined, undefined]);
  });
});
