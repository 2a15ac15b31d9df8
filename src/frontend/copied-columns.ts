import type { BackendConnection } from '../backend/postgres/connection.js';
import { sqlError } from '../errors/sql-error.js';
import { memoryError } from '../executor/gather-errors.js';
import { quoteIdentifier, quoteLiteral } from '../sql/quote.js';
import { askBackend } from './ask-backend.js';
import type { Session } from './session.js';

/** What every copy of a table is to run, and how many rows it has. */
export interface CopiedColumns {
  /** Null: there are no rows. */
  readonly sql: string | null;
  readonly rows: bigint;
}

/**
 * New columns of a reference table whose values every copy has made for itself: those of one copy, as a statement that
 * gives them to the same rows of any. Rows are told apart by all their other columns:
 *
 *     ALTER COLUMN id TYPE integer USING ('{"<digest of the row>": "1", ...}'::jsonb ->> <digest of the row>)::integer
 *
 * So no trigger runs, and identity columns take it, too. Rejects with SqlError.
 */
export async function copiedColumns(
  session: Session,
  source: BackendConnection,
  table: string,
  columns: readonly string[],
): Promise<CopiedColumns> {
  const [described] = await askBackend(session, source, [columnsSql(table)]);
  const others: string[] = [];
  const types = new Map<string, string>();
  for (const [name, type, generated] of described!) {
    if (columns.includes(name!)) types.set(name!, type!);
    else if (generated === '') others.push(quoteIdentifier(name!));
  }
  const digest = `pg_catalog.md5(ROW(${others.join(', ')})::pg_catalog.text)`;
  const values = columns.map((name) => `${quoteIdentifier(name)}::pg_catalog.text`);
  const bytes = values.map((value) => `COALESCE(pg_catalog.length(${value}), 0)`).join(' + ');
  const [sizes] = await askBackend(session, source, [
    `SELECT count(*), count(DISTINCT ${digest}), sum(${bytes} + 40) FROM ${table}`,
  ]);
  const [rows, distinct, size] = sizes![0]!;
  if (rows === '0') return { sql: null, rows: 0n };
  if (distinct !== rows) throw alike(table);
  const { gatherMemoryBytes } = session.context.config.limits;
  if (Number(size) > gatherMemoryBytes) throw memoryError(gatherMemoryBytes);
  const [found] = await askBackend(session, source, [
    `SELECT ${digest}, ${values.join(', ')} FROM ${table}`,
  ]);
  const changes = columns.map((name, at) => {
    const byRow = Object.fromEntries(found!.map((row) => [row[0]!, row[at + 1]]));
    const value = `${quoteLiteral(JSON.stringify(byRow))}::pg_catalog.jsonb OPERATOR(pg_catalog.->>) ${digest}`;
    const type = types.get(name)!;
    const using = `(${value})::${type.split(' COLLATE ')[0]!}`;
    return `ALTER COLUMN ${quoteIdentifier(name)} TYPE ${type} USING ${using}`;
  });
  return { sql: `ALTER TABLE ${table} ${changes.join(', ')}`, rows: BigInt(rows!) };
}

/** Name, type with its collation where that is not the type's own, and whether it is computed from others. */
function columnsSql(table: string): string {
  return (
    `SELECT a.attname, pg_catalog.format_type(a.atttypid, a.atttypmod) || CASE` +
    ` WHEN a.attcollation <> t.typcollation THEN ' COLLATE ' || (SELECT pg_catalog.quote_ident(n.nspname)` +
    ` || '.' || pg_catalog.quote_ident(c.collname) FROM pg_catalog.pg_collation c` +
    ` JOIN pg_catalog.pg_namespace n ON n.oid = c.collnamespace WHERE c.oid = a.attcollation) ELSE '' END,` +
    ` a.attgenerated FROM pg_catalog.pg_attribute a JOIN pg_catalog.pg_type t ON t.oid = a.atttypid` +
    ` WHERE a.attrelid = ${quoteLiteral(table)}::pg_catalog.regclass AND a.attnum > 0 AND NOT a.attisdropped` +
    ` ORDER BY a.attnum`
  );
}

function alike(table: string): Error {
  return sqlError(
    'feature_not_supported',
    `adding a column whose values differ to reference table ${table} is not supported while it has rows that are alike`,
    {
      hint: 'Add it without a default, fill it in, and then set the default; or tell the rows apart by a key first.',
    },
  );
}
