import { describe, expect, test } from 'vitest';
import { splitRows, textOfRows } from '../../../src/executor/insert-split.js';
import { ShardTargets, ValueSource } from '../../../src/executor/shard-targets.js';
import type { KeyspaceIdCell } from '../../../src/keyspace/keyspace-id.js';
import type { Keyspace, Shard } from '../../../src/keyspace/topology.js';
import { INVALID, MAPPED, type KeyMapper } from '../../../src/keyspace/vindex.js';
import type { InsertSplitPlan } from '../../../src/planner/plan.js';
import { Literals } from '../../../src/sql/literals.js';
import { positionOf } from '../../../src/sql/position.js';
import { scanShape } from '../../../src/sql/scanner.js';

const shards: Shard[] = ['s0', 's1', 's2'].map((name, index) => ({
  index,
  name,
  keyspace: 'shop',
  ranges: [],
}));

/** Whole numbers; a row lives on the shard of its remainder. */
const byRemainder: KeyMapper = {
  text: (bytes, start, end, out: KeyspaceIdCell) => {
    const text = Buffer.from(bytes.subarray(start, end)).toString();
    if (!/^\d+$/.test(text)) return INVALID;
    out.hi = 0;
    out.lo = Number(text) % shards.length;
    return MAPPED;
  },
  binary: () => INVALID,
};

const keyspace: Keyspace = {
  name: 'shop',
  sharded: true,
  shards,
  vindexes: new Map(),
  tables: new Map(),
  shardOf: (_hi, lo) => shards[lo]!,
};

interface Scanned {
  readonly bytes: Buffer;
  readonly from: number;
  readonly to: number;
  readonly literals: Literals;
}

/** The statement in the middle of a message. */
function scan(sql: string): Scanned {
  const bytes = Buffer.from(`Q....${sql}\0(9)`);
  const literals = new Literals();
  const to = 5 + Buffer.byteLength(sql);
  scanShape(bytes, 5, to, literals);
  return { bytes: bytes.subarray(5), from: 0, to: to - 5, literals };
}

/** The plan of an INSERT whose rows are `(key, ...)`, as the planner makes it of the first text of a shape. */
function planOf(sql: string): InsertSplitPlan {
  const { literals } = scan(sql);
  const rows = [...sql.matchAll(/\((\d+),(?:\$\$.*?\$\$|'(?:[^']|'')*'|[^()'$])*\)/g)].map(
    (match) => {
      const start = Buffer.byteLength(sql.slice(0, match.index));
      return {
        start: positionOf(start, literals),
        end: positionOf(start + Buffer.byteLength(match[0]), literals),
        key: {
          source: { kind: 'literal', index: literals.firstAtOrAfter(start), negative: false },
          mapper: byRemainder,
          inputType: 20,
          columnType: 20,
          column: 'orders.id',
        },
      } as const;
    },
  );
  return {
    kind: 'insertSplit',
    verb: 'insert',
    writes: true,
    keyspace,
    table: 'orders',
    rows,
    returning: false,
  };
}

/** `shard: text` of every part that `sql` is split into by the plan of `planned`. */
function split(sql: string, planned = sql): string[] {
  const plan = planOf(planned);
  const { bytes, from, to, literals } = scan(sql);
  const source = new ValueSource();
  source.text = bytes;
  source.literals = literals;
  const parts = splitRows(plan, source, new ShardTargets());
  return parts.shards.map((shard, i) => {
    const text = textOfRows(plan, bytes, from, to, literals, parts.rows[i]!);
    return `${shard.name}: ${text.toString()}`;
  });
}

describe('the rows of an INSERT', () => {
  test('go to their shards, in order, with everything around them', () => {
    const sql = `insert into orders (id, note) values (1, 'a'), (0, 'b'),(3, 'c') , (4, 'd') on conflict do nothing`;
    expect(split(sql)).toEqual([
      `s0: insert into orders (id, note) values (0, 'b'), (3, 'c') on conflict do nothing`,
      `s1: insert into orders (id, note) values (1, 'a'), (4, 'd') on conflict do nothing`,
    ]);
  });

  test('of one shard stay together', () => {
    expect(split('insert into orders values (1, 2)')).toEqual([
      's1: insert into orders values (1, 2)',
    ]);
    expect(split('insert into orders values (2, 2), (5, 2);')).toEqual([
      's2: insert into orders values (2, 2), (5, 2);',
    ]);
  });

  test('keep strings that look like rows, comments and characters of several bytes', () => {
    const sql = `/* é */ insert into orders values (0, 'x, y''日本') , (1, $$), ($$) -- end`;
    expect(split(sql)).toEqual([
      `s0: /* é */ insert into orders values (0, 'x, y''日本') -- end`,
      `s1: /* é */ insert into orders values (1, $$), ($$) -- end`,
    ]);
  });

  test('are found in another text of the same shape, whatever its literals are', () => {
    const planned = `insert into orders values (0, 'a'), (1, 'b')`;
    const other = `insert into orders values (100, 'long (text), (with commas)'), (2, '')`;
    expect(split(other, planned)).toEqual([
      `s1: insert into orders values (100, 'long (text), (with commas)')`,
      `s2: insert into orders values (2, '')`,
    ]);
  });
});
