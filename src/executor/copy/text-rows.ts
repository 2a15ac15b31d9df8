import type { CopyFormat } from '../../planner/plan.js';
import type { KeyField, RowKind, RowReader } from './copy-splitter.js';
import { LineEnds } from './line-ends.js';

type TextFormat = Extract<CopyFormat, { kind: 'text' }>;

const LF = 0x0a;
const CR = 0x0d;
const BACKSLASH = 0x5c;
const DOT = 0x2e;

/** Rows of COPY's text format (PostgreSQL 18, COPY, File Formats). */
export class TextRows implements RowReader {
  private readonly format: TextFormat;
  private readonly field: number;
  private readonly lineEnds = new LineEnds(false);
  private headerDue: boolean;

  constructor(format: TextFormat, field: number) {
    this.format = format;
    this.field = field;
    this.headerDue = format.header;
  }

  rowEnd(bytes: Buffer, start: number, end: number): number {
    let at = start;
    for (;;) {
      const newline = bytes.indexOf(LF, at);
      if (newline < 0 || newline >= end) return -1;
      // A newline behind a backslash is data.
      if (!isEscaped(bytes, start, newline)) {
        this.lineEnds.check(bytes, start, newline);
        return newline + 1;
      }
      at = newline + 1;
    }
  }

  readRow(bytes: Buffer, start: number, end: number, key: KeyField): RowKind {
    const stop = this.lineEnds.contentEnd(bytes, start, end);
    const strayReturn = bytes.indexOf(CR, start);
    if (strayReturn >= 0 && strayReturn < stop && !isEscaped(bytes, start, strayReturn)) {
      throw this.lineEnds.strayReturn();
    }
    if (this.headerDue) {
      this.headerDue = false;
      return 'for all';
    }
    if (stop - start === 2 && bytes[start] === BACKSLASH && bytes[start + 1] === DOT) {
      return 'end of data';
    }
    let from = start;
    for (let field = 0; field < this.field; field++) {
      const delimiter = this.fieldEnd(bytes, from, stop);
      if (delimiter === stop) return 'incomplete';
      from = delimiter + 1;
    }
    const to = this.fieldEnd(bytes, from, stop);
    if (equals(bytes, from, to, this.format.nullText)) return 'null key';
    const { defaultText } = this.format;
    if (defaultText !== null && equals(bytes, from, to, defaultText)) return 'default key';
    const escape = bytes.indexOf(BACKSLASH, from);
    if (escape < 0 || escape >= to) {
      key.bytes = bytes;
      key.start = from;
      key.end = to;
      return 'row';
    }
    const value = unescape(bytes, from, to);
    key.bytes = value;
    key.start = 0;
    key.end = value.length;
    return 'row';
  }

  private fieldEnd(bytes: Buffer, from: number, stop: number): number {
    const { delimiter } = this.format;
    for (let at = from; at < stop; at++) {
      const byte = bytes[at];
      if (byte === delimiter) return at;
      if (byte === BACKSLASH) at++;
    }
    return stop;
  }
}

/** Whether an odd number of backslashes stands in front of `at`. */
function isEscaped(bytes: Uint8Array, start: number, at: number): boolean {
  let backslashes = 0;
  while (at - 1 - backslashes >= start && bytes[at - 1 - backslashes] === BACKSLASH) backslashes++;
  return backslashes % 2 === 1;
}

export function equals(bytes: Uint8Array, from: number, to: number, text: Uint8Array): boolean {
  if (to - from !== text.length) return false;
  for (let i = 0; i < text.length; i++) if (bytes[from + i] !== text[i]) return false;
  return true;
}

const ESCAPES: Readonly<Record<number, number>> = {
  0x62: 0x08,
  0x66: 0x0c,
  0x6e: 0x0a,
  0x72: 0x0d,
  0x74: 0x09,
  0x76: 0x0b,
};

function unescape(bytes: Uint8Array, from: number, to: number): Uint8Array {
  const value = new Uint8Array(to - from);
  let length = 0;
  let at = from;
  while (at < to) {
    let byte = bytes[at++]!;
    if (byte === BACKSLASH && at < to) {
      byte = bytes[at++]!;
      const hex = byte === 0x78 ? hexDigit(bytes[at] ?? 0) : -1;
      if (isOctal(byte)) {
        let code = byte - 0x30;
        for (let digits = 1; digits < 3 && at < to && isOctal(bytes[at]!); digits++) {
          code = code * 8 + bytes[at++]! - 0x30;
        }
        byte = code & 0xff;
      } else if (hex >= 0 && at < to) {
        at++;
        const second = at < to ? hexDigit(bytes[at]!) : -1;
        byte = second < 0 ? hex : hex * 16 + second;
        if (second >= 0) at++;
      } else byte = ESCAPES[byte] ?? byte;
    }
    value[length++] = byte;
  }
  return value.subarray(0, length);
}

function isOctal(byte: number): boolean {
  return byte >= 0x30 && byte <= 0x37;
}

function hexDigit(byte: number): number {
  if (byte >= 0x30 && byte <= 0x39) return byte - 0x30;
  const lower = byte | 0x20;
  return lower >= 0x61 && lower <= 0x66 ? lower - 0x57 : -1;
}
