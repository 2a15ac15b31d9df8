import type { Node, RangeVar, SelectStmt } from '@pgsql/types';
import { TypeOid } from '../../keyspace/type-oids.js';
import { quoteIdentifier } from '../../sql/quote.js';
import type { Analysis } from '../analysis.js';
import { bodyOf } from '../ast.js';
import type { Occurrence } from '../model.js';
import type { GatherInput } from '../plan.js';
import { nameOf } from './column-use.js';
import { groupedColumns, namesOf } from './grouped-columns.js';
import type { StatementText } from './text-edits.js';

/** Types that GROUP BY takes, with OIDs of pg_type.dat (PostgreSQL 18) where they have no name here. */
const groupedTypes: ReadonlySet<number> = new Set([
  TypeOid.bool,
  TypeOid.char,
  TypeOid.name,
  TypeOid.int2,
  TypeOid.int4,
  TypeOid.int8,
  TypeOid.oid,
  TypeOid.float4,
  TypeOid.float8,
  TypeOid.numeric,
  TypeOid.text,
  TypeOid.varchar,
  TypeOid.bpchar,
  TypeOid.bytea,
  TypeOid.date,
  TypeOid.time,
  TypeOid.timestamp,
  TypeOid.timestamptz,
  TypeOid.interval,
  TypeOid.uuid,
  TypeOid.jsonb,
  // timetz, bit, varbit, money, inet, cidr, macaddr
  ...[1266, 1560, 1562, 790, 869, 650, 829],
  // Arrays of bool, int2, int4, int8, float4, float8, numeric, text, varchar, bpchar, bytea
  ...[1000, 1005, 1007, 1016, 1021, 1022, 1231, 1009, 1015, 1014, 1001],
  // Arrays of date, time, timestamp, timestamptz, interval, uuid, jsonb
  ...[1182, 1183, 1115, 1185, 1187, 2951, 3807],
  // int4range, int8range, numrange, tsrange, tstzrange, daterange
  ...[3904, 3926, 3906, 3908, 3910, 3912],
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
  const groups = groupedColumns(entry.level, analysis);
  if (groups === null || groups.select.groupDistinct === true) return false;
  const { select } = groups;
  const always = namesOf(groups.always, entry);
  if (primaryKey!.some((name) => !always.has(name))) return false;
  if (range.alias?.colnames !== undefined || hidesNames(select)) return false;
  // What a grouping set names is null in the others.
  const named = namesOf(groups.some, entry);
  const added = columns.filter((name) => !named.has(name));
  const types = new Map(relation.columns.map(({ name, type }) => [name, type]));
  if (added.some((name) => !groupedTypes.has(types.get(name) ?? 0))) return false;
  const names = added.map((name) => `${quoteIdentifier(nameOf(range))}.${quoteIdentifier(name)}, `);
  return text.insertBehind('by', locationOf(select.groupClause![0]!), names.join(''));
}

/** Of its first word, where it does not begin with an operand. */
function locationOf(node: Node): number | undefined {
  return (bodyOf(node) as { readonly location?: number }).location;
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
