import type { CopyFromPlan } from '../../planner/plan.js';
import { BinaryRows } from './binary-rows.js';
import type { CopySink } from './copy-sink.js';
import { CsvRows } from './csv-rows.js';
import type { RowLines } from './row-lines.js';
import type { RowReader } from './row-reader.js';
import { RowRouter } from './row-router.js';
import { ShardKey } from './shard-key.js';
import { TextRows } from './text-rows.js';

export type { CopySink } from './copy-sink.js';

/**
 * Sends each row of a COPY FROM STDIN to the shard of its key, byte for byte, so that each shard parses what one
 * Postgres would have parsed. Memory holds at most the part of one row up to its key.
 */
export class CopySplitter {
  /** Null: a reference table, whose data goes to every shard as it is. */
  private readonly reader: RowReader | null;
  private readonly router: RowRouter;

  /**
   * `csvEndMarker`: the shards end CSV data at a line of `\.`, as PostgreSQL did before 18. `lines`: learns where rows
   * go. Throws SqlError on options that are not supported.
   */
  constructor(plan: CopyFromPlan, csvEndMarker: boolean, lines: RowLines) {
    this.router = new RowRouter(plan.key?.name ?? '', lines);
    this.reader = makeReader(plan, this.router, csvEndMarker);
  }

  /** Rows routed so far; those of a reference table are not counted. */
  get rows(): number {
    return this.router.rows;
  }

  /**
   * Takes copy data, cut anywhere. Throws SqlError on data that belongs to no shard or that Postgres would refuse; the
   * splitter must not be used any more then.
   */
  push(bytes: Buffer, start: number, end: number, sink: CopySink): void {
    const { router, reader } = this;
    if (reader === null) {
      if (start < end) sink.toAll(bytes, start, end);
      return;
    }
    if (router.ended) return;
    router.beginChunk(bytes, start, sink);
    reader.read(bytes, start, end);
    router.finishChunk(end);
  }

  /** The client has sent everything. Throws SqlError as `push` does. */
  finish(sink: CopySink): void {
    const { router, reader } = this;
    if (reader === null || router.ended) return;
    router.beginChunk(NOTHING, 0, sink);
    reader.finish();
    router.finishChunk(0);
  }
}

function makeReader(
  plan: CopyFromPlan,
  router: RowRouter,
  csvEndMarker: boolean,
): RowReader | null {
  const { format, columnCount, keyspace } = plan;
  if (plan.key === null) return null;
  const key = new ShardKey(keyspace, plan.key, true);
  switch (format.kind) {
    case 'text':
      return new TextRows(format, columnCount, key, router);
    case 'csv':
      return new CsvRows(format, columnCount, key, router, csvEndMarker);
    case 'binary':
      return new BinaryRows(columnCount, key, router);
  }
}

const NOTHING: Buffer = Buffer.alloc(0);
