import type { Shard } from '../../keyspace/topology.js';
import type {
  DealSpec,
  Destination,
  DistributeSpec,
  FinalPiece,
  GatherInput,
  GatherSpec,
  ManyShards,
  MergeSpec,
  MoveSpec,
  RowCount,
  ShardSelector,
  ShipSpec,
  SourceQuery,
  SpreadSpec,
} from '../../planner/plan.js';

import { withRelations } from '../marked-texts.js';
import { reasonOfAll, reasonOfKeys } from '../range-shards.js';

/**
 * One step of a statement over several shards, as EXPLAIN shows it. Rendered by render.ts; the names of properties are
 * those of the text format, in which PostgreSQL's own plans have such lines too.
 */
export interface PlanNode {
  readonly type: string;
  readonly properties: readonly (readonly [name: string, value: PropertyValue])[];
  readonly children: readonly PlanNode[];
  /** The statement that shards run here, for whoever asks them about it; null: none. */
  readonly pushed: PushedStatement | null;
}

export type PropertyValue = string | number | readonly string[];

export interface PushedStatement {
  readonly sql: string;
  readonly shards: readonly Shard[];
}

/** Tells which shards a selector, of a source where one is given, means in this execution. */
export type ResolveShards = (selector: ShardSelector, source?: SourceQuery) => readonly Shard[];

/** The tree of a statement whose text is `sql` and whose shards are `shards`. */
export function planTree(
  many: ManyShards,
  sql: string,
  selector: ShardSelector,
  resolve: ResolveShards,
): PlanNode {
  switch (many.kind) {
    case 'merge':
      return mergeNode(many.merge, selector, resolve);
    case 'gather':
      return gatherNode(many.gather, resolve);
    case 'ship':
      return shipNode(many.ship, resolve);
    case 'deal':
      return dealNode(many.deal, resolve);
    case 'spread':
      return spreadNode(many.spread, resolve);
    case 'move':
      return moveNode(many.move, resolve);
    case 'distribute':
      return distributeNode(many.distribute, resolve);
    default:
      return leaf(titles[many.kind], sql, selector, resolve);
  }
}

const titles: Readonly<
  Record<
    Exclude<
      ManyShards['kind'],
      'merge' | 'gather' | 'ship' | 'deal' | 'spread' | 'move' | 'distribute'
    >,
    string
  >
> = {
  concat: 'Concatenate',
  counts: 'Sum Counts',
  addTags: 'Scatter',
  copyConcat: 'Concatenate Copies',
  copyRows: 'Copy Rows',
  explain: 'Explain',
  refuse: 'Refuse',
  replan: 'Several Shards',
};

function leaf(
  type: string,
  sql: string,
  selector: ShardSelector,
  resolve: ResolveShards,
): PlanNode {
  const shards = resolve(selector);
  return {
    type,
    properties: [...shardProperties(selector, shards), ['Each Shard', sql]],
    children: [],
    pushed: { sql, shards },
  };
}

function mergeNode(merge: MergeSpec, selector: ShardSelector, resolve: ResolveShards): PlanNode {
  const shards = resolve(selector);
  const properties: [string, PropertyValue][] = [...shardProperties(selector, shards)];
  if (merge.keys.length > 0) {
    const keys = merge.keys.map((key, i) => {
      const column = `column ${merge.visibleColumns + i + 1}`;
      const nulls = key.nullsFirst === key.descending ? '' : nullsText(key.nullsFirst);
      return `${column}${key.descending ? ' DESC' : ''}${nulls}`;
    });
    properties.push(['Merge Key', keys]);
  }
  if (hasCount(merge.limit)) properties.push(['Limit', countText(merge.limit, merge.withTies)]);
  if (hasCount(merge.offset)) properties.push(['Offset', countText(merge.offset, false)]);
  properties.push(['Each Shard', merge.sql]);
  return {
    type: merge.keys.length > 0 ? 'Merge Sorted' : 'Concatenate',
    properties,
    children: [],
    pushed: { sql: merge.sql, shards },
  };
}

function nullsText(first: boolean): string {
  return first ? ' NULLS FIRST' : ' NULLS LAST';
}

function hasCount(count: RowCount | null): count is RowCount {
  return count !== null && !(count.kind === 'constant' && count.value === null);
}

function countText(count: RowCount, withTies: boolean): string {
  const value = count.kind === 'param' ? `$${count.index + 1}` : String(count.value);
  return withTies ? `${value} WITH TIES` : value;
}

function gatherNode(gather: GatherSpec, resolve: ResolveShards): PlanNode {
  const home = resolve(gather.home);
  return {
    type: 'Gather',
    properties: [
      ['Home', home.map((shard) => shard.name).join(', ')],
      ['Final', finalText(gather.final, gather.inputs)],
    ],
    children: gather.inputs.map((input) => inputNode(input, gather.inputs, resolve)),
    pushed: null,
  };
}

function shipNode({ inputs, statement }: ShipSpec, resolve: ResolveShards): PlanNode {
  const { many, shards } = statement.plan;
  const labels = inputs.map(({ label }) => `<${label}>`);
  const marks = inputs.map(({ mark }) => mark);
  const inStatement: ResolveShards = (selector) => resolve(selector, statement);
  const over = planTree(withRelations(many, marks, labels), '', shards, inStatement);
  return {
    type: 'Join Where Rows Are',
    properties: [],
    children: [
      ...inputs.map(({ label, source, estimatedRows }): PlanNode => {
        const read = sourceTree(source, resolve);
        const properties: PlanNode['properties'] = [
          ['Sent To Each Shard', label],
          ['Estimated Rows', estimatedRows],
        ];
        return { ...read, properties: [...properties, ...read.properties] };
      }),
      withoutPushed(over),
    ],
    pushed: null,
  };
}

function dealNode({ keyspace, inputs, statement }: DealSpec, resolve: ResolveShards): PlanNode {
  const { many, shards } = statement.plan;
  const labels = inputs.map(({ label }) => `<${label}>`);
  const marks = inputs.map(({ mark }) => mark);
  const inStatement: ResolveShards = (selector) => resolve(selector, statement);
  const over = planTree(withRelations(many, marks, labels), '', shards, inStatement);
  const read = inputs.map(({ label, shards: readers, sql, key, estimatedRows }): PlanNode => {
    const found = resolve(readers);
    const properties: PlanNode['properties'] = [
      ['Dealt', label],
      ['By', key],
      ...(estimatedRows === null
        ? []
        : [['Estimated Rows', estimatedRows] as [string, PropertyValue]]),
      ...shardProperties(readers, found),
      ['Each Shard', sql],
    ];
    return { type: 'Read', properties, children: [], pushed: { sql, shards: found } };
  });
  return {
    type: 'Join Dealt Rows',
    properties: [['To', keyspace.shards.map(({ name }) => name)]],
    children: [...read, withoutPushed(over)],
    pushed: null,
  };
}

/** Shards cannot be asked about statements over rows that they have not got. */
function withoutPushed(node: PlanNode): PlanNode {
  return { ...node, children: node.children.map(withoutPushed), pushed: null };
}

function spreadNode(spread: SpreadSpec, resolve: ResolveShards): PlanNode {
  const shards = resolve(spread.shards);
  return {
    type: 'Spread',
    properties: [
      ...shardProperties(spread.shards, shards),
      ['Each Shard', finalText(spread.apply, spread.inputs)],
    ],
    children: spread.inputs.map(({ label, source }) => {
      const read = sourceTree(source, resolve);
      return { ...read, properties: [['Input', label], ...read.properties] };
    }),
    pushed: null,
  };
}

function moveNode(move: MoveSpec, resolve: ResolveShards): PlanNode {
  const lock = leaf('Lock Rows', move.lock, move.shards, resolve);
  const rows = [{ label: 'rows', columns: move.columns }];
  return {
    type: 'Move Rows',
    properties: [
      ['Shards', move.keyspace.shards.map(({ name }) => name)],
      ['Chosen By', 'shard key of the row'],
      ['Rows That Stay', finalText(move.stay, rows)],
      ['Rows That Leave', finalText(move.leave, rows)],
      ['Rows That Arrive', finalText(move.arrive, rows)],
    ],
    children: [lock],
    pushed: null,
  };
}

function distributeNode(distribute: DistributeSpec, resolve: ResolveShards): PlanNode {
  const { source, destination, apply } = distribute;
  const read = sourceTree(source, resolve);
  const rows = { label: 'rows', columns: apply.columns };
  return {
    type: 'Distribute Rows',
    properties: [
      ...destinationProperties(destination),
      ['Each Shard', finalText(apply.sql, [rows])],
    ],
    children: [read],
    pushed: null,
  };
}

function sourceTree(source: SourceQuery, resolve: ResolveShards): PlanNode {
  const { plan } = source;
  const sql = Buffer.from(source.sql).toString();
  const inSource: ResolveShards = (selector) => resolve(selector, source);
  if (plan.kind === 'route') {
    // What several shards would not do, one does.
    if (plan.many.kind === 'refuse') return leaf('Read', sql, plan.shards, inSource);
    return planTree(plan.many, sql, plan.shards, inSource);
  }
  const { kind, keyspace } = plan;
  const type = kind === 'insertSplit' ? 'Insert Rows' : 'Every Shard';
  return leaf(
    type,
    sql,
    keyspace === null ? { kind: 'nowhere' } : { kind: 'all', keyspace },
    inSource,
  );
}

function destinationProperties(destination: Destination): [string, PropertyValue][] {
  const shards = 'keyspace' in destination ? destination.keyspace.shards : destination.shards;
  const chosen = {
    key: 'shard key of the row',
    copies: 'every row to each',
  };
  return [
    ['Shards', shards.map((shard) => shard.name)],
    ['Chosen By', chosen[destination.kind]],
  ];
}

function inputNode(
  input: GatherInput,
  all: readonly GatherInput[],
  resolve: ResolveShards,
): PlanNode {
  const shards = resolve(input.shards);
  const properties: [string, PropertyValue][] = [
    ['Input', input.label],
    ...shardProperties(input.shards, shards),
  ];
  if (input.estimatedRows !== null) properties.push(['Estimated Rows', input.estimatedRows]);
  const { link } = input;
  if (link !== undefined) {
    const leader = all[link.input]!;
    const column = `${link.name} = ${leader.columns[link.column]} of ${leader.label}`;
    properties.push(['Only Rows With', `${column}, if those are few`]);
  }
  properties.push(['Each Shard', input.sql]);
  return { type: 'Read', properties, children: [], pushed: { sql: input.sql, shards } };
}

/** The final statement with names in place of what is filled in. */
function finalText(
  pieces: readonly FinalPiece[],
  inputs: readonly Pick<GatherInput, 'label' | 'columns'>[],
): string {
  return pieces
    .map((piece) => {
      if (typeof piece === 'string') return piece;
      if (piece.kind === 'input') return `<${inputs[piece.input]!.label}>`;
      const { columns } = inputs[piece.input]!;
      return `combine_${piece.aggregate}(${piece.columns.map((i) => columns[i] ?? '?').join(', ')})`;
    })
    .join('');
}

function shardProperties(
  selector: ShardSelector,
  shards: readonly Shard[],
): [string, PropertyValue][] {
  const out: [string, PropertyValue][] = [['Shards', shards.map((shard) => shard.name)]];
  out.push(['Chosen By', chosenBy(selector)]);
  return out;
}

function chosenBy(selector: ShardSelector): string {
  if (selector.kind === 'all') return reasonOfAll(selector);
  return selector.kind === 'keys' ? reasonOfKeys(selector) : choices[selector.kind];
}

const choices: Readonly<Record<Exclude<ShardSelector['kind'], 'all' | 'keys'>, string>> = {
  shard: 'unsharded keyspace',
  any: 'every shard has the rows',
  catalog: 'catalog shard',
  lookup: 'lookup of a column',
  agreed: 'a wish of the session',
  nowhere: 'the inputs below',
};
