import type { ColumnRef, Node, RangeVar, SelectStmt } from '@pgsql/types';
import { quoteIdentifier } from '../../sql/quote.js';
import type { Analysis } from '../analysis.js';
import { bodyOf, columnRefOf, forEachChild, stringOf } from '../ast.js';
import type { FinalPiece, GatherInput } from '../plan.js';
import { refuse } from '../refusals.js';
import { TABLE_OID } from '../scopes.js';
import { nameOf } from './column-use.js';
import type { StatementText } from './text-edits.js';

/** What an input calls the names of its rows' tables, with their schemas. */
export const TABLE_NAME = 'sg_tableoid';

/** The name of the table that a row is in, or of the partition, as each shard writes it (text). */
export const TABLE_NAME_SQL =
  `(pg_catalog.pg_identify_object('pg_catalog.pg_class'::pg_catalog.regclass, ${TABLE_OID}, 0))` +
  `.identity AS ${TABLE_NAME}`;

/**
 * An input with `tableoid` as a column: a table has another number on each shard, so its name
 * travels, and the home, which is the catalog shard, tells the number that clients know it by.
 */
export function withTableOids(input: FinalPiece, { columns }: GatherInput): FinalPiece[] {
  const own = columns.filter((name) => name !== TABLE_NAME).map((name) => quoteIdentifier(name));
  const oid = `${TABLE_NAME}::pg_catalog.regclass::pg_catalog.oid AS ${TABLE_OID}`;
  return [`(SELECT ${[...own, oid].join(', ')} FROM `, input, ' AS sg_named)'];
}

/**
 * What stands for a table with `tableoid` as a column must not show that where the table would not:
 * `*` of one table becomes the table's columns. Throws Refused where they might be seen otherwise.
 * @param ranges all tables that the statement names
 */
export function hideTableOids(
  select: SelectStmt,
  ranges: readonly RangeVar[],
  analysis: Analysis,
  text: StatementText,
): void {
  const stars = starsOf({ SelectStmt: select });
  const [range] = ranges;
  const joinsByNames = holdsJoinNames({ SelectStmt: select });
  const renames = ranges.some(({ alias }) => alias?.colnames !== undefined);
  if (joinsByNames || renames || analysis.wholeRows.size > 0 || analysis.views.size > 0) {
    refuseTableOids();
  }
  if (stars.length === 0) return;
  const outputs = (select.targetList ?? []).flatMap((node) => {
    const reference = 'ResTarget' in node ? columnRefOf(node.ResTarget.val) : null;
    return reference !== null && isStar(reference) ? [reference] : [];
  });
  const alone = ranges.length === 1 && outputs.length === stars.length;
  if (!alone || range === undefined) refuseTableOids();
  const relation = analysis.ranges.get(range)?.relation;
  if (relation === undefined || stars.some(({ fields = [] }) => fields.length > 2)) {
    refuseTableOids();
  }
  const table = quoteIdentifier(nameOf(range));
  const columns = relation.columns.map(({ name }) => `${table}.${quoteIdentifier(name)}`);
  for (const star of stars) text.replaceReference(star, columns.join(', '));
}

function starsOf(node: Node): ColumnRef[] {
  const reference = columnRefOf(node);
  if (reference !== null) return isStar(reference) ? [reference] : [];
  const found: ColumnRef[] = [];
  forEachChild(bodyOf(node), (child) => {
    found.push(...starsOf(child));
  });
  return found;
}

function isStar({ fields = [] }: ColumnRef): boolean {
  return stringOf(fields.at(-1)) === null;
}

/** NATURAL, and joins with a name, which would have the column too. */
function holdsJoinNames(node: Node): boolean {
  if ('JoinExpr' in node) {
    const { isNatural, alias, join_using_alias: usingAlias } = node.JoinExpr;
    if (isNatural === true || alias !== undefined || usingAlias !== undefined) return true;
  }
  let found = false;
  forEachChild(bodyOf(node), (child) => {
    found ||= holdsJoinNames(child);
  });
  return found;
}

function refuseTableOids(): never {
  refuse(
    `system column "${TABLE_OID}" over several shards beside whole rows, views, NATURAL, named joins, or * of several tables is not supported`,
    'Name the columns one by one.',
  );
}
