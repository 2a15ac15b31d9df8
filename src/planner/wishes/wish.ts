import type { Keyspace, Shard, Table, Topology } from '../../keyspace/topology.js';
import { suggest } from '../../util/suggest.js';
import type { Refusal } from '../plan.js';
import { refusal } from '../refusals.js';

/** What a session, or a comment in front of a statement, says of where to go; as it was written. */
export interface WishTexts {
  readonly shard?: string | undefined;
  readonly key?: string | undefined;
  readonly keyspace?: string | undefined;
  readonly role?: string | undefined;
  readonly scatter?: string | undefined;
  /** Some of it stands in a comment. */
  readonly inComment?: true;
}

export const wishNames = ['shard', 'key', 'keyspace', 'role', 'scatter'] as const;

/** The same, found in the configuration. */
export interface Wish {
  /** Statements run on this shard, over its rows only. */
  readonly shard: Shard | null;
  /** A shard key: statements on sharded tables run on its shard, over all rows there. */
  readonly key: string | null;
  /** Tables of others are refused. */
  readonly keyspace: Keyspace | null;
  /** Whether statements may run on shards that no key has named; null: as configured. */
  readonly scatter: boolean | null;
  readonly inComment: boolean;
  /** Why it cannot be followed; null: it can. */
  readonly problem: Refusal | null;
}

export const NO_WISH: Wish = {
  shard: null,
  key: null,
  keyspace: null,
  scatter: null,
  inComment: false,
  problem: null,
};

/** Empty texts say nothing, as after `SET shardgate.shard = ''`. */
export function wishOf(texts: WishTexts | undefined, topology: Topology): Wish {
  if (texts === undefined) return NO_WISH;
  const { shards, keyspaces } = topology;
  const shard = shards.find(({ name }) => name === texts.shard) ?? null;
  const home = shard === null ? texts.keyspace : shard.keyspace;
  const keyspace = keyspaces.find(({ name }) => name === home) ?? null;
  const key = texts.key === undefined || texts.key === '' ? null : texts.key;
  const scatter =
    texts.scatter === undefined || texts.scatter === '' ? null : texts.scatter === 'on';
  return {
    shard,
    key,
    keyspace,
    scatter,
    inComment: texts.inComment === true,
    problem: problemOf(texts, shard, keyspace, topology),
  };
}

function problemOf(
  texts: WishTexts,
  shard: Shard | null,
  keyspace: Keyspace | null,
  { shards, keyspaces }: Topology,
): Refusal | null {
  const { shard: shardName = '', keyspace: keyspaceName = '', key = '', role = '' } = texts;
  if (shardName !== '' && shard === null) return unknown('shard', shardName, shards);
  const wanted = keyspaces.some(({ name }) => name === keyspaceName);
  if (keyspaceName !== '' && !wanted) return unknown('keyspace', keyspaceName, keyspaces);
  if (shard !== null && keyspaceName !== '' && keyspace?.name !== keyspaceName) {
    const message = `shard "${shard.name}" is not of keyspace "${keyspaceName}"`;
    return refusal(message, `Its keyspace is "${shard.keyspace}".`);
  }
  if (shard !== null && key !== '') {
    return refusal(
      'both a shard and a key are wished for',
      'RESET shardgate.shard or shardgate.key.',
    );
  }
  if (role !== '' && role !== 'primary') {
    return refusal(`role "${role}" is not supported`, 'Replicas are not used: say role=primary.');
  }
  const { scatter = '' } = texts;
  if (!['', 'on', 'off'].includes(scatter)) {
    return refusal(`scatter cannot be "${scatter}"`, 'Say scatter=on or scatter=off.');
  }
  return null;
}

function unknown(what: string, name: string, known: readonly { readonly name: string }[]): Refusal {
  const names = known.map((each) => each.name);
  const meant = suggest(name, names);
  const hint = meant === null ? `There are: ${names.join(', ')}.` : `Perhaps "${meant}" is meant.`;
  return refusal(`there is no ${what} "${name}"`, hint);
}

/** Whether the wish names the place of sharded rows. */
export function namesPlace({ shard, key }: Wish): boolean {
  return shard !== null || key !== null;
}

/** The first of these tables that is in another keyspace than wished for; null: none is. */
export function strangerOf({ keyspace }: Wish, tables: Iterable<Table>): Table | null {
  if (keyspace === null) return null;
  for (const table of tables) if (table.keyspace !== keyspace) return table;
  return null;
}
