/** Reads COPY data of one format, byte by byte resumable, and tells its RowRouter about keys and rows. */
export interface RowReader {
  /**
   * Reads one chunk. Throws SqlError on data that Postgres would refuse and that a shard, which sees only its own rows,
   * might accept.
   */
  read(bytes: Buffer, start: number, end: number): void;
  /** The client has sent everything; runs within an empty chunk. Throws SqlError likewise. */
  finish(): void;
}
