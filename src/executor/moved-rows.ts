import { sqlError, type SqlError } from '../errors/sql-error.js';
import type { KeyDirectory } from '../keyspace/key-directory.js';
import type { Shard } from '../keyspace/topology.js';
import type { MoveSpec } from '../planner/plan.js';
import { readInt32 } from '../protocol/framing.js';
import { Writer } from '../protocol/writer.js';
import { ShardKey } from './copy/shard-key.js';
import type { GatheredSize } from './gather-limits.js';
import { WaitingRows } from './waiting-rows.js';

/** Rows by the shards that they are meant for, as DataRow messages back to back. */
export class PlacedRows {
  count = 0;
  private readonly byShard = new Map<Shard, { readonly messages: Writer; count: number }>();

  add(shard: Shard, buffer: Buffer, start: number, end: number): void {
    let rows = this.byShard.get(shard);
    if (rows === undefined) {
      rows = { messages: new Writer(INITIAL_BYTES), count: 0 };
      this.byShard.set(shard, rows);
    }
    rows.messages.bytes(buffer, start, end);
    rows.count++;
    this.count++;
  }

  get shards(): Shard[] {
    return [...this.byShard.keys()].sort((a, b) => a.index - b.index);
  }

  of(shard: Shard): { readonly messages: Buffer; readonly count: number } {
    const rows = this.byShard.get(shard);
    return { messages: rows?.messages.view() ?? NO_ROWS, count: rows?.count ?? 0 };
  }
}

const INITIAL_BYTES = 1024;
const NO_ROWS: Buffer = Buffer.alloc(0);

/** The locked rows of an UPDATE of the shard key, sorted by what becomes of them. */
export class MovedRows {
  count = 0;
  readonly staying = new PlacedRows();
  /** By the shard that they leave. */
  readonly leaving = new PlacedRows();
  readonly arriving = new PlacedRows();
  /** Null: each row is sorted at once. Else all wait for `place`. */
  readonly directory: KeyDirectory | null;
  private readonly waiting = new WaitingRows<Shard>();
  private readonly spec: MoveSpec;
  private readonly key: ShardKey;
  private readonly size: GatheredSize;
  /** Where rows were, which may come more than once. */
  private readonly seen = new Set<string>();
  /** How many rows of each old key make way for others; and the keys that rows come to, with their old ones. */
  private readonly freed = new Map<string, number>();
  private readonly taken: (readonly [oldKey: string, newKey: string])[] = [];

  constructor(spec: MoveSpec, size: GatheredSize) {
    this.spec = spec;
    this.size = size;
    this.directory = spec.key.new.directory ?? null;
    this.key = new ShardKey(spec.keyspace, spec.key.new, false);
  }

  /** Takes a DataRow message. Throws SqlError: 0A000 where it is placed at once and has no shard, 53200. */
  add(origin: Shard, buffer: Buffer, start: number, end: number): void {
    const { spec } = this;
    const fields = fieldStarts(buffer, start);
    if (spec.repeats) {
      const place = buffer.toString('latin1', fields[0], fields[spec.placeColumns]);
      const name = `${origin.index} ${place}`;
      if (this.seen.has(name)) return;
      this.seen.add(name);
    }
    if (this.directory === null) this.put(origin, buffer, start, end);
    else this.waiting.add(origin, buffer, start, end);
    this.count++;
    const error = this.size.add(end - start, 1);
    if (error !== null) throw error;
    this.noteKeys(buffer, fields);
  }

  /** Maps the new keys of the rows that wait. Throws SqlError. */
  map(): void {
    this.waiting.each((_origin, buffer, start) => void this.shardOf(buffer, start));
  }

  /** Sorts the rows that wait. Throws SqlError where the new key of one has no shard. */
  place(): void {
    this.waiting.each((origin, buffer, start, end) => this.put(origin, buffer, start, end));
  }

  private put(origin: Shard, buffer: Buffer, start: number, end: number): void {
    const shard = this.shardOf(buffer, start);
    if (shard === origin) {
      this.staying.add(origin, buffer, start, end);
      return;
    }
    this.leaving.add(origin, buffer, start, end);
    this.arriving.add(shard, buffer, start, end);
  }

  /**
   * Refuses rows that take the place of others which make way for them: which comes first, and so
   * whether a unique constraint is violated in between, is a matter of one server's order.
   */
  conflict(): SqlError | null {
    const inTheWay = this.taken.some(([oldKey, newKey]) => {
      return (this.freed.get(newKey) ?? 0) > (oldKey === newKey ? 1 : 0);
    });
    if (!inTheWay) return null;
    const { name } = this.spec.key.new;
    return sqlError(
      'feature_not_supported',
      `rows that take each other's values of shard key "${name}" in one UPDATE are not supported`,
      { hint: 'Change them in several statements, in the order that you want.' },
    );
  }

  /** The shard of the new key. */
  private shardOf(buffer: Buffer, start: number): Shard {
    const { key } = this;
    const fields = fieldStarts(buffer, start);
    let shard: Shard | null;
    do {
      const from = fields[key.field]! + 4;
      const length = readInt32(buffer, from - 4);
      if (length < 0) throw key.nullError();
      shard = key.ofBinary(buffer, from, from + length);
    } while (shard === null);
    return shard;
  }

  private noteKeys(buffer: Buffer, fields: readonly number[]): void {
    const { unique, key } = this.spec;
    if (unique === 'none') return;
    const { columns } = key.new;
    const oldEnd = fields[key.old + columns.length];
    const oldKey = buffer.toString('latin1', fields[key.old], oldEnd);
    const newKey = columns
      .map(({ field }) => buffer.toString('latin1', fields[field], fields[field + 1]))
      .join('');
    if (oldKey === newKey && unique === 'moved') return;
    this.freed.set(oldKey, (this.freed.get(oldKey) ?? 0) + 1);
    this.taken.push([oldKey, newKey]);
  }
}

/** Where the length of each field of a DataRow message stands, and where the last one ends. */
function fieldStarts(buffer: Buffer, start: number): number[] {
  const count = buffer.readUint16BE(start + 5);
  const starts = [start + 7];
  for (let i = 0; i < count; i++) {
    const at = starts[i]!;
    starts.push(at + 4 + Math.max(0, readInt32(buffer, at)));
  }
  return starts;
}
