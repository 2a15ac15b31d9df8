import type { ColumnDef, CreateStmt } from '@pgsql/types';
import { shownName } from '../keyspace/shown-name.js';
import { quoteQualified } from '../sql/quote.js';
import { qualifiedName } from './ast.js';
import type { DdlNotice } from './plan.js';
import type { StatementContext } from './statement-context.js';

/** What a client is told of a table that it makes, where that is otherwise than on one PostgreSQL; null: nothing. */
export function createdNotice(
  statement: CreateStmt,
  { names }: StatementContext,
): DdlNotice | null {
  const { topology } = names;
  const { relation, partbound, tableElts } = statement;
  const sharded = topology.keyspaces.find((keyspace) => keyspace.sharded);
  if (sharded === undefined || partbound !== undefined) return null;
  const name = relation?.relname ?? '';
  const schema = relation?.schemaname ?? names.creationSchema();
  // IF NOT EXISTS, or an error.
  if (names.find(schema, name) !== null) return null;
  const table = topology.tables.get(`${schema}.${name}`);
  if (table === undefined) {
    const keyspace = topology.defaultKeyspace;
    if (keyspace === null) return null;
    return {
      message: `table "${name}" is placed in keyspace "${keyspace.name}", on one shard: the configuration does not name it`,
      hint:
        `To spread its rows, name it before it has any: keyspaces.${sharded.name}.tables:` +
        ` { ${shownName(schema, name)}: { shard_key: ... } }.`,
    };
  }
  if (!table.keyspace.sharded) return null;
  for (const element of tableElts ?? []) {
    if (!('ColumnDef' in element) || !countsUp(element.ColumnDef)) continue;
    const column = element.ColumnDef.colname ?? '';
    if (table.ids?.column === column) continue;
    const where = topology.catalogShard.name;
    return {
      message: `values of "${name}.${column}" are made by Shardgate, so that all shards together have each once`,
      hint: `They are counted by the column's sequence on shard "${where}", for ${quoteQualified(schema, name)} on all shards.`,
    };
  }
  return null;
}

const serials = /^(big|small)?serial[248]?$/;

/** Whether a column is `serial` or an identity column. */
export function countsUp({ typeName, constraints }: ColumnDef): boolean {
  if (serials.test(qualifiedName(typeName?.names).name)) return true;
  return (constraints ?? []).some(
    (node) => 'Constraint' in node && node.Constraint.contype === 'CONSTR_IDENTITY',
  );
}
