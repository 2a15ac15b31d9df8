import { setTimeout as sleep } from 'node:timers/promises';
import type { Table } from '../../keyspace/topology.js';
import { quoteIdentifier, quoteQualified } from '../../sql/quote.js';
import { inSnapshot, onEach, type AuditHost } from './audit-host.js';
import { nameOf, type Finding } from './finding.js';

/** Writes that were committed on some shards only are seen on all a moment later. */
const LOOKS = 3;
const BETWEEN_LOOKS_MS = 1000;

/** Looks whether the copies of a reference table are the same; differences that pass by themselves are none. */
export async function auditCopies(host: AuditHost, table: Table): Promise<Finding[]> {
  for (let look = 1; ; look++) {
    const copies = await readCopies(host, table);
    const [first] = copies;
    const differ = copies.some(({ digest }) => digest !== first!.digest);
    if (differ && look < LOOKS) {
      host.tell(`${table.name}: copies differ; looking again`);
      await sleep(BETWEEN_LOOKS_MS, undefined, { signal: host.signal });
      continue;
    }
    return copies.map(({ shard, rows, digest }) => {
      const same = digest === first!.digest;
      const detail = same ? '' : `differs from the copy on ${first!.shard}`;
      return { table: nameOf(table), shard, check: 'copy', rows, wrong: same ? 0 : null, detail };
    });
  }
}

interface Copy {
  readonly shard: string;
  readonly rows: number;
  readonly digest: string;
}

function readCopies(host: AuditHost, table: Table): Promise<Copy[]> {
  const name = quoteQualified(table.schema, table.name);
  const columns = host.catalog.relations.get(nameOf(table))?.columns ?? [];
  const row = columns.map((column) => quoteIdentifier(column.name)).join(', ');
  return onEach(host, table.keyspace.shards, (shard, each) =>
    inSnapshot(each, shard, async (ask) => {
      // The order of rows does not matter, how often each is there does.
      const [[rows, sum] = []] = await ask(
        `SELECT pg_catalog.count(*),` +
          ` pg_catalog.sum(pg_catalog.hashtextextended(ROW(${row})::pg_catalog.text, 0)) FROM ${name}`,
      );
      return { shard: shard.name, rows: Number(rows), digest: `${rows} ${sum}` };
    }),
  );
}
