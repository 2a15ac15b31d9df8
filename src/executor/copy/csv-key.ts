import type { Shard } from '../../keyspace/topology.js';
import type { CopyFormat } from '../../planner/plan.js';
import type { KeyFieldReader } from './line-fields.js';
import type { ShardKey } from './shard-key.js';
import { isText } from './text-key.js';

export type CsvFormat = Extract<CopyFormat, { kind: 'csv' }>;

/** Reads key fields of COPY's CSV format (PostgreSQL 18, COPY, File Formats: CSV Format). */
export class CsvKeyReader implements KeyFieldReader {
  private readonly format: CsvFormat;
  private readonly key: ShardKey;
  private value = new Uint8Array(64);

  constructor(format: CsvFormat, key: ShardKey) {
    this.format = format;
    this.key = key;
  }

  shardOf(row: Uint8Array, from: number, to: number): Shard | null {
    const { quote, nullText, defaultText, forceNotNull, forceNull } = this.format;
    for (let at = from; at < to; at++) {
      if (row[at] !== quote) continue;
      const length = this.unquote(row, from, to);
      if (forceNull && isText(this.value, 0, length, nullText)) throw this.key.nullError();
      return this.key.ofText(this.value, 0, length);
    }
    if (!forceNotNull && isText(row, from, to, nullText)) throw this.key.nullError();
    if (defaultText !== null && isText(row, from, to, defaultText)) throw this.key.defaultError();
    return this.key.ofText(row, from, to);
  }

  /** Writes the field without its quotes and escapes to `value` (CopyReadAttributesCSV). */
  private unquote(row: Uint8Array, from: number, to: number): number {
    const { quote, escape } = this.format;
    if (this.value.length < to - from) this.value = new Uint8Array(to - from);
    const { value } = this;
    let quoted = false;
    let length = 0;
    for (let at = from; at < to; at++) {
      let byte = row[at]!;
      if (quoted && byte === escape && at + 1 < to && isEither(row[at + 1]!, quote, escape)) {
        byte = row[++at]!;
      } else if (byte === quote) {
        quoted = !quoted;
        continue;
      }
      value[length++] = byte;
    }
    return length;
  }
}

function isEither(byte: number, one: number, other: number): boolean {
  return byte === one || byte === other;
}
