import type { ShardQuery } from '../../backend/shard-query.js';
import type { Shard } from '../../keyspace/topology.js';
import type { DdlTrace } from '../../planner/plan.js';
import { quoteLiteral } from '../../sql/quote.js';
import type { JobIdentity } from './job-table.js';

/** What is to be done on a shard on which a statement may have been cut off. */
export type NextStep =
  /** These indexes are what it has left; they go first. */
  | { readonly kind: 'run'; readonly drops: readonly string[] }
  /** Another text brings it to its end. */
  | { readonly kind: 'finish'; readonly sql: string }
  /** It came to its end before anybody heard of it. */
  | { readonly kind: 'done' }
  /** The server is still at it, though nobody listens. */
  | { readonly kind: 'busy' };

const QUERY_TIMEOUT_MS = 10_000;

/** Asks shards about one statement, with the names that it has under the client's search path. */
export class Traces {
  private readonly query: ShardQuery;
  private readonly trace: DdlTrace;
  private readonly identity: JobIdentity;

  constructor(query: ShardQuery, trace: DdlTrace, identity: JobIdentity) {
    this.query = query;
    this.trace = trace;
    this.identity = identity;
  }

  /** Whether it shows on a shard, long after, that the statement has been done there. */
  get staysVisible(): boolean {
    return this.trace.kind !== 'rebuilt';
  }

  /** OIDs of the indexes that are there before the statement runs, as far as it makes some. */
  async before(shard: Shard): Promise<readonly string[]> {
    const relation = relationOf(this.trace);
    if (relation === null) return [];
    return (await this.indexes(shard, relation)).map(({ oid }) => oid);
  }

  /** `before`: as above, of then. */
  next(shard: Shard, before: readonly string[]): Promise<NextStep> {
    const { trace } = this;
    switch (trace.kind) {
      case 'index':
        return this.nextOfIndex(shard, trace.table, trace.name, before);
      case 'rebuilt':
        return this.nextOfRebuild(shard, trace.relation, before);
      case 'dropped':
        return this.nextOfDrop(shard, trace.index);
      case 'detached':
        return this.nextOfDetach(shard, trace.table, trace.partition);
    }
  }

  /** Whether a statement that has failed there has changed anything. */
  async areLeft(shard: Shard, before: readonly string[]): Promise<boolean> {
    const next = await this.next(shard, before);
    // What is not there, though it could not be removed, never was.
    if (next.kind === 'done') return this.trace.kind === 'index';
    return next.kind !== 'run' || next.drops.length > 0;
  }

  private async nextOfIndex(
    shard: Shard,
    table: string,
    name: string | null,
    before: readonly string[],
  ): Promise<NextStep> {
    const made = (await this.indexes(shard, table)).filter(
      (index) => !before.includes(index.oid) && (name === null || index.name === name),
    );
    if (made.some(({ building, valid }) => building && !valid)) return { kind: 'busy' };
    if (made.some(({ valid }) => valid)) return { kind: 'done' };
    return { kind: 'run', drops: made.map(({ qualified }) => qualified) };
  }

  /** An index that was rebuilt in part stands beside the old one, under a name of the server's. */
  private async nextOfRebuild(
    shard: Shard,
    relation: string,
    before: readonly string[],
  ): Promise<NextStep> {
    const left = (await this.indexes(shard, relation)).filter(
      ({ oid, name, valid }) => !before.includes(oid) && !valid && /_cc(new|old)\d*$/.test(name),
    );
    if (left.some(({ building }) => building)) return { kind: 'busy' };
    return { kind: 'run', drops: left.map(({ qualified }) => qualified) };
  }

  private async nextOfDrop(shard: Shard, index: string): Promise<NextStep> {
    const [row] = await this.ask(shard, `SELECT to_regclass(${quoteLiteral(index)}) IS NULL`);
    return row?.[0] === 't' ? { kind: 'done' } : { kind: 'run', drops: [] };
  }

  private async nextOfDetach(shard: Shard, table: string, partition: string): Promise<NextStep> {
    const [row] = await this.ask(
      shard,
      'SELECT inhdetachpending FROM pg_catalog.pg_inherits' +
        ` WHERE inhparent = to_regclass(${quoteLiteral(table)})` +
        ` AND inhrelid = to_regclass(${quoteLiteral(partition)})`,
    );
    if (row === undefined) return { kind: 'done' };
    if (row[0] !== 't') return { kind: 'run', drops: [] };
    return { kind: 'finish', sql: `ALTER TABLE ${table} DETACH PARTITION ${partition} FINALIZE` };
  }

  private async indexes(shard: Shard, relation: string): Promise<readonly FoundIndex[]> {
    const rows = await this.ask(shard, indexesSql(relation));
    return rows.map(([oid, qualified, name, valid, building]) => ({
      oid: oid!,
      qualified: qualified!,
      name: name!,
      valid: valid === 't',
      building: building === 't',
    }));
  }

  private async ask(shard: Shard, sql: string): Promise<readonly (readonly (string | null)[])[]> {
    const { role, searchPath } = this.identity;
    const settings = [
      ...(role === '' ? [] : [setConfig('role', role)]),
      ...(searchPath === '' ? [] : [setConfig('search_path', searchPath)]),
    ];
    if (settings.length === 0) return this.query(shard, sql, QUERY_TIMEOUT_MS);
    const text = `SELECT ${settings.join(', ')};${sql}`;
    const [, ...rows] = await this.query(shard, text, QUERY_TIMEOUT_MS);
    return rows;
  }
}

interface FoundIndex {
  readonly oid: string;
  readonly qualified: string;
  readonly name: string;
  readonly valid: boolean;
  /** Somebody builds an index of this table just now. */
  readonly building: boolean;
}

function relationOf(trace: DdlTrace): string | null {
  if (trace.kind === 'index') return trace.table;
  return trace.kind === 'rebuilt' ? trace.relation : null;
}

function setConfig(name: string, value: string): string {
  return `pg_catalog.set_config('${name}', ${quoteLiteral(value)}, true)`;
}

/**
 * The indexes of a table, or of the table of an index. Who builds one concurrently has the table locked all the time;
 * so has VACUUM, which does not count.
 */
function indexesSql(relation: string): string {
  const named = `to_regclass(${quoteLiteral(relation)})`;
  return `
SELECT i.indexrelid, quote_ident(n.nspname) || '.' || quote_ident(c.relname), c.relname, i.indisvalid,
       EXISTS (SELECT 1 FROM pg_catalog.pg_locks l
               WHERE l.locktype = 'relation' AND l.relation = i.indrelid AND l.granted
                 AND l.mode = 'ShareUpdateExclusiveLock'
                 AND l.database = (SELECT d.oid FROM pg_catalog.pg_database d WHERE d.datname = current_database())
                 AND NOT EXISTS (SELECT 1 FROM pg_catalog.pg_stat_progress_vacuum v WHERE v.pid = l.pid))
FROM pg_catalog.pg_index i
JOIN pg_catalog.pg_class c ON c.oid = i.indexrelid
JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
WHERE i.indrelid = coalesce((SELECT x.indrelid FROM pg_catalog.pg_index x WHERE x.indexrelid = ${named}), ${named})`;
}
