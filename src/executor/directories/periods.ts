import type { KeyDirectory, PeriodTiers } from '../../keyspace/key-directory.js';
import { idFromSigned, type KeyspaceId } from '../../keyspace/keyspace-id.js';
import type { Ask, AuditHost } from '../audit/audit-host.js';
import { periodsSql } from './directory-sql.js';
import { giveShards, whileMoving } from './move-key.js';

/** Where a period is, and where it belongs by its age. */
export interface PeriodPlace {
  readonly id: KeyspaceId;
  readonly label: string;
  readonly shard: string;
  /** Its rows are on their way, or its move was cut off. */
  readonly moving: boolean;
  /** The place of its tier, from 0. */
  readonly tier: number;
  /** The shard that it is to go to; null: it stays. */
  readonly next: string | null;
}

/** What became of a period that was due. */
export interface PeriodMove {
  readonly label: string;
  readonly from: string;
  readonly to: string;
  readonly rows: number;
  /** Why it could not be moved; null: it was. */
  readonly failure: Error | null;
}

/** All periods of a directory that has some, from the first to the last. Their age is that of the server's clock. */
export async function readPeriods(ask: Ask, directory: KeyDirectory): Promise<PeriodPlace[]> {
  const { periods, table } = directory;
  if (periods === null) return [];
  const rows = await ask(periodsSql(table, periods.kind));
  return rows.map(([hash, shard, moving, now]) => {
    const id = idFromSigned(hash!);
    return placeOf(periods, id, shard!, moving === 't', Number(now));
  });
}

function placeOf(
  periods: PeriodTiers,
  id: KeyspaceId,
  shard: string,
  moving: boolean,
  nowMs: number,
): PeriodPlace {
  const { tier, shard: wanted } = periods.placeAt(id, nowMs);
  // A tier that has got more shards gives them new periods only.
  const stays = periods.tiers[tier]!.shards.includes(shard);
  const { label } = periods.period(id);
  const next = moving && stays ? shard : stays ? null : wanted;
  return { id, label, shard, moving, tier, next };
}

export function isDue({ next }: PeriodPlace): boolean {
  return next !== null;
}

/** Periods that wait together for what is open: statements with them are refused all that time. */
const TOGETHER_MAX = 8;

/**
 * Moves all periods of a directory that are due, the oldest first; where one fails the others still go. Rejects with
 * SqlError 55000 where somebody else moves keys of it now (`isBusy`), and where it is aborted.
 */
export function movePeriods(
  host: AuditHost,
  directory: KeyDirectory,
  queueTimeoutMs: number,
  onMove: (move: PeriodMove) => void,
): Promise<PeriodMove[]> {
  return whileMoving(host, directory, async (askHome) => {
    const made: PeriodMove[] = [];
    const due = (await readPeriods(askHome, directory)).flatMap(({ id, label, shard, next }) => {
      const to = host.topology.shards.find(
        ({ name, ranges }) => name === next && ranges.length > 0,
      );
      return to === undefined ? [] : [{ id, label, from: shard, shard: to }];
    });
    for (let at = 0; at < due.length; at += TOGETHER_MAX) {
      const some = due.slice(at, at + TOGETHER_MAX);
      host.signal.throwIfAborted();
      host.tell(some.map(({ label, from, shard }) => `${label}: ${from} to ${shard.name}`).join());
      const given = await giveShards(host, askHome, directory, some, queueTimeoutMs);
      for (const [place, { label, from, shard }] of some.entries()) {
        const { repairs, failure } = given[place]!;
        const rows = repairs.reduce((sum, { moved }) => sum + moved, 0);
        const move = { label, from, to: shard.name, rows, failure };
        made.push(move);
        onMove(move);
      }
    }
    return made;
  });
}
