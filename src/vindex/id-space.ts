import type { RangeOwner } from '../keyspace/key-range-tiling.js';
import type { KeyRange } from '../keyspace/key-range.js';
import {
  compareKeyspaceIds,
  GREATEST_ID,
  idBefore,
  KeyspaceIdCell,
  type KeyspaceId,
} from '../keyspace/keyspace-id.js';
import { suggest } from '../util/suggest.js';
import { hashBytes } from './lookup3.js';
import type { VindexProblem } from './options.js';

/** Hashes that are tried; shards with a thousandth of the space are nearly always met. */
const ROUNDS_MAX = 10_000;
const ID_BYTES = 8;
const scratch = new Uint8Array(ID_BYTES);

/**
 * The keyspace ids of some shards. A hash that lies elsewhere is hashed again until it lies inside. So an id inside
 * stays where it is, ids are spread over the shards by the sizes of their ranges, and a shard that is cut in two keeps
 * its ids, each in one of the parts.
 */
export class IdSpace {
  readonly #ranges: readonly KeyRange[];

  constructor(shards: readonly RangeOwner[]) {
    this.#ranges = shards.flatMap(({ ranges }) => ranges);
  }

  /** Moves the id in the cell into the space. */
  settle(cell: KeyspaceIdCell): void {
    for (let round = 0; round < ROUNDS_MAX; round++) {
      if (this.#holds(cell)) return;
      writeId(cell);
      hashBytes(scratch, 0, ID_BYTES, cell);
    }
    const { from } = this.#ranges[0]!;
    cell.hi = from.hi;
    cell.lo = from.lo;
  }

  /** The id of whatever has this name. */
  idOf(name: string): KeyspaceId {
    const bytes = Buffer.from(name);
    const cell = new KeyspaceIdCell();
    hashBytes(bytes, 0, bytes.length, cell);
    this.settle(cell);
    return Object.freeze({ hi: cell.hi, lo: cell.lo });
  }

  /** Visits the ranges of the space, as closed intervals. */
  eachSpan(visit: (from: KeyspaceId, to: KeyspaceId) => void): void {
    for (const { from, to } of this.#ranges) visit(from, to === null ? GREATEST_ID : idBefore(to));
  }

  #holds(id: KeyspaceId): boolean {
    for (const { from, to } of this.#ranges) {
      if (compareKeyspaceIds(id, from) < 0) continue;
      if (to === null || compareKeyspaceIds(id, to) < 0) return true;
    }
    return false;
  }
}

function writeId({ hi, lo }: KeyspaceId): void {
  for (let index = 0; index < 4; index++) {
    scratch[index] = hi >>> (24 - 8 * index);
    scratch[index + 4] = lo >>> (24 - 8 * index);
  }
}

/** The shards of a keyspace by these names, in their order; what is missing is a problem. */
export function shardsNamed(
  names: readonly string[],
  shards: readonly RangeOwner[],
  path: VindexProblem['path'],
  problems: VindexProblem[],
): RangeOwner[] {
  const found: RangeOwner[] = [];
  for (const name of names) {
    const shard = shards.find((own) => own.name === name);
    if (shard !== undefined) {
      found.push(shard);
      continue;
    }
    const known = shards.map((own) => own.name);
    const meant = suggest(name, known);
    problems.push({
      message: `the keyspace has no shard ${JSON.stringify(name)}`,
      hint: meant === null ? `its shards are ${known.join(', ')}` : `did you mean "${meant}"?`,
      path,
    });
  }
  return found;
}
