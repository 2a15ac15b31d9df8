import type { Node } from '@pgsql/types';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { deparse, deparseExpression } from '../../../src/sql/deparse.js';
import { Parser } from '../../../src/sql/parser.js';
import { sameTree } from '../../../src/sql/same-tree.js';
import { corpus } from './corpus.js';

let parser: Parser;

beforeAll(async () => {
  parser = await Parser.create();
});

afterAll(async () => {
  await parser.close();
});

function treeOf(sql: string): Node {
  const parsed = parser.parse(new TextEncoder().encode(sql));
  if (parsed instanceof Promise) throw new Error('parsed aside');
  return parsed[0]!.node;
}

function expressionOf(sql: string): Node {
  const select = treeOf(`select ${sql}`) as Extract<Node, { SelectStmt: unknown }>;
  const target = select.SelectStmt.targetList![0] as Extract<Node, { ResTarget: unknown }>;
  return target.ResTarget.val!;
}

const queries = corpus.filter((sql) => /^(select|with|values|table)\b/i.test(sql));

/** What the deparser cannot write: found out, not passed on. */
const unwritten = /json_value|json_table|xmltable|GROUP BY DISTINCT|INTO TEMP/;

describe('deparse', () => {
  it('writes nearly every query of the corpus, and never another one', () => {
    expect(queries.length).toBeGreaterThan(80);
    for (const sql of queries) {
      const tree = treeOf(sql);
      const text = deparse(tree, parser);
      if (unwritten.test(sql)) expect(text, sql).toBeNull();
      else expect(sameTree(treeOf(text ?? 'select'), tree), sql).toBe(true);
    }
  });

  it('writes WITH TIES, which the deparser leaves out', () => {
    const sql = 'select a from t order by a offset 2 fetch first 5 rows with ties';
    expect(deparse(treeOf(sql), parser)).toMatch(
      /ORDER BY a OFFSET 2 FETCH FIRST \(5\) ROWS WITH TIES$/,
    );
  });

  it.each(['bit', 'bit(3)', 'bit varying', 'bit varying(5)', 'varbit', 'bit varying(5)[]'])(
    'writes the type %s',
    (type) => {
      const tree = treeOf(`select a::${type} from t`);
      expect(deparse(tree, parser)).not.toBeNull();
    },
  );

  it('gives no text for what reads back as something else', () => {
    expect(deparse(treeOf('select a from t group by distinct rollup (a, b)'), parser)).toBeNull();
  });

  it('gives no text for what is too large to be parsed at once', () => {
    const sum = Array.from({ length: 900 }, (_, index) => `a${index}`).join(' + ');
    const tree = treeOf(`select ${sum}`) as Extract<Node, { SelectStmt: { targetList?: Node[] } }>;
    const targets = tree.SelectStmt.targetList!;
    tree.SelectStmt.targetList = [...targets, ...targets, ...targets];
    expect(deparse(tree, parser)).toBeNull();
  });

  it('writes expressions with the parentheses that they need', () => {
    expect(deparseExpression(expressionOf('a - (b - c)'), parser)).toBe('a - (b - c)');
    expect(deparseExpression(expressionOf('"Total" * (-2)'), parser)).toMatch(/^"Total" \* /);
    expect(deparseExpression(expressionOf('(t).a'), parser)).toBe('(t).a');
  });
});

describe('sameTree', () => {
  it('looks past places and nothing else', () => {
    expect(sameTree(treeOf('select  a+1'), treeOf('select a + 1'))).toBe(true);
    expect(sameTree(treeOf('select a + 1'), treeOf('select a + 2'))).toBe(false);
    expect(sameTree(treeOf('select a, b'), treeOf('select a'))).toBe(false);
    expect(sameTree(treeOf('select a'), treeOf('select a limit 1'))).toBe(false);
  });
});
