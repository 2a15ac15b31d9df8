import { KeyDirectory } from '../keyspace/key-directory.js';
import { signedId } from '../keyspace/keyspace-id.js';
import { makeComputed } from './computed.js';
import { hashSinks, makeHashVindex } from './hash.js';
import { IdSpace } from './id-space.js';
import { followedBy, type KeyFamily } from './key-sinks.js';
import { vindexType, type OptionField, type VindexProblem } from './options.js';

const TABLE = /^(?:([^.]{1,63})\.)?([^.]{1,63})$/;

const hashVindex = makeHashVindex('hash');

export const tableField = {
  form: { kind: 'value' },
  description: 'Its own table, in an unsharded keyspace, which Shardgate makes',
  requiredCure: 'write table: NAME, a table for it alone, which Shardgate makes',
} as const satisfies OptionField;

/** A table as `tableField` spells it; null: it is missing, or no name (a problem). */
export function readTable(
  given: string | undefined,
  problems: VindexProblem[],
): KeyDirectory['table'] | null {
  const [, schema = 'public', name] = TABLE.exec(given ?? '') ?? [];
  if (name !== undefined) return { schema, name };
  const hint = 'write name or schema.name, spelled as \\d shows it';
  problems.push({ message: 'no name of a table', hint, path: ['table'] });
  return null;
}

/** A table tells the shard of each key. The id of a key is that of `hash`, moved to its shard. */
export const directoryType = vindexType(
  'A table tells the shard of each key',
  {
    table: tableField,
    unknown: {
      form: { kind: 'choice', choices: ['assign', 'refuse'] },
      description:
        'What becomes of rows with a key that is new: its shard is the one with the fewest keys (assign, the default), or they are refused',
    },
  },
  ({ name, options, shards }) => {
    const problems: VindexProblem[] = [];
    const table = readTable(options.table, problems);
    if (table === null) return problems;
    const directory = new KeyDirectory(
      table,
      options.unknown !== 'refuse',
      new Map(shards.map((shard) => [shard.name, new IdSpace([shard])])),
      (column, type, id) => {
        const hash = hashVindex.sqlExpression(column, type);
        return hash === null ? null : `(${hash}) = ${signedId(id)}`;
      },
    );
    return makeComputed({
      name,
      type: 'directory',
      mapping: `directory ${table.schema}.${table.name}`,
      sinks: followedBy(hashSinks, Object.keys(hashSinks) as KeyFamily[], (out) =>
        directory.place(out),
      ),
      // Only the table knows.
      sql: () => null,
      directory,
    });
  },
);
