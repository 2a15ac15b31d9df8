import type { FinalPiece, GatherSpec, ShardSelector } from '../plan.js';
import type { ScatterContext } from './scatter-context.js';

/** What the shards of a split query compute, all by the same SQL. */
export interface OneInput {
  readonly label: string;
  readonly shards: ShardSelector;
  readonly sql: string;
  readonly columns: readonly string[];
  readonly estimatedRows: number | null;
}

/**
 * A gather of what split SQL gives, for a final statement that finds nothing else on its home: any server of the
 * keyspace, whose own rows then need not travel.
 */
export function oneInputSpec(
  scatter: ScatterContext,
  input: OneInput,
  final: readonly FinalPiece[],
): GatherSpec {
  const { shards } = input;
  const keyspace = 'keyspace' in shards ? shards.keyspace : null;
  const { defaultCollations } = scatter;
  return {
    inputs: [{ ...input, primaryKey: null, defaultCollations }],
    home: { kind: 'any', keyspace },
    final,
  };
}
