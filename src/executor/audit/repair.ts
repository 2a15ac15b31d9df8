import { sqlError } from '../../errors/sql-error.js';
import type { Shard, ShardedTable, Table } from '../../keyspace/topology.js';
import { quoteIdentifier, quoteQualified } from '../../sql/quote.js';
import { blocksCondition, partsSql } from '../table-parts.js';
import { whileComplete } from '../lookups/complete-lookups.js';
import { inSnapshot, paced, type AuditHost } from './audit-host.js';
import { nameOf } from './finding.js';
import { repairLookup } from './lookup-repair.js';
import { obstaclesSql, RowMoves } from './row-moves.js';
import { rowPlaces, type RowPlaces } from './row-places.js';

/** What was done about the rows of one shard. */
export interface Repair {
  readonly table: string;
  /** Where the rows stood, or entries of a lookup. */
  readonly shard: string;
  /** Rows that moved, or entries that were written or deleted. */
  readonly moved: number;
  /** How many stay although they are wrong. */
  readonly left: number;
  /** Which, and why; empty: none. */
  readonly detail: string;
}

/** Blocks in which one step looks for rows. */
const BLOCKS_PER_STEP = 256;
/** Rows in one transaction. */
const ROWS_PER_MOVE = 100;
const CONFLICTS_SHOWN = 20;

/**
 * Moves the rows of a table that stand where they do not belong, shard by shard, and makes its lookups agree with
 * them. Rows that meet another one with their key stay, and are named. A line each shard that had such rows, and each
 * lookup. Rejects with SqlError, BackendError; what was moved before stays moved.
 */
export async function repairTable(host: AuditHost, table: Table): Promise<Repair[]> {
  if (table.type === 'reference') {
    throw sqlError('feature_not_supported', `REPAIR of reference table "${nameOf(table)}"`, {
      hint: 'Nobody knows which copy is right: make them agree on the shards, and AUDIT again.',
    });
  }
  const places = rowPlaces(table, host);
  const work = { table, places, moves: new RowMoves(host, table, places) };
  const lookups = table.type === 'sharded' ? (table.lookups ?? []) : [];
  return whileComplete(lookups, host, async () => {
    const repairs: Repair[] = [];
    for (const shard of host.topology.shards) {
      const done = await repairShard(host, work, shard);
      if (done.moved > 0 || done.left > 0) repairs.push(done);
    }
    // Behind the rows: an entry whose row is not on its shard would be taken for one without a row.
    for (const lookup of lookups) {
      const done = await repairLookup(host, table as ShardedTable, lookup);
      if (done !== null) repairs.push(done);
    }
    return repairs;
  });
}

interface Work {
  readonly table: Table;
  readonly places: RowPlaces;
  readonly moves: RowMoves;
}

async function repairShard(host: AuditHost, work: Work, shard: Shard): Promise<Repair> {
  const { table, moves } = work;
  const name = quoteQualified(table.schema, table.name);
  const parts = await inSnapshot(host, shard, async (ask) => {
    const found = await ask(partsSql(name));
    const [obstacle] = found.length === 0 ? [] : await ask(obstaclesSql(name));
    if (obstacle === undefined) return found;
    throw sqlError('feature_not_supported', `REPAIR of "${nameOf(table)}": ${obstacle[0]}`, {
      detail: 'Rows must go as they are, and no two may have one key.',
      hint: 'Disable or drop it on the shards while REPAIR runs.',
    });
  });
  const progress = paced(host.tell);
  const conflicts: string[] = [];
  let moved = 0;
  let homeless = 0;
  for (const [part, blocks] of parts) {
    for (let block = 0; block < Number(blocks); block += BLOCKS_PER_STEP) {
      const strays = await findStrays(host, work, shard, part!, block);
      homeless += strays.get(null)?.length ?? 0;
      for (const [target, ctids] of strays) {
        if (target === null) continue;
        for (let at = 0; at < ctids.length; at += ROWS_PER_MOVE) {
          host.signal.throwIfAborted();
          const some = ctids.slice(at, at + ROWS_PER_MOVE);
          const done = await moves.move(shard, part!, some, target);
          moved += done.moved;
          conflicts.push(...done.conflicts.map((key) => `${key} is on ${target.name} too`));
          progress(
            () => `${table.name}: ${shard.name}: ${moved} moved, block ${block} of ${blocks}`,
          );
        }
      }
    }
  }
  const details = conflicts.slice(0, CONFLICTS_SHOWN);
  if (conflicts.length > details.length)
    details.push(`and ${conflicts.length - details.length} more`);
  if (homeless > 0) details.push(`${homeless} belong to no shard`);
  const left = conflicts.length + homeless;
  return { table: nameOf(table), shard: shard.name, moved, left, detail: details.join('; ') };
}

/** The places (ctid) of rows in some blocks that belong to other shards, by shard; null: to none. */
async function findStrays(
  host: AuditHost,
  { table, places }: Work,
  shard: Shard,
  part: string,
  block: number,
): Promise<ReadonlyMap<Shard | null, string[]>> {
  const own = table.keyspace.shards.indexOf(shard);
  const columns = ['ctid', ...places.key.map(quoteIdentifier)].join(', ');
  const condition = blocksCondition(block, block + BLOCKS_PER_STEP);
  // Where the shard can tell, only the rows that are wrong come.
  const wrong = places.sql === null || own < 0 ? '' : ` AND (${places.sql}) <> ${own}`;
  const rows = await inSnapshot(host, shard, (ask) =>
    ask(`SELECT ${columns} FROM ONLY ${part} WHERE ${condition}${wrong}`),
  );
  const found = new Map<Shard | null, string[]>();
  const owners = await places.shardsOf(rows.map(([, ...key]) => key));
  for (const [place, [ctid]] of rows.entries()) {
    const owner = owners[place]!;
    if (owner === shard) continue;
    const list = found.get(owner);
    if (list === undefined) found.set(owner, [ctid!]);
    else list.push(ctid!);
  }
  return found;
}
