import type { Shard } from '../../keyspace/topology.js';
import type { CopyFormat } from '../../planner/plan.js';
import type { KeyFieldReader } from './line-fields.js';
import type { ShardKey } from './shard-key.js';

type TextFormat = Extract<CopyFormat, { kind: 'text' }>;

const BACKSLASH = 0x5c;
const SMALL_X = 0x78;

/** Reads key fields of COPY's text format (PostgreSQL 18, COPY, File Formats: Text Format). */
export class TextKeyReader implements KeyFieldReader {
  private readonly format: TextFormat;
  private readonly key: ShardKey;
  private value = new Uint8Array(64);

  constructor(format: TextFormat, key: ShardKey) {
    this.format = format;
    this.key = key;
  }

  shardOf(row: Uint8Array, from: number, to: number): Shard | null {
    const { nullText, defaultText } = this.format;
    // NULL and DEFAULT are what the field reads, before backslashes are resolved.
    if (isText(row, from, to, nullText)) throw this.key.nullError();
    if (defaultText !== null && isText(row, from, to, defaultText)) throw this.key.defaultError();
    for (let at = from; at < to; at++) {
      if (row[at] === BACKSLASH) return this.shardOfEscaped(row, from, to);
    }
    return this.key.ofText(row, from, to);
  }

  private shardOfEscaped(row: Uint8Array, from: number, to: number): Shard | null {
    if (this.value.length < to - from) this.value = new Uint8Array(to - from);
    const length = unescape(row, from, to, this.value);
    return this.key.ofText(this.value, 0, length);
  }
}

/** Whether the field `[from, to)` reads `text`. */
export function isText(row: Uint8Array, from: number, to: number, text: Uint8Array): boolean {
  if (to - from !== text.length) return false;
  for (let i = 0; i < text.length; i++) if (row[from + i] !== text[i]) return false;
  return true;
}

/** What single letters behind a backslash stand for; every other byte stands for itself. */
const LETTERS: Readonly<Record<number, number>> = {
  0x62: 0x08,
  0x66: 0x0c,
  0x6e: 0x0a,
  0x72: 0x0d,
  0x74: 0x09,
  0x76: 0x0b,
};

/** Resolves backslashes as Postgres does (CopyReadAttributesText); answers the length of `out`. */
function unescape(row: Uint8Array, from: number, to: number, out: Uint8Array): number {
  let length = 0;
  let at = from;
  while (at < to) {
    let byte = row[at++]!;
    if (byte === BACKSLASH && at < to) {
      byte = row[at++]!;
      if (isOctal(byte)) {
        byte -= 0x30;
        for (let digits = 1; digits < 3 && at < to && isOctal(row[at]!); digits++) {
          byte = ((byte << 3) | (row[at++]! - 0x30)) & 0xff;
        }
      } else if (byte === SMALL_X && at < to && hexDigit(row[at]!) >= 0) {
        byte = hexDigit(row[at++]!);
        if (at < to && hexDigit(row[at]!) >= 0) byte = (byte << 4) | hexDigit(row[at++]!);
      } else byte = LETTERS[byte] ?? byte;
    }
    out[length++] = byte;
  }
  return length;
}

function isOctal(byte: number): boolean {
  return byte >= 0x30 && byte <= 0x37;
}

function hexDigit(byte: number): number {
  if (byte >= 0x30 && byte <= 0x39) return byte - 0x30;
  const lower = byte | 0x20;
  return lower >= 0x61 && lower <= 0x66 ? lower - 0x57 : -1;
}
