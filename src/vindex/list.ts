import { KeyspaceIdCell, signedId, type KeyspaceId } from '../keyspace/keyspace-id.js';
import { MAPPED, NO_SHARD, type MapOutcome, type Vindex } from '../keyspace/vindex.js';
import { makeComputed } from './computed.js';
import { hashSinks, hashSql } from './hash.js';
import { IdSpace, shardsNamed } from './id-space.js';
import { columnTypeField, literalType } from './key-literals.js';
import { followedBy, type KeyFamily } from './key-sinks.js';
import { ListedValues } from './listed-values.js';
import { vindexType, type VindexProblem } from './options.js';

/**
 * Values that are listed are on the shards named for them. All others are hashed over the shards of `others`, those
 * of a hash among these where `hash` has them; without `others` they are on no shard.
 */
export const listType = vindexType(
  'Listed values on shards by name, all others hashed',
  {
    column_type: columnTypeField,
    values: {
      form: { kind: 'shardByValue' },
      description: 'Shards by value',
      requiredCure: 'write values: { VALUE: SHARD }',
    },
    others: {
      form: { kind: 'shards' },
      description: 'Shards over which all other values are hashed; left out: such rows are refused',
    },
  },
  ({ name, options, shards }) => {
    const values = options.values ?? new Map<string, string>();
    const type = literalType(options.column_type, [...values.keys()]);
    const problems: VindexProblem[] = [];
    const listed = new ListedValues<KeyspaceId>();
    for (const [text, shardName] of values) {
      const path = ['values', text];
      const named = shardsNamed([shardName], shards, path, problems);
      const idOf = (hash: KeyspaceId): KeyspaceId => {
        const id = Object.assign(new KeyspaceIdCell(), hash);
        if (named.length > 0) new IdSpace(named).settle(id);
        return id;
      };
      listed.add(text, type, idOf, path, problems);
    }
    const others =
      options.others === undefined
        ? null
        : shardsNamed(options.others, shards, ['others'], problems);
    if (problems.length > 0) return problems;
    const everywhere = others !== null && shards.every((shard) => others.includes(shard));
    const space = others === null ? null : new IdSpace(others);
    const parts = [type.family, [...values].sort(), others?.map((shard) => shard.name).sort()];
    return makeList(name, `list ${JSON.stringify(parts)}`, type.family, listed, space, everywhere);
  },
);

function makeList(
  name: string,
  mapping: string,
  family: KeyFamily,
  listed: ListedValues<KeyspaceId>,
  space: IdSpace | null,
  everywhere: boolean,
): Vindex {
  const place = (out: KeyspaceIdCell): MapOutcome => {
    const id = listed.find(out);
    if (id !== undefined) {
      out.hi = id.hi;
      out.lo = id.lo;
      return MAPPED;
    }
    if (space === null) return NO_SHARD;
    if (!everywhere) space.settle(out);
    return MAPPED;
  };
  return makeComputed({
    name,
    type: 'list',
    mapping,
    followsRanges: true,
    sinks: followedBy(hashSinks, [family], place),
    // Hashing again until a shard of a few is met is no expression.
    sql(column) {
      if (space !== null && !everywhere) return null;
      const hash = hashSql(column, family);
      const arms = listed.entries.map(
        (own) => `WHEN ${signedId(own.hash)} THEN ${signedId(own.item)}`,
      );
      const rest = space === null ? '' : ` ELSE ${hash}`;
      return arms.length === 0 ? hash : `CASE ${hash} ${arms.join(' ')}${rest} END`;
    },
  });
}
