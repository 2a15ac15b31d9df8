import { KeyspaceIdCell, type KeyspaceId } from '../keyspace/keyspace-id.js';
import { TypeOid } from '../keyspace/type-oids.js';
import { hashSinks } from './hash.js';
import { readLiteral, type LiteralType } from './key-literals.js';
import { equalityMapper } from './key-types.js';
import type { VindexProblem } from './options.js';

/** Values that the configuration lists, each with something, found by their hashes. */
export class ListedValues<T> {
  /** In their order. */
  readonly entries: { readonly hash: KeyspaceId; readonly item: T }[] = [];
  // By the lower half of the hash: a plain number finds its entry without allocating.
  readonly #byHash = new Map<number, { readonly hash: KeyspaceId; readonly item: T }[]>();

  /** Adds a value; what is none of the type, or listed already, is a problem. */
  add(
    text: string,
    type: LiteralType,
    itemOf: (hash: KeyspaceId) => T,
    path: VindexProblem['path'],
    problems: VindexProblem[],
  ): void {
    if (readLiteral(text, type, path, problems) === null) return;
    const hash = hashOf(text, type);
    if (this.find(hash) !== undefined) {
      const message = `value ${JSON.stringify(text)} is listed twice`;
      problems.push({ message, hint: 'keep one of its spellings', path });
      return;
    }
    const entry = { hash, item: itemOf(hash) };
    this.entries.push(entry);
    this.#byHash.set(hash.lo, [...(this.#byHash.get(hash.lo) ?? []), entry]);
  }

  /** What the value with this hash is listed with. */
  find({ hi, lo }: KeyspaceId): T | undefined {
    const entries = this.#byHash.get(lo);
    if (entries === undefined) return undefined;
    for (const { hash, item } of entries) if (hash.hi === hi) return item;
    return undefined;
  }
}

function hashOf(text: string, { type }: LiteralType): KeyspaceId {
  const bytes = Buffer.from(text);
  const cell = new KeyspaceIdCell();
  equalityMapper(hashSinks, type, TypeOid.unknown, -1)!.text(bytes, 0, bytes.length, cell);
  return Object.freeze({ hi: cell.hi, lo: cell.lo });
}
