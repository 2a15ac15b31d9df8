import { sqlError } from '../../errors/sql-error.js';
import { KeyspaceIdCell } from '../../keyspace/keyspace-id.js';
import type { Keyspace, Shard } from '../../keyspace/topology.js';
import { ASK, INVALID, MAPPED, type MapOutcome } from '../../keyspace/vindex.js';
import type { StoredColumn, StoredKey } from '../../planner/plan.js';
import { shownCopyValue } from '../../protocol/copy-context.js';
import { inputError } from '../../vindex/input-errors.js';
import { isTooLong, storeError } from '../shard-targets.js';

/**
 * Finds the shards of keys to be stored, whose columns come one after the other in a row's fields. Throws SqlError
 * where a value belongs to none.
 */
export class ShardKey {
  readonly keyspace: Keyspace;
  /** The 0-based field that the next column of the key is in. */
  field: number;
  private readonly isCopied: boolean;
  private readonly key: StoredKey;
  private readonly id = new KeyspaceIdCell();
  /** In the order of their fields. */
  private readonly columns: readonly PlacedColumn[];
  /** By the key's columns. */
  private readonly parts: readonly KeyspaceIdCell[];
  private next = 0;

  /** `isCopied`: errors name the column as those of COPY do. */
  constructor(keyspace: Keyspace, key: StoredKey, isCopied: boolean) {
    this.isCopied = isCopied;
    this.keyspace = keyspace;
    this.key = key;
    this.parts = key.columns.map(() => new KeyspaceIdCell());
    this.columns = key.columns
      .map((column, place) => ({ ...column, part: this.parts[place]! }))
      .sort((a, b) => a.field - b.field);
    this.field = this.columns[0]!.field;
  }

  /** Takes the value in `field`. Null: the key has further columns. */
  ofText(bytes: Uint8Array, start: number, end: number): Shard | null {
    const { mapper, part } = this.columns[this.next]!;
    return this.take(mapper.text(bytes, start, end, part), bytes, start, end, false);
  }

  ofBinary(bytes: Uint8Array, start: number, end: number): Shard | null {
    const { mapper, part } = this.columns[this.next]!;
    return this.take(mapper.binary(bytes, start, end, part), bytes, start, end, true);
  }

  /** Another row begins, whether or not the last one had all columns. */
  restart(): void {
    this.next = 0;
    this.field = this.columns[0]!.field;
  }

  nullError(): Error {
    const column = this.columns[this.next]!;
    if (column.made === true) return extraDataError();
    return storeError(-1, column);
  }

  /** DEFAULT: the field stands for what the shards would compute. */
  defaultError(): Error {
    return sqlError(
      'feature_not_supported',
      `the default of shard key "${this.columns[this.next]!.column}" is not known to the proxy`,
      { hint: 'Write the shard key of every row in the data.' },
    );
  }

  private take(
    outcome: MapOutcome,
    bytes: Uint8Array,
    start: number,
    end: number,
    binary: boolean,
  ): Shard | null {
    if (outcome !== MAPPED) this.refuse(outcome, bytes, start, end, binary);
    if (this.next + 1 < this.columns.length) {
      this.next++;
      this.field = this.columns[this.next]!.field;
      return null;
    }
    this.restart();
    const { parts } = this.key;
    const [first] = this.parts;
    if (parts === null) return this.keyspace.shardOf(first!.hi, first!.lo);
    parts.combine(this.parts, this.id);
    return this.keyspace.shardOf(this.id.hi, this.id.lo);
  }

  private refuse(
    outcome: MapOutcome,
    bytes: Uint8Array,
    start: number,
    end: number,
    binary: boolean,
  ): never {
    const key = this.columns[this.next]!;
    const { made, mapper, columnType: type, column } = key;
    if (outcome === ASK) throw storeError(outcome, key);
    if (made === true) throw extraDataError();
    if (outcome !== INVALID && !isTooLong(outcome, mapper)) throw storeError(outcome, key);
    const input = { type, bytes, start, end, binary, parameter: 0, position: undefined };
    const { state, message, detail, hint } =
      outcome === INVALID ? inputError(input) : storeError(outcome, key);
    const name = column.slice(column.lastIndexOf('.') + 1);
    const value = binary ? '' : `: "${shownCopyValue(bytes, start, end)}"`;
    const where = this.isCopied ? { where: `column ${name}${value}` } : {};
    throw sqlError(state, message, { detail, hint, ...where });
  }
}

interface PlacedColumn extends StoredColumn {
  readonly part: KeyspaceIdCell;
}

/** What stands in the place of a value of our own is a field too many. */
function extraDataError(): Error {
  return sqlError('bad_copy_file_format', 'extra data after last expected column');
}
