import { expect, test } from 'vitest';
import { offsetOf, positionOf } from '../../../src/sql/position.js';
import { scan } from './scanning.js';

const sql = "INSERT INTO t VALUES (1, 'a'), /* c */ (22, 'bb') RETURNING 1";
const other = "INSERT INTO t VALUES (333333, 'it''s'), /* longer */ (4, '') RETURNING 999";

test('a position means the same place in every text of the shape', () => {
  expect(scan(sql).shape).toBe(scan(other).shape);
  for (const mark of ['INSERT', 'VALUES', '(', '),', 'RETURNING']) {
    const position = positionOf(sql.indexOf(mark), scan(sql).literals);
    expect(other.slice(offsetOf(position, scan(other).literals))).toMatch(
      new RegExp(`^${mark.replace(/[()]/g, '\\$&')}`),
    );
  }
  const end = positionOf(sql.length, scan(sql).literals);
  expect(offsetOf(end, scan(other).literals)).toBe(other.length);
});

test('positions before the first literal count from the start', () => {
  expect(positionOf(7, scan('SELECT 5').literals)).toEqual({ literal: -1, delta: 7 });
  expect(positionOf(8, scan('SELECT 5').literals)).toEqual({ literal: 0, delta: 0 });
});

test('every place outside literals comes back to itself', () => {
  const { literals } = scan(sql);
  for (let offset = 0; offset <= sql.length; offset++) {
    expect(offsetOf(positionOf(offset, literals), literals)).toBe(offset);
  }
});
