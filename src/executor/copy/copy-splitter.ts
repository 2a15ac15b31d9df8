import { sqlError } from '../../errors/sql-error.js';
import { KeyspaceIdCell } from '../../keyspace/keyspace-id.js';
import type { Shard } from '../../keyspace/topology.js';
import { MAPPED } from '../../keyspace/vindex.js';
import type { CopyFromPlan } from '../../planner/plan.js';
import { storeError } from '../shard-targets.js';
import { BinaryRows } from './binary-rows.js';
import { CsvRows } from './csv-rows.js';
import { TextRows } from './text-rows.js';

/** Receives the rows of a COPY; bytes are only valid during the call. */
export interface CopySink {
  toShard(shard: Shard, bytes: Uint8Array, start: number, end: number): void;
  /** What every shard must get: header line, binary header and trailer, rows of a reference table. */
  toAll(bytes: Uint8Array, start: number, end: number): void;
}

/** The shard key of a row, in the format of the COPY. */
export interface KeyField {
  bytes: Uint8Array;
  start: number;
  end: number;
}

/** Cuts a stream of COPY data into rows and finds the key in each. */
export interface RowReader {
  /**
   * The end of the row that starts at `start`; -1: it is not whole yet. Throws SqlError 22P04 on data that Postgres
   * refuses and that a single shard might not see to be wrong.
   */
  rowEnd(bytes: Buffer, start: number, end: number): number;
  /** What the row is. `key` gets the field where it is a row with a key. */
  readRow(bytes: Buffer, start: number, end: number, key: KeyField): RowKind;
}

/** `incomplete`: the shard that gets it will say what is wrong with it. */
export type RowKind = 'row' | 'null key' | 'default key' | 'incomplete' | 'for all' | 'end of data';

/** A row is kept until its end has come; a longer one is refused, as memory is bounded. */
const ROW_BYTES_MAX = 64 * 1024 * 1024;

/**
 * Sends each row of a COPY FROM STDIN to the shard of its key, byte for byte, so that each shard parses what one
 * Postgres would have parsed. Chunks may be cut anywhere.
 */
export class CopySplitter {
  private readonly plan: CopyFromPlan;
  private readonly reader: RowReader | null;
  private readonly key: KeyField = { bytes: NOTHING, start: 0, end: 0 };
  private readonly id = new KeyspaceIdCell();
  /** The beginning of a row whose end is still to come. */
  private pending: Buffer = NOTHING;
  private ended = false;

  /** `csvEndMarker`: the shards end CSV data at a line of `\\.`, as PostgreSQL did before 18. */
  constructor(plan: CopyFromPlan, csvEndMarker: boolean) {
    this.plan = plan;
    this.reader = plan.key === null ? null : makeReader(plan, plan.key.field, csvEndMarker);
  }

  push(bytes: Buffer, start: number, end: number, sink: CopySink): void {
    if (this.reader === null) {
      sink.toAll(bytes, start, end);
      return;
    }
    if (this.pending.length === 0) {
      const rest = this.rows(this.reader, bytes, start, end, sink);
      if (rest < end) this.keep(bytes, rest, end);
      return;
    }
    const joined = Buffer.concat([this.pending, bytes.subarray(start, end)]);
    this.pending = NOTHING;
    const rest = this.rows(this.reader, joined, 0, joined.length, sink);
    if (rest < joined.length) this.keep(joined, rest, joined.length);
  }

  /** The client has sent everything. */
  finish(sink: CopySink): void {
    const { pending, reader } = this;
    this.pending = NOTHING;
    if (reader === null || pending.length === 0 || this.ended) return;
    // The last line needs no newline; a cut-off binary row is for a shard to refuse.
    this.row(reader, pending, 0, pending.length, sink);
  }

  private keep(bytes: Buffer, start: number, end: number): void {
    if (end - start > ROW_BYTES_MAX) {
      throw sqlError('program_limit_exceeded', `a COPY row is longer than ${ROW_BYTES_MAX} bytes`, {
        hint: 'Insert rows of this size one by one.',
      });
    }
    this.pending = Buffer.from(bytes.subarray(start, end));
  }

  /** Hands out all whole rows; answers where the rest begins. */
  private rows(
    reader: RowReader,
    bytes: Buffer,
    start: number,
    end: number,
    sink: CopySink,
  ): number {
    let at = start;
    while (at < end) {
      if (this.ended) return end;
      const next = reader.rowEnd(bytes, at, end);
      if (next < 0) return at;
      this.row(reader, bytes, at, next, sink);
      at = next;
    }
    return at;
  }

  private row(reader: RowReader, bytes: Buffer, start: number, end: number, sink: CopySink): void {
    const { keyspace, key: column } = this.plan;
    switch (reader.readRow(bytes, start, end, this.key)) {
      case 'row': {
        const { key, id } = this;
        const { mapper } = column!;
        const binary = this.plan.format.kind === 'binary';
        const outcome = binary
          ? mapper.binary(key.bytes, key.start, key.end, id)
          : mapper.text(key.bytes, key.start, key.end, id);
        if (outcome !== MAPPED) throw storeError(outcome, column!.column);
        sink.toShard(keyspace.shardOf(id.hi, id.lo), bytes, start, end);
        return;
      }
      case 'null key':
        throw storeError(-1, column!.column);
      case 'default key':
        throw sqlError(
          'feature_not_supported',
          `the default of shard key "${column!.column}" is not known to the proxy`,
          { hint: 'Give every row its shard key.' },
        );
      case 'incomplete':
        sink.toShard(keyspace.shards[0]!, bytes, start, end);
        return;
      case 'for all':
        sink.toAll(bytes, start, end);
        return;
      case 'end of data':
        this.ended = true;
    }
  }
}

function makeReader(plan: CopyFromPlan, field: number, csvEndMarker: boolean): RowReader {
  const { format } = plan;
  switch (format.kind) {
    case 'text':
      return new TextRows(format, field);
    case 'csv':
      return new CsvRows(format, field, csvEndMarker);
    case 'binary':
      return new BinaryRows(field);
  }
}

const NOTHING: Buffer = Buffer.alloc(0);
