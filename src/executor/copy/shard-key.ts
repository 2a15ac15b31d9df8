import { sqlError } from '../../errors/sql-error.js';
import { KeyspaceIdCell } from '../../keyspace/keyspace-id.js';
import type { Keyspace, Shard } from '../../keyspace/topology.js';
import { MAPPED, type MapOutcome } from '../../keyspace/vindex.js';
import type { CopyFromPlan } from '../../planner/plan.js';
import { storeError } from '../shard-targets.js';

export type CopyKey = NonNullable<CopyFromPlan['key']>;

/** Finds the shards of key values that COPY stores. Throws SqlError where a value belongs to none. */
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
    return this.shard(this.key.mapper.text(bytes, start, end, this.id));
  }

  ofBinary(bytes: Uint8Array, start: number, end: number): Shard {
    return this.shard(this.key.mapper.binary(bytes, start, end, this.id));
  }

  nullError(): Error {
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

  private shard(outcome: MapOutcome): Shard {
    if (outcome !== MAPPED) throw storeError(outcome, this.key.column);
    return this.keyspace.shardOf(this.id.hi, this.id.lo);
  }
}
