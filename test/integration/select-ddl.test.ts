/*
 * Merged and gathered SELECTs after the catalog has changed: plans, orders of enums, collations and
 * columns of temporary tables are those of now.
 */
import { expect, test } from 'vitest';
import { selectSuite } from '../support/select-suite.js';

const suite = selectSuite('select_ddl');

const always = [
  'SELECT id, e FROM users ORDER BY e, id',
  'SELECT id, e FROM users ORDER BY e DESC NULLS LAST, id LIMIT 30',
  'SELECT min(e), max(e) FROM users',
  'SELECT u.e, count(*) FROM users u JOIN events x ON x.a = u.boss GROUP BY u.e ORDER BY 1',
  'SELECT * FROM users ORDER BY id',
  'SELECT * FROM users u JOIN events x ON x.a = u.boss ORDER BY u.id, x.code, x.seq',
  'SELECT id FROM users ORDER BY a, id',
  'SELECT a, count(*), sum(a), avg(a) FROM users GROUP BY a ORDER BY a',
  'SELECT u.a, x.a FROM users u LEFT JOIN events x ON x.a = u.a ORDER BY 1, 2',
  'SELECT t FROM users ORDER BY t, id',
  'SELECT u.t, v.t FROM users u JOIN users v ON u.boss = v.id ORDER BY 1, 2',
  'SELECT seen.id FROM seen JOIN events x ON x.seq = seen.a ORDER BY 1',
];

/** One after the other, each on the schema that the one before has left. */
const changes: readonly (readonly string[])[] = [
  [],
  [
    `ALTER TYPE mood ADD VALUE 'odd' BEFORE 'sad'`,
    `UPDATE users SET e = 'odd' WHERE id IN (1, 5, 9, 20)`,
  ],
  [`ALTER TYPE mood RENAME VALUE 'odd' TO 'zzz'`],
  ['ALTER TABLE users ADD COLUMN extra int4 DEFAULT 7'],
  ['ALTER TABLE users ALTER COLUMN a TYPE numeric(6,1)'],
  ['ALTER TABLE users ALTER COLUMN t TYPE text COLLATE "en-x-icu"'],
  ['CREATE VIEW seen AS SELECT id, a FROM users'],
  ['CREATE OR REPLACE VIEW seen AS SELECT id + 100 AS id, a FROM users'],
  ['DROP VIEW seen'],
  ['ALTER TABLE users RENAME COLUMN t TO title'],
  ['ALTER TABLE users DROP COLUMN extra'],
];

test.each(changes.map((statements) => [statements.at(-1) ?? 'no change', statements] as const))(
  'after %s',
  async (_last, statements) => {
    const [proxy, oracle] = [suite.proxy(), suite.oracle()];
    for (const sql of statements) {
      await proxy.must(sql);
      await oracle.must(sql);
    }
    for (const sql of always) {
      const [ours, theirs] = [await proxy.run(sql), await oracle.run(sql)];
      if (theirs.error === null) expect(ours, sql).toEqual(theirs);
      else expect(ours.error?.state, sql).toBe(theirs.error.state);
    }
  },
);
