import type { Shard } from '../../keyspace/topology.js';

/** A shard tells of a row while its successors are on their way to it; of rows further back nobody knows the line. */
const REMEMBERED_ROWS_MAX = 32_768;
const REMEMBERED_ROWS_FIRST = 256;

/**
 * Which line of the client's data is which line of a shard's, since errors of COPY tell lines. Counts as PostgreSQL
 * does: text and CSV by lines, those within quotes too, binary data by rows. Memory is bounded.
 */
export class RowLines {
  /** Lines of the data end with a line feed alone; known behind the first of them. */
  endsWithLineFeed = false;
  private complete = 0;
  /** A header line, which every shard gets. */
  private headers = 0;
  /** Within quotes of the current row. */
  private lineFeeds = 0;
  private returns = 0;
  private readonly shards = new Map<Shard, ShardLines>();

  /** The line that is being read. */
  get current(): number {
    return this.complete + 1 + this.inner(this.complete === 0);
  }

  /** A line feed within the current row. */
  innerLineFeed(): void {
    this.lineFeeds++;
  }

  /** A carriage return within the current row. */
  innerReturn(): void {
    this.returns++;
  }

  /** The current row ends, which belongs to the shard. */
  endRow(shard: Shard): void {
    let lines = this.shards.get(shard);
    if (lines === undefined) {
      lines = new ShardLines(this.headers);
      this.shards.set(shard, lines);
    }
    const own = lines.last + 1 + this.inner(lines.last === 0);
    this.endLine();
    lines.add(own, this.complete);
  }

  /** The current line is the header. */
  endHeader(): void {
    this.headers++;
    this.endLine();
  }

  /** Of the client's data, where the shard says `line`; null: not known any more. */
  lineOf(shard: Shard, line: number): number | null {
    return this.shards.get(shard)?.find(line) ?? null;
  }

  private endLine(): void {
    this.complete = this.current;
    this.lineFeeds = 0;
    this.returns = 0;
  }

  /** PostgreSQL knows how lines end when it has read the first one; up to there it counts carriage returns. */
  private inner(first: boolean): number {
    return this.endsWithLineFeed && !first ? this.lineFeeds : this.returns;
  }
}

/** The rows that a shard got last: the line at which each ends there, and in the client's data. */
class ShardLines {
  /** The shard's last complete line. */
  last: number;
  private own = new Float64Array(REMEMBERED_ROWS_FIRST);
  private client = new Float64Array(REMEMBERED_ROWS_FIRST);
  /** A ring once it is full: the next place. */
  private next = 0;
  private count = 0;

  constructor(headers: number) {
    this.last = headers;
  }

  add(own: number, client: number): void {
    if (this.count === this.own.length && this.count < REMEMBERED_ROWS_MAX) this.grow();
    this.own[this.next] = own;
    this.client[this.next] = client;
    this.next = (this.next + 1) % this.own.length;
    this.count = Math.min(this.count + 1, this.own.length);
    this.last = own;
  }

  /** By halving: lines ascend from the oldest row on. */
  find(line: number): number | null {
    const { own, client, count } = this;
    const oldest = (this.next - count + own.length) % own.length;
    let [low, high] = [0, count];
    while (low < high) {
      const middle = (low + high) >> 1;
      if (own[(oldest + middle) % own.length]! < line) low = middle + 1;
      else high = middle;
    }
    const at = (oldest + low) % own.length;
    return low < count && own[at] === line ? client[at]! : null;
  }

  /** Only full ones grow, which have not turned yet. */
  private grow(): void {
    const [own, client] = [this.own, this.client];
    this.own = new Float64Array(2 * own.length);
    this.client = new Float64Array(2 * own.length);
    this.own.set(own);
    this.client.set(client);
    this.next = own.length;
  }
}
