/* UNION, INTERSECT and EXCEPT over several shards, nested, ordered and cut. None may be refused. */
import { describe } from 'vitest';
import { selectSuite } from '../support/select-suite.js';

const suite = selectSuite('select_set_operations');

const arms = [
  'SELECT a FROM users',
  'SELECT rid FROM sales',
  'SELECT id FROM regions',
  'SELECT a FROM notes',
  'SELECT seq FROM events WHERE code > $$a$$',
];

describe('every operation on every pair', () => {
  for (const operation of [
    'UNION',
    'UNION ALL',
    'INTERSECT',
    'INTERSECT ALL',
    'EXCEPT',
    'EXCEPT ALL',
  ]) {
    suite.answered(arms.map((left, i) => `${left} ${operation} ${arms[(i + 1) % arms.length]!}`));
    suite.answered(
      arms.slice(0, 3).map((left) => `${left} ${operation} ${left} ORDER BY 1 LIMIT 4`),
    );
  }
});

describe('nested, ordered, cut', () => {
  suite.answered([
    'SELECT a FROM users UNION SELECT rid FROM sales ORDER BY a DESC NULLS LAST LIMIT 3',
    '(SELECT id FROM users ORDER BY id LIMIT 3) UNION ALL (SELECT uid FROM events ORDER BY uid LIMIT 2) ORDER BY 1',
    '(SELECT a FROM users UNION ALL SELECT a FROM events) EXCEPT ALL (SELECT rid FROM sales INTERSECT SELECT a FROM notes) ORDER BY 1',
    'SELECT a FROM users UNION SELECT a FROM events INTERSECT SELECT rid FROM sales ORDER BY 1',
    'SELECT a, b FROM users UNION SELECT a, flag FROM sales ORDER BY 2, 1',
    'SELECT t FROM users UNION SELECT t FROM sales ORDER BY t',
    'SELECT v FROM users UNION SELECT t FROM events ORDER BY 1',
    'SELECT a FROM users UNION ALL SELECT 2.5 ORDER BY 1',
    'SELECT NULL UNION SELECT t FROM users ORDER BY 1',
    `SELECT 'x' AS x UNION ALL SELECT t FROM users ORDER BY x`,
    'SELECT count(*) FROM (SELECT a FROM users UNION SELECT a FROM sales) x',
    'SELECT x.a, count(*) FROM (SELECT a FROM users UNION ALL SELECT a FROM sales) x GROUP BY 1 ORDER BY 1',
    'SELECT a, count(*) FROM users GROUP BY a UNION ALL SELECT a, count(*) FROM sales GROUP BY a ORDER BY 1, 2',
    'SELECT max(a) FROM users UNION ALL SELECT max(rid) FROM sales ORDER BY 1',
    'SELECT id FROM users WHERE id IN (SELECT uid FROM events EXCEPT SELECT uid FROM sales) ORDER BY 1',
    'SELECT id FROM users UNION SELECT uid FROM sales ORDER BY 1 LIMIT 5 OFFSET 2',
    'SELECT id FROM users WHERE id = 3 UNION SELECT uid FROM sales WHERE uid = 4 ORDER BY 1',
    'SELECT id FROM users INTERSECT SELECT uid FROM sales ORDER BY 1',
    'SELECT id, a FROM users EXCEPT SELECT uid, a FROM sales ORDER BY 1',
    'SELECT e FROM users UNION SELECT e FROM sales ORDER BY e',
    'SELECT d FROM users UNION SELECT d FROM notes UNION SELECT d FROM events ORDER BY 1',
    'SELECT r FROM users UNION SELECT ARRAY[9] ORDER BY 1',
    'VALUES (1), (2) UNION SELECT a FROM users ORDER BY 1',
    'WITH w AS (SELECT a FROM users) SELECT a FROM w UNION ALL SELECT a + 1 FROM w ORDER BY 1',
    'SELECT FROM users UNION ALL SELECT FROM regions',
    {
      sql: 'SELECT a + $1 FROM users UNION SELECT rid FROM sales WHERE n = $2 ORDER BY 1',
      params: ['1', '0'],
    },
  ]);
});
