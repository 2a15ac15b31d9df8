import type { RangeVar, SelectStmt } from '@pgsql/types';
import type { CatalogRelation } from '../../keyspace/catalog.js';
import { LiteralKind } from '../../sql/literals.js';
import type { Analysis } from '../analysis.js';
import { stringsOf } from '../ast.js';
import type { Level, Occurrence } from '../model.js';
import { tablesOf } from '../placement.js';
import type { GatherInput, GatherSpec } from '../plan.js';
import { refuse } from '../refusals.js';
import type { StatementContext } from '../statement-context.js';
import { ColumnUse } from './column-use.js';
import { homeOf, type Home } from './home.js';
import { pushedQueries } from './pushed-queries.js';
import { INPUT_ALIAS, tableInput } from './table-input.js';
import { StatementText } from './text-edits.js';
import { checkWholeRows } from './whole-rows.js';

/**
 * Plans any query over tables of any keyspaces: what the tables hold is read where it is, filtered
 * and cut to the columns that are needed, and one server, the home, runs the statement's own text
 * over it. The spec holds every literal of the text, so the plan serves texts with the same ones
 * only. Throws Refused for what would not give PostgreSQL's own answer.
 *
 *     SELECT ... FROM orders o JOIN settings ON ...
 *                     ------        --------
 *                     input 0       input 1           final: the text with these two replaced
 */
export function gatherQuery(
  statement: SelectStmt,
  _top: Level,
  analysis: Analysis,
  context: StatementContext,
): GatherSpec {
  refuseEffects(analysis);
  const tables = tablesOf(analysis);
  const home = homeOf(tables, analysis);
  const text = new StatementText(context);
  const pushed = pushedQueries(statement, { tables, home, text, analysis, context });
  const use = new ColumnUse(statement, new Set(pushed.map(({ select }) => select)));
  const moved = movedTables(use, home, analysis);
  checkNames(moved);
  checkWholeRows(statement, relationsOf(moved), analysis);
  dependOnLiterals(context);

  const inputs = new Inputs();
  for (const { input, place } of pushed) {
    const relation = { kind: 'input', input: inputs.add(input) } as const;
    const pieces = ['SELECT * FROM ', relation, ` AS ${INPUT_ALIAS}`];
    text.replace({ start: place.start, end: place.end, pieces });
  }
  for (const [range, occurrence] of moved) {
    const { input, relation } = tableInput(range, occurrence, use, analysis, context);
    text.replaceTable(range, relation(inputs.add(input)));
  }
  cutSchemas(use, moved, text);
  return { inputs: inputs.list, home: home.shards, final: text.pieces() };
}

/** What a statement does besides reading is done where its rows are, and not where copies are. */
function refuseEffects(analysis: Analysis): void {
  if (analysis.unknownRelations.length > 0) {
    const name = analysis.unknownRelations[0]!.relname ?? '';
    refuse(`relation "${name}" does not exist`, '', 'undefined_table');
  }
  if (analysis.nestedWrites > 0) {
    refuse(
      'a data-modifying WITH query over several shards is not supported',
      'Write in a statement of its own, or bind the shard key so that one shard can answer.',
    );
  }
  if (analysis.levels.some((level) => level.locking)) {
    refuse(
      'row locks over several shards are not supported in this statement',
      'Lock the rows of one shard by binding the shard key, or leave FOR UPDATE or FOR SHARE out.',
    );
  }
  if (analysis.systemColumn !== null) {
    refuse(
      `system column "${analysis.systemColumn}" over several shards is not supported`,
      'Its values have a meaning on one shard only: bind the shard key, or use another column.',
    );
  }
  if (analysis.effect !== null) {
    refuse(
      'function "set_config" is only supported in a SELECT of its own',
      'Run SELECT set_config(...) without FROM, or SET, as a statement of its own.',
    );
  }
}

/** The tables that are not wholly on the home. */
function movedTables(use: ColumnUse, home: Home, analysis: Analysis): Map<RangeVar, Occurrence> {
  const moved = new Map<RangeVar, Occurrence>();
  for (const range of use.ranges) {
    const occurrence = analysis.ranges.get(range);
    const table = occurrence?.table ?? null;
    if (table !== null && !home.holds(table)) moved.set(range, occurrence!);
  }
  return moved;
}

function relationsOf(moved: ReadonlyMap<RangeVar, Occurrence>): Set<CatalogRelation> {
  return new Set([...moved.values()].map(({ relation }) => relation));
}

/** Tables of two schemas may share a name in one FROM list; what stands in their place may not. */
function checkNames(moved: ReadonlyMap<RangeVar, Occurrence>): void {
  for (const [range, { entry, relation }] of moved) {
    const twin = entry.level.entries.some(
      (other) => other !== entry && other.alias === entry.alias && other.kind === 'table',
    );
    if (range.alias === undefined && twin) {
      refuse(
        `two tables "${relation.name}" without aliases in one FROM list are not supported`,
        'Give each of them an alias.',
      );
    }
  }
}

/** Columns written `schema.table.column`. */
function cutSchemas(
  use: ColumnUse,
  moved: ReadonlyMap<RangeVar, Occurrence>,
  text: StatementText,
): void {
  const bare = new Set<string>();
  for (const [range, { relation }] of moved) {
    if (range.alias === undefined) bare.add(`${relation.schema}.${relation.name}`);
  }
  for (const reference of use.longReferences) {
    const names = stringsOf(reference.fields);
    const place = names.length - (names.length === reference.fields?.length ? 3 : 2);
    if (bare.has(`${names[place]}.${names[place + 1]}`)) text.cutSchema(reference);
  }
}

/** The text's literals are in the spec. */
function dependOnLiterals({ constants, literals, start, end }: StatementContext): void {
  for (let i = literals.firstAtOrAfter(start); i < literals.count; i++) {
    if (literals.starts[i]! >= end) return;
    if (literals.kinds[i] !== LiteralKind.comment) constants.dependsOn.add(i);
  }
}

/** The inputs of a statement; tables that are read alike share one. */
class Inputs {
  readonly list: GatherInput[] = [];

  add(input: GatherInput): number {
    const known = this.list.findIndex((other) => isSame(other, input));
    return known >= 0 ? known : this.list.push(input) - 1;
  }
}

/** The same text on the same shards: those of key values may differ where the texts agree. */
function isSame(a: GatherInput, b: GatherInput): boolean {
  const anywhere = a.shards.kind !== 'keys' && b.shards.kind !== 'keys';
  const key = String(a.primaryKey) === String(b.primaryKey);
  return anywhere && key && a.sql === b.sql;
}
