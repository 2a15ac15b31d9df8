import type { Shard } from '../../keyspace/topology.js';

/**
 * Receives COPY data: whole rows, several rows of one shard in a run, or pieces of a long row. Joined, what a shard
 * gets is a valid COPY stream. Bytes are only valid during the call.
 */
export interface CopySink {
  toShard(shard: Shard, bytes: Uint8Array, start: number, end: number): void;
  /** What every shard must get: header line, binary header and trailer, rows of a reference table. */
  toAll(bytes: Uint8Array, start: number, end: number): void;
}
