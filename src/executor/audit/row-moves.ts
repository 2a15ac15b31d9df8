import type { CatalogColumn } from '../../keyspace/catalog.js';
import type { Shard, Table } from '../../keyspace/topology.js';
import { quoteIdentifier, quoteLiteral, quoteQualified } from '../../sql/quote.js';
import { decideSql, finishSql, prepareSql } from '../../transaction/decisions.js';
import { legGid, newTransactionId } from '../../transaction/transaction-ids.js';
import { ENTRIES_STAY } from '../lookups/lookup-sql.js';
import { EXACT_TEXTS } from '../table-parts.js';
import { STEP_TIMEOUT_MS, type Ask, type AuditHost } from './audit-host.js';
import { nameOf } from './finding.js';
import type { RowPlaces } from './row-places.js';

/**
 * Rows go as they are: no trigger changes them on their way, and no foreign key takes others along (a DELETE would
 * cascade to rows that must stay).
 */
export const MOVING =
  `BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE; ${EXACT_TEXTS}; SET LOCAL row_security = off;` +
  ` SET LOCAL client_min_messages = warning; SET LOCAL session_replication_role = replica; ${ENTRIES_STAY}`;

/**
 * What stands against that: triggers and rules that run even so, and constraints that only triggers check. A line each,
 * for people.
 */
export function obstaclesSql(table: string): string {
  const oid = `pg_catalog.to_regclass(${quoteLiteral(table)})`;
  const oids = `SELECT ${oid}::pg_catalog.oid UNION ALL SELECT relid FROM pg_catalog.pg_partition_tree(${oid})`;
  return (
    `SELECT 'trigger "' || tgname || '" fires always' FROM pg_catalog.pg_trigger` +
    ` WHERE tgenabled IN ('A', 'R') AND tgrelid IN (${oids})` +
    ` AND tgfoid IS DISTINCT FROM pg_catalog.to_regprocedure('shardgate.tell_lookup()')` +
    ` UNION ALL SELECT 'rule "' || rulename || '" applies always' FROM pg_catalog.pg_rewrite` +
    ` WHERE ev_enabled IN ('A', 'R') AND ev_class IN (${oids})` +
    ` UNION ALL SELECT 'constraint "' || conname || '" is deferrable' FROM pg_catalog.pg_constraint` +
    ` WHERE condeferrable AND contype IN ('p', 'u', 'x') AND conrelid IN (${oids})`
  );
}

/** A row that stands on one shard and belongs to another. */
interface Stray {
  readonly ctid: string;
  readonly values: readonly (string | null)[];
}

/** What became of some rows. */
export interface Moved {
  readonly moved: number;
  /** Those that met a row with their key on the shard that they belong to, by their keys. */
  readonly conflicts: readonly string[];
}

/**
 * Moves rows of one table from one shard to another, a few at a time, each few in a transaction over both shards:
 *
 *     source  BEGIN  SELECT FOR UPDATE              DELETE  decision  COMMIT   <- the point of no return
 *     target                            BEGIN INSERT        PREPARE            COMMIT PREPARED
 *
 * Recovery ends what is cut off.
 */
export class RowMoves {
  private readonly host: AuditHost;
  private readonly table: string;
  /** Those that an INSERT may give values to. */
  private readonly columns: readonly CatalogColumn[];
  /** The columns that tell a row from others, for people. */
  private readonly names: readonly string[];
  private readonly places: RowPlaces;

  constructor(host: AuditHost, table: Table, places: RowPlaces) {
    const relation = host.catalog.relations.get(nameOf(table));
    this.host = host;
    this.table = quoteQualified(table.schema, table.name);
    this.columns = (relation?.columns ?? []).filter(({ generated }) => !generated);
    this.names = relation?.primaryKey ?? places.key;
    this.places = places;
  }

  /**
   * Moves the rows that have these places in a part and still belong to the target; others have been changed or moved
   * meanwhile. Rejects with BackendError; then nothing was moved, unless it broke off while the source committed.
   */
  async move(source: Shard, part: string, ctids: readonly string[], target: Shard): Promise<Moved> {
    const { links } = this.host;
    return links.session(source, STEP_TIMEOUT_MS, async (ask) => {
      await ask(MOVING);
      const rows = await this.lock(ask, part, ctids, target);
      if (rows.length === 0) {
        await ask('ROLLBACK');
        return { moved: 0, conflicts: [] };
      }
      return links.session(target, STEP_TIMEOUT_MS, (askTarget) =>
        this.moveLocked({ ask, source, part }, askTarget, rows),
      );
    });
  }

  private async lock(
    ask: Ask,
    part: string,
    ctids: readonly string[],
    target: Shard,
  ): Promise<Stray[]> {
    const { key } = this.places;
    const names = this.columns.map(({ name }) => quoteIdentifier(name));
    const rows = await ask(
      `SELECT ${['ctid', ...key.map(quoteIdentifier), ...names].join(', ')} FROM ONLY ${part}` +
        ` WHERE ctid = ANY (${ctidArray(ctids)}) FOR UPDATE`,
    );
    const keys = rows.map((row) => row.slice(1, 1 + key.length));
    const shards = await this.places.shardsOf(keys);
    return rows
      .filter((_row, place) => shards[place] === target)
      .map(([ctid, ...values]) => ({ ctid: ctid!, values: values.slice(key.length) }));
  }

  private async moveLocked(
    { ask, source, part }: { readonly ask: Ask; readonly source: Shard; readonly part: string },
    askTarget: Ask,
    rows: readonly Stray[],
  ): Promise<Moved> {
    await askTarget(MOVING);
    const stored = await this.store(askTarget, rows);
    const conflicts = rows.filter((row) => !stored.includes(row)).map((row) => this.keyOf(row));
    if (stored.length === 0) {
      await askTarget('ROLLBACK');
      await ask('ROLLBACK');
      return { moved: 0, conflicts };
    }
    const ctids = ctidArray(stored.map(({ ctid }) => ctid));
    await ask(`DELETE FROM ONLY ${part} WHERE ctid = ANY (${ctids})`);
    this.host.signal.throwIfAborted();
    const transaction = newTransactionId(source);
    const leg = legGid(transaction, 1);
    await ask(decideSql(transaction));
    await askTarget(prepareSql(leg));
    this.host.crash('rows-prepared');
    await ask('COMMIT');
    this.host.crash('rows-decided');
    await askTarget(finishSql('commit', leg));
    this.host.crash('rows-moved');
    return { moved: stored.length, conflicts };
  }

  /** Those that could be stored: where not all can at once, one by one. */
  private async store(ask: Ask, rows: readonly Stray[]): Promise<readonly Stray[]> {
    await ask('SAVEPOINT stored');
    const all = await ask(this.insertSql(rows));
    if (all.length === rows.length) return rows;
    await ask('ROLLBACK TO SAVEPOINT stored');
    const stored: Stray[] = [];
    for (const row of rows) {
      const one = await ask(this.insertSql([row]));
      if (one.length > 0) stored.push(row);
    }
    return stored;
  }

  private insertSql(rows: readonly Stray[]): string {
    const names = this.columns.map(({ name }) => name);
    const values = rows.map((row) => row.values);
    return `${insertRowsSql(this.table, names, values)} ON CONFLICT DO NOTHING RETURNING 1`;
  }

  /** The primary key of a row, for people; its shard key where there is none. */
  private keyOf({ values }: Stray): string {
    const { names, columns } = this;
    return names
      .map(
        (name) => `${name} ${values[columns.findIndex((column) => column.name === name)] ?? '?'}`,
      )
      .join(', ');
  }
}

/** Literals in VALUES are read as their columns' types, by which they were written. `table` is SQL. */
export function insertRowsSql(
  table: string,
  columns: readonly string[],
  rows: readonly (readonly (string | null)[])[],
): string {
  const names = columns.map(quoteIdentifier).join(', ');
  const lines = rows.map((values) => {
    const items = values.map((value) => (value === null ? 'NULL' : quoteLiteral(value)));
    return `(${items.join(', ')})`;
  });
  return `INSERT INTO ${table} (${names}) OVERRIDING SYSTEM VALUE VALUES ${lines.join(', ')}`;
}

function ctidArray(ctids: readonly string[]): string {
  return `'{${ctids.map((ctid) => `"${ctid}"`).join(',')}}'::pg_catalog.tid[]`;
}
