import type { Shard } from '../../keyspace/topology.js';
import type { RowRouter } from './row-router.js';
import type { ShardKey } from './shard-key.js';

/**
 * Finds the shard of the key field `[from, to)` as it stands in the data; null: the key has further fields. Throws
 * SqlError where there is none.
 */
export interface KeyFieldReader {
  shardOf(row: Uint8Array, from: number, to: number): Shard | null;
}

/**
 * Counts the fields of the current line, text or CSV, and routes the line when its whole key has come. A line that
 * lacks columns goes to some shard, which raises the error that one Postgres would raise. Nothing goes
 * anywhere behind it.
 */
export class LineFields {
  private readonly router: RowRouter;
  private readonly key: ShardKey;
  private readonly reader: KeyFieldReader;
  private readonly columnCount: number;
  private field = 0;
  private keyOffset = 0;
  private header: boolean;
  private refused = false;

  constructor(
    router: RowRouter,
    key: ShardKey,
    reader: KeyFieldReader,
    columnCount: number,
    header: boolean,
  ) {
    this.router = router;
    this.key = key;
    this.reader = reader;
    this.columnCount = columnCount;
    this.header = header;
  }

  /** Whether the delimiters that come next matter. */
  get seeksKey(): boolean {
    return !this.router.routed && !this.header;
  }

  /** A delimiter stands at `at`; only while `seeksKey`. */
  delimiter(at: number): void {
    if (this.field === this.key.field) this.readKey(at, 0);
    if (this.router.routed) return;
    if (++this.field === this.key.field) this.keyOffset = this.router.offset(at + 1);
  }

  /** The line's newline begins at `at`. `ignored`: how many bytes in front of it do not count. */
  endContent(at: number, ignored = 0): void {
    const { router, key } = this;
    if (router.routed) return;
    if (this.header) router.route('all');
    else if (this.field < key.field || key.field < this.columnCount - 1) {
      this.refused = true;
      router.route(key.keyspace.shards[0]!);
    } else this.readKey(at, ignored);
  }

  /** The current line cannot be read to its end: some shard will say why. */
  giveUp(): void {
    this.router.route(this.header ? 'all' : this.key.keyspace.shards[0]!);
  }

  /** The line ends in front of `at`, its newline included. */
  endLine(at: number): void {
    this.router.endRow(at, this.header ? 'header' : 'row');
    if (this.refused) this.router.endData();
    this.header = false;
    this.field = 0;
    this.keyOffset = 0;
    this.key.restart();
  }

  private readKey(at: number, ignored: number): void {
    const { router } = this;
    const end = router.rowBytes(at) - ignored;
    const shard = this.reader.shardOf(router.row, router.rowBase + this.keyOffset, end);
    if (shard !== null) router.route(shard);
  }
}
