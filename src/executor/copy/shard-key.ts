import { sqlError, type SqlError } from '../../errors/sql-error.js';
import { KeyspaceIdCell } from '../../keyspace/keyspace-id.js';
import type { Keyspace, Shard } from '../../keyspace/topology.js';
import { INVALID, MAPPED, type MapOutcome } from '../../keyspace/vindex.js';
import type { CopyFromPlan } from '../../planner/plan.js';
import { shownCopyValue } from '../../protocol/copy-context.js';
import { inputError } from '../../vindex/input-errors.js';
import { storeError } from '../shard-targets.js';

export type CopyKey = NonNullable<CopyFromPlan['key']>;

/**
 * Finds the shards of key values that COPY stores. Throws SqlError where a value belongs to none, with the column as
 * its context where a server would name it.
 */
export class ShardKey {
  readonly keyspace: Keyspace;
  /** 0-based place among the copied columns. */
  readonly field: number;
  private readonly key: CopyKey;
  private readonly id = new KeyspaceIdCell();

  constructor(keyspace: Keyspace, key: CopyKey) {
    this.keyspace = keyspace;
    this.key = key;
    this.field = key.field;
  }

  ofText(bytes: Uint8Array, start: number, end: number): Shard {
    const outcome = this.key.mapper.text(bytes, start, end, this.id);
    return this.shard(outcome, bytes, start, end, false);
  }

  ofBinary(bytes: Uint8Array, start: number, end: number): Shard {
    const outcome = this.key.mapper.binary(bytes, start, end, this.id);
    return this.shard(outcome, bytes, start, end, true);
  }

  nullError(): Error {
    if (this.key.made === true) return extraDataError();
    return storeError(-1, this.key.column);
  }

  /** DEFAULT: the field stands for what the shards would compute. */
  defaultError(): Error {
    return sqlError(
      'feature_not_supported',
      `the default of shard key "${this.key.column}" is not known to the proxy`,
      { hint: 'Write the shard key of every row in the data.' },
    );
  }

  private shard(
    outcome: MapOutcome,
    bytes: Uint8Array,
    start: number,
    end: number,
    binary: boolean,
  ): Shard {
    if (outcome !== MAPPED && this.key.made === true) throw extraDataError();
    if (outcome === INVALID) {
      throw this.refused(bytes, start, end, binary);
    }
    if (outcome !== MAPPED) throw storeError(outcome, this.key.column);
    return this.keyspace.shardOf(this.id.hi, this.id.lo);
  }

  private refused(bytes: Uint8Array, start: number, end: number, binary: boolean): SqlError {
    const { columnType: type, column } = this.key;
    const name = column.slice(column.lastIndexOf('.') + 1);
    const input = { type, bytes, start, end, binary, parameter: 0, position: undefined };
    const { state, message, detail, hint } = inputError(input);
    const value = binary ? '' : `: "${shownCopyValue(bytes, start, end)}"`;
    return sqlError(state, message, { detail, hint, where: `column ${name}${value}` });
  }
}

/** What stands in the place of a value of our own is a field too many. */
function extraDataError(): Error {
  return sqlError('bad_copy_file_format', 'extra data after last expected column');
}
