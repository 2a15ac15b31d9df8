/* Window functions over partitions that shards share. None may be refused. */
import { describe } from 'vitest';
import { selectSuite } from '../support/select-suite.js';

const suite = selectSuite('select_windows');

describe('partitions by the shard key, across shards, and none', () => {
  for (const partition of ['PARTITION BY uid ', 'PARTITION BY rid ', '']) {
    const over = `(${partition}ORDER BY amount DESC, uid, n)`;
    const rows = 'ROWS BETWEEN 1 PRECEDING AND CURRENT ROW';
    suite.answered([
      `SELECT uid, n, row_number() OVER ${over} FROM sales`,
      `SELECT uid, n, rank() OVER (${partition}ORDER BY amount), dense_rank() OVER (${partition}ORDER BY t) FROM sales`,
      `SELECT uid, n, lag(amount) OVER ${over}, lead(t, 2, 'none') OVER ${over} FROM sales ORDER BY uid, n`,
      `SELECT uid, n, first_value(t) OVER ${over}, nth_value(n, 2) OVER ${over} FROM sales ORDER BY 1, 2`,
      `SELECT uid, n, sum(amount) OVER ${over}, count(*) OVER (${partition}) FROM sales ORDER BY uid, n LIMIT 20`,
      `SELECT uid, n, avg(amount) OVER (${partition}ORDER BY uid, n ${rows}) FROM sales ORDER BY 1, 2`,
      `SELECT uid, n, ntile(3) OVER ${over}, cume_dist() OVER ${over} FROM sales ORDER BY 1, 2`,
      `SELECT uid, n, sum(a) OVER w, max(t) OVER w FROM sales WINDOW w AS (${partition}ORDER BY n GROUPS 1 PRECEDING) ORDER BY 1, 2`,
      `SELECT * FROM (SELECT uid, n, row_number() OVER ${over} AS i FROM sales) x WHERE i <= 2 ORDER BY 1, 2`,
      `SELECT DISTINCT count(*) OVER (${partition}) FROM sales ORDER BY 1`,
    ]);
  }
});

describe('together with other things', () => {
  suite.answered([
    'SELECT a, count(*), rank() OVER (ORDER BY count(*) DESC) FROM users GROUP BY a ORDER BY 1',
    'SELECT a, sum(sum(o)) OVER (ORDER BY a) FROM users GROUP BY a ORDER BY a',
    'SELECT u.id, s.n, sum(s.amount) OVER (PARTITION BY u.a) FROM users u JOIN sales s ON s.uid = u.id ORDER BY 1, 2',
    'SELECT u.id, e.code, count(*) OVER (PARTITION BY e.code) FROM users u JOIN events e ON e.uid = u.id ORDER BY 1, 2, e.seq',
    'SELECT id FROM users ORDER BY row_number() OVER (ORDER BY t, id DESC)',
    'SELECT id, sum(a) FILTER (WHERE b) OVER (ORDER BY id) FROM users ORDER BY id',
    'SELECT id, t, string_agg(t, $$,$$) OVER (ORDER BY id) FROM users ORDER BY id',
    'SELECT id, sum(q) OVER (ORDER BY id RANGE BETWEEN 5 PRECEDING AND 5 FOLLOWING EXCLUDE CURRENT ROW) FROM users ORDER BY 1',
    `SELECT id, count(*) OVER (ORDER BY ts RANGE BETWEEN interval '1 day' PRECEDING AND CURRENT ROW) FROM users ORDER BY id`,
    'WITH w AS (SELECT id, row_number() OVER (ORDER BY id) AS i FROM users) SELECT x.id, y.id FROM w x JOIN w y ON x.i = y.i + 1 ORDER BY 1',
    'SELECT id FROM users u WHERE id = (SELECT first_value(uid) OVER (ORDER BY uid DESC) FROM sales LIMIT 1)',
    { sql: 'SELECT id, ntile($1) OVER (ORDER BY id) FROM users ORDER BY id', params: ['4'] },
  ]);
});
