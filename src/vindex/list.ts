import { KeyspaceIdCell, signedId, type KeyspaceId } from '../keyspace/keyspace-id.js';
import { MAPPED, NO_SHARD, type MapOutcome, type Vindex } from '../keyspace/vindex.js';
import { TypeOid } from '../keyspace/type-oids.js';
import { makeComputed } from './computed.js';
import { hashSinks, hashSql } from './hash.js';
import { IdSpace, shardsNamed } from './id-space.js';
import { columnTypeField, literalType, readLiteral, type LiteralType } from './key-literals.js';
import { followedBy, type KeyFamily } from './key-sinks.js';
import { equalityMapper } from './key-types.js';
import { vindexType, type VindexProblem } from './options.js';

/** A listed value, by its hash. */
interface Listed {
  readonly hash: KeyspaceId;
  readonly id: KeyspaceId;
}

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
    const listed: Listed[] = [];
    for (const [text, shardName] of values) {
      const path = ['values', text];
      const hash = hashOf(text, type, path, problems);
      const named = shardsNamed([shardName], shards, path, problems);
      if (hash === null || named.length === 0) continue;
      if (listed.some((other) => other.hash.hi === hash.hi && other.hash.lo === hash.lo)) {
        const message = `value ${JSON.stringify(text)} is listed twice`;
        problems.push({ message, hint: 'keep one of its spellings', path });
      }
      const id = new KeyspaceIdCell();
      Object.assign(id, hash);
      new IdSpace(named).settle(id);
      listed.push({ hash, id });
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

function hashOf(
  text: string,
  type: LiteralType,
  path: VindexProblem['path'],
  problems: VindexProblem[],
): KeyspaceId | null {
  if (readLiteral(text, type, path, problems) === null) return null;
  const bytes = Buffer.from(text);
  const cell = new KeyspaceIdCell();
  equalityMapper(hashSinks, type.type, TypeOid.unknown, -1)!.text(bytes, 0, bytes.length, cell);
  return cell;
}

function makeList(
  name: string,
  mapping: string,
  family: KeyFamily,
  listed: readonly Listed[],
  space: IdSpace | null,
  everywhere: boolean,
): Vindex {
  // By the lower half of the hash: a plain number finds its entry without allocating.
  const byHash = new Map<number, Listed[]>();
  for (const entry of listed) {
    byHash.set(entry.hash.lo, [...(byHash.get(entry.hash.lo) ?? []), entry]);
  }
  const place = (out: KeyspaceIdCell): MapOutcome => {
    const entries = byHash.get(out.lo);
    if (entries !== undefined) {
      for (const { hash, id } of entries) {
        if (hash.hi !== out.hi) continue;
        out.hi = id.hi;
        out.lo = id.lo;
        return MAPPED;
      }
    }
    if (space === null) return NO_SHARD;
    if (!everywhere) space.settle(out);
    return MAPPED;
  };
  return makeComputed({
    name,
    type: 'list',
    mapping,
    sinks: followedBy(hashSinks, [family], place),
    // Hashing again until a shard of a few is met is no expression.
    sql(column) {
      if (space !== null && !everywhere) return null;
      const hash = hashSql(column, family);
      const arms = listed.map((own) => `WHEN ${signedId(own.hash)} THEN ${signedId(own.id)}`);
      const rest = space === null ? '' : ` ELSE ${hash}`;
      return arms.length === 0 ? hash : `CASE ${hash} ${arms.join(' ')}${rest} END`;
    },
  });
}
