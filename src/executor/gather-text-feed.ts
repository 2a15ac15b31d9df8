import type { BackendConnection } from '../backend/postgres/connection.js';
import { Frontend } from '../protocol/codes.js';
import { readInt32, readUint16 } from '../protocol/framing.js';
import type { GatherFeed } from './gather-feed.js';
import { GatherRows } from './gather-rows.js';

/** Lines are collected up to this before they are written. */
const WRITE_BYTES = 32 * 1024;
const TAB = 0x09;
const NEWLINE = 0x0a;
const RETURN = 0x0d;
const BACKSLASH = 0x5c;
const NULL_MARK = Buffer.from('\\N');

/**
 * A COPY ... FROM STDIN of text lines, from rows whose columns are text: for types that have no
 * binary form, or one that names things by numbers which each server gives by itself.
 */
export class TextFeed implements GatherFeed {
  rowCount = 0;
  private readonly home: BackendConnection;
  /** A row that has not come to its end. */
  private readonly open = new GatherRows();

  constructor(home: BackendConnection) {
    this.home = home;
  }

  begin(): void {
    this.rowCount = 0;
  }

  rows(buffer: Buffer, start: number, end: number, isRest: boolean): boolean {
    let at = start;
    if (isRest) {
      this.open.push(buffer, start, end);
      if (this.open.missing > 0) return true;
      this.kept(this.open.content());
      this.open.clear();
      at = end;
    }
    while (at < end) {
      const next = at + 1 + readInt32(buffer, at + 1);
      if (next > end) {
        this.open.push(buffer, at, end);
        break;
      }
      this.line(buffer, at);
      at = next;
    }
    const { home } = this;
    if (home.out.size >= WRITE_BYTES) home.flush();
    // The lines are copies: the rows themselves are done with.
    return !home.congested;
  }

  kept(messages: Buffer): void {
    let at = 0;
    while (at < messages.length) {
      this.line(messages, at);
      at += 1 + readInt32(messages, at + 1);
    }
  }

  end(): void {
    const { home } = this;
    home.out.begin(Frontend.copyDone).end();
    home.copyingIn = false;
  }

  /** Writes the row whose message begins at `at` as one line (PostgreSQL 18, COPY, Text Format). */
  private line(buffer: Buffer, at: number): void {
    const { out } = this.home;
    out.begin(Frontend.copyData);
    const count = readUint16(buffer, at + 5);
    let from = at + 7;
    for (let column = 0; column < count; column++) {
      if (column > 0) out.byte(TAB);
      const length = readInt32(buffer, from);
      from += 4;
      if (length < 0) {
        out.bytes(NULL_MARK);
        continue;
      }
      this.value(buffer, from, from + length);
      from += length;
    }
    out.byte(NEWLINE).end();
    this.rowCount++;
  }

  private value(buffer: Buffer, start: number, end: number): void {
    const { out } = this.home;
    let from = start;
    for (let at = start; at < end; at++) {
      const byte = buffer[at]!;
      if (byte !== TAB && byte !== NEWLINE && byte !== RETURN && byte !== BACKSLASH) continue;
      out.bytes(buffer, from, at).byte(BACKSLASH);
      from = at;
      if (byte === NEWLINE || byte === RETURN) {
        out.byte(byte === NEWLINE ? 0x6e : 0x72);
        from = at + 1;
      }
    }
    out.bytes(buffer, from, end);
  }
}
