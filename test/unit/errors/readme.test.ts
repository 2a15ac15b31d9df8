import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { sqlstates } from '../../../src/errors/sqlstates.js';
import { tableOf } from '../../support/readme.js';

const sources = new URL('../../../src/', import.meta.url).pathname;

/** All code but the table itself. */
function code(folder: string): string {
  return readdirSync(folder, { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.ts') && name !== join('errors', 'sqlstates.ts'))
    .map((name) => readFileSync(join(folder, name), 'utf8'))
    .join('\n');
}

test('README lists every SQLSTATE that the code raises, with the words of the table, and no other', () => {
  const text = code(sources);
  const raised = Object.entries(sqlstates).filter(([name]) => text.includes(`'${name}'`));
  const wanted = raised.map(([, { code, when }]): string[] => [code, when]);
  expect(wanted.length).toBeGreaterThan(25);
  expect(tableOf('SQLSTATEs')).toEqual(wanted.sort(([a], [b]) => (a! < b! ? -1 : 1)));
});
