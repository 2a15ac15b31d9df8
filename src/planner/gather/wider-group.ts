import type { Node, RangeVar, SelectStmt } from '@pgsql/types';
import { TypeOid } from '../../keyspace/type-oids.js';
import { quoteIdentifier } from '../../sql/quote.js';
import type { Analysis } from '../analysis.js';
import { columnRefOf } from '../ast.js';
import type { Occurrence } from '../model.js';
import type { GatherInput } from '../plan.js';
import { nameOf } from './column-use.js';
import type { StatementText } from './text-edits.js';

/** Types whose values can be told apart. */
const groupedTypes: ReadonlySet<number> = new Set([
  TypeOid.bool,
  TypeOid.int2,
  TypeOid.int4,
  TypeOid.int8,
  TypeOid.float4,
  TypeOid.float8,
  TypeOid.numeric,
  TypeOid.text,
  TypeOid.varchar,
  TypeOid.bpchar,
  TypeOid.bytea,
  TypeOid.date,
  TypeOid.timestamp,
  TypeOid.timestamptz,
  TypeOid.interval,
  TypeOid.uuid,
  TypeOid.jsonb,
]);

/**
 * Writes what follows from a primary key in GROUP BY into it, in front of its items, so that no table
 * with that key is needed: the groups stay the same ones, since rows of one key have one value each.
 *
 *     SELECT p.name, count(*) FROM people p JOIN ... GROUP BY p.id
 *     SELECT p.name, count(*) FROM <people> p JOIN ... GROUP BY p.name, p.id
 *
 * False: this GROUP BY is not of a form in which that is certain.
 */
export function widenGroup(
  range: RangeVar,
  occurrence: Occurrence,
  { columns, primaryKey }: GatherInput,
  text: StatementText,
  analysis: Analysis,
): boolean {
  const { entry, relation } = occurrence;
  const variables = entry.level.groupVariables ?? new Set();
  const [select] = [...analysis.queries].find(([, level]) => level === entry.level) ?? [];
  const items = select?.groupClause ?? [];
  if (select === undefined || select.groupDistinct === true) return false;
  // Nothing but columns, each of them known.
  if (items.length === 0 || items.length !== variables.size) return false;
  const references = items.map(columnRefOf);
  const grouped = new Set<string>();
  for (const variable of variables) if (variable.entry === entry) grouped.add(variable.name);
  if (references.includes(null) || primaryKey!.some((name) => !grouped.has(name))) return false;
  if (range.alias?.colnames !== undefined || hidesNames(select)) return false;
  const added = columns.filter((name) => !grouped.has(name));
  const types = new Map(relation.columns.map(({ name, type }) => [name, type]));
  if (added.some((name) => !groupedTypes.has(types.get(name) ?? 0))) return false;
  const names = added.map((name) => `${quoteIdentifier(nameOf(range))}.${quoteIdentifier(name)}, `);
  return text.insertBehind('by', references[0]!.location, names.join(''));
}

/** A join with a name of its own hides those of its tables. */
function hidesNames({ fromClause = [] }: SelectStmt): boolean {
  const hides = (item: Node | undefined): boolean => {
    if (item === undefined || !('JoinExpr' in item)) return false;
    const { alias, larg, rarg } = item.JoinExpr;
    return alias !== undefined || hides(larg) || hides(rarg);
  };
  return fromClause.some(hides);
}
