import { sqlError, type SqlError } from '../errors/sql-error.js';
import type { Shard, Topology } from '../keyspace/topology.js';
import { parseSearchPath } from '../frontend/search-path.js';
import { refusalError } from '../frontend/shard-choice.js';
import { lookupValues } from '../executor/lookups/lookup-values.js';
import { shardsOfIds } from '../frontend/lookup-shards.js';
import { isDirectoryMiss } from '../executor/directories/directory-miss.js';
import { collectedKeys, withAnswers } from '../keyspace/key-directory.js';
import { splitRows } from '../executor/insert-split.js';
import { reasonOfAll, reasonOfKeys, shardsWithin } from '../executor/range-shards.js';
import { ShardTargets, ValueSource } from '../executor/shard-targets.js';
import type { ColumnTerm, KeyTerm, Plan, RoutePlan } from '../planner/plan.js';
import { columnsOfTerm, isWhole } from '../planner/terms.js';
import { Literals } from '../sql/literals.js';
import { literalValue, type LiteralText } from '../sql/literal-value.js';
import { assert } from '../util/assert.js';
import type { ConsoleContext } from './console-context.js';

/** Where a statement would go. */
export interface Route {
  /** The kind of its plan, and what is done where it meets several shards. */
  readonly plan: string;
  /** Null: the values of parameters decide, or none is needed. */
  readonly shards: readonly Shard[] | null;
  /** The key values that lead there, as the text has them; null: none do. */
  readonly key: string | null;
  /** Why it goes there, or why it is refused. */
  readonly reason: string;
}

/** Of nobody's session: plans made for it are kept apart from those of clients. */
const PLACE_OF_PLANS = '\0console';

/**
 * Plans the statements of a text as a session with the shards' default settings would, and runs nothing. Rejects with
 * SqlError for what the grammar does not take, or keys that cannot be read.
 */
export async function routesOf(console: ConsoleContext, text: string): Promise<Route[]> {
  const { plans, source } = await plansOf(console, text);
  const { directories, config } = console.proxy;
  const { topology } = config;
  const looked = await lookedUp(console, plans, source);
  const find = (): Route[] =>
    plans.map((plan) => looked.get(plan) ?? routeOf(plan, topology, source));
  if (topology.directories.length === 0) return find();
  // Of keys it is told that a directory is asked.
  const asked = Array.from(
    collectedKeys(topology.directories, find),
    ([directory, keys]) => [directory, keys.filter(({ last }) => last !== undefined)] as const,
  );
  return withAnswers(await directories.where(new Map(asked)), find);
}

/** Where statements would go whose shards lookups tell, as these are now. */
async function lookedUp(
  { proxy }: ConsoleContext,
  plans: readonly Plan[],
  source: ValueSource,
): Promise<ReadonlyMap<Plan, Route>> {
  const found = new Map<Plan, Route>();
  for (const plan of plans) {
    if (plan.kind !== 'route' || plan.shards.kind !== 'lookup') continue;
    const { keyspace, lookup, type, typeOid, terms } = plan.shards;
    if (terms.some(readsParameter)) continue;
    const values = lookupValues(keyspace, terms, source);
    // Of a value that is not of its type whoever has the rows says what is wrong.
    const asked = values && proxy.lookups.find(lookup, { type, typeOid }, values);
    const ids = (await asked?.catch(() => null)) ?? null;
    const key = values?.slice(0, KEYS_MAX).map((value) => `${lookup.column} = ${value}`) ?? [];
    const more = (values?.length ?? 0) - key.length;
    if (more > 0) key.push(`${more} more`);
    const shards = ids === null ? keyspace.shards : shardsOfIds(keyspace, ids);
    const reason =
      ids === null
        ? `the lookup of column "${lookup.column}" does not tell`
        : `the lookup of column "${lookup.column}" has ${ids.size === 0 ? 'no such value' : 'its rows there'}`;
    found.set(plan, { plan: planName(plan, shards), shards, key: key.join(', ') || null, reason });
  }
  return found;
}

/**
 * The shards to which the one key of a query's text leads: one, or those of all keys that begin with its values.
 * Rejects with SqlError where a value is not of its column's type, or could not be stored.
 */
export async function shardsOfKey(
  console: ConsoleContext,
  text: string,
): Promise<readonly Shard[]> {
  const { plans, source } = await plansOf(console, text);
  const [plan] = plans;
  if (plan?.kind === 'refuse') throw refusalError(plan.refusal);
  const selector = plan?.kind === 'route' ? plan.shards : null;
  assert(selector?.kind === 'keys', 'a condition on the shard key names key values');
  const [[term]] = selector.groups as [[KeyTerm]];
  const targets = new ShardTargets();
  const find = (): readonly Shard[] =>
    term.columns === undefined || term.whole
      ? [targets.forStoring(selector.keyspace, term, source)]
      : targets.forBeginning(selector.keyspace, term, source);
  const { directories, config } = console.proxy;
  if (config.topology.directories.length === 0) return find();
  const found = await directories.where(collectedKeys(config.topology.directories, find));
  for (const [{ assigns }, answers] of found) {
    if (assigns && [...answers.values()].includes(null)) throw newKeyError();
  }
  return withAnswers(found, find);
}

function newKeyError(): SqlError {
  return sqlError('feature_not_supported', 'no row has had this key yet', {
    hint: 'Its first row gets a shard, and so do all others with this key; MOVE gives it one before.',
  });
}

async function plansOf(
  { proxy }: ConsoleContext,
  text: string,
): Promise<{ readonly plans: readonly Plan[]; readonly source: ValueSource }> {
  const bytes = Buffer.from(text, 'utf8');
  const literals = new Literals();
  const path = proxy.serverParameters().get('search_path') ?? 'public';
  const context = {
    searchPath: parseSearchPath(path, ''),
    searchPathKey: PLACE_OF_PLANS,
    paramTypes: [],
    paramTypesKey: '',
  };
  const planned = await proxy.planner.plan(bytes, 0, bytes.length, context, literals);
  const source = new ValueSource();
  source.text = bytes;
  source.literals = literals;
  return { plans: planned.statements.map(({ plan }) => plan), source };
}

function routeOf(plan: Plan, topology: Topology, source: ValueSource): Route {
  switch (plan.kind) {
    case 'route':
      return selected(plan, topology, source);
    case 'insertSplit': {
      const terms = plan.rows.map((row) => row.key);
      const key = keyText(terms, source);
      const shards = keysReadParameter(terms)
        ? null
        : [...splitRows(plan, source, new ShardTargets()).shards];
      return { plan: 'insertSplit', shards, key, reason: 'each row goes to the shard of its key' };
    }
    case 'copyFrom':
      return {
        plan: 'copyFrom',
        shards: plan.keyspace.shards,
        key: null,
        reason: 'each row goes to the shard of its key, or to all',
      };
    case 'broadcast':
      return {
        plan: 'broadcast',
        shards: plan.keyspace?.shards ?? topology.shards,
        key: null,
        reason: plan.servers === undefined ? 'it must run everywhere' : 'one shard of each server',
      };
    case 'fill':
      return nowhere('fill', 'values are filled in first; the filled text is planned again');
    case 'local':
      return nowhere('local', 'the session does it itself');
    case 'refuse':
      return nowhere('refuse', `${plan.refusal.message}. ${plan.refusal.hint}`);
    case 'empty':
      return nowhere('empty', 'nothing is to do');
  }
}

const PARAMETERS_DECIDE = 'the values of parameters decide';

function planName({ many }: RoutePlan, shards: readonly Shard[] | null): string {
  return shards?.length === 1 ? 'route' : `route, several: ${many.kind}`;
}

function nowhere(plan: string, reason: string): Route {
  return { plan, shards: null, key: null, reason };
}

function selected(plan: RoutePlan, topology: Topology, source: ValueSource): Route {
  const { shards: selector } = plan;
  const name = (shards: readonly Shard[] | null): string => planName(plan, shards);
  switch (selector.kind) {
    case 'shard': {
      const wished = selector.shard.ranges.length > 0;
      const reason = wished ? 'a comment or setting names the shard' : 'its tables are unsharded';
      return { plan: 'route', shards: [selector.shard], key: null, reason };
    }
    case 'agreed': {
      const key = keyText(selector.groups.flat(), source);
      const reason = 'a comment or setting names the shard, and its keys must lead there too';
      return { plan: 'route', shards: [selector.shard], key, reason };
    }
    case 'catalog':
      return {
        plan: 'route',
        shards: [topology.catalogShard],
        key: null,
        reason: 'catalog queries go to one shard',
      };
    case 'any': {
      const shards = selector.keyspace?.shards ?? topology.shards;
      return { plan: 'route', shards, key: null, reason: 'any one of these has all it needs' };
    }
    case 'all': {
      const shards = shardsWithin(selector, source, new ShardTargets());
      const reason =
        selector.within === undefined ? 'no condition on the shard key' : reasonOfAll(selector);
      return { plan: name(shards), shards, key: null, reason };
    }
    case 'lookup': {
      return { plan: name(null), shards: null, key: null, reason: PARAMETERS_DECIDE };
    }
    case 'nowhere':
      return nowhere(name(null), 'its tables are in several keyspaces');
    case 'keys': {
      const terms = selector.groups.flat();
      const key = keyText(terms, source);
      if (keysReadParameter(terms)) {
        return { plan: name(null), shards: null, key, reason: PARAMETERS_DECIDE };
      }
      const targets = new ShardTargets();
      let agreed: boolean;
      try {
        agreed = targets.resolve(selector.keyspace, selector.groups, source);
      } catch (error) {
        if (!isDirectoryMiss(error)) throw error;
        return { plan: name(null), shards: null, key, reason: 'a directory tells when it runs' };
      }
      const shards = [...targets.shards];
      const known = terms.every(isWhole) ? 'the shard key is known' : reasonOfKeys(selector);
      const reason = agreed ? known : 'its tables are bound to different shards';
      return { plan: name(shards), shards, key, reason };
    }
  }
}

function keysReadParameter(terms: readonly KeyTerm[]): boolean {
  return terms.flatMap(columnsOfTerm).some(readsParameter);
}

function readsParameter({ source }: Pick<ColumnTerm, 'source'>): boolean {
  return source.kind === 'param' || source.kind === 'paramArray';
}

/** As many keys as a person reads. */
const KEYS_MAX = 5;

function keyText(terms: readonly KeyTerm[], source: ValueSource): string {
  const columns = terms.flatMap(columnsOfTerm);
  const shown = columns
    .slice(0, KEYS_MAX)
    .map((term) => `${term.column} = ${valueText(term, source)}`);
  const more = columns.length - shown.length;
  return more > 0 ? `${shown.join(', ')} and ${more} more` : shown.join(', ');
}

function valueText({ source: from }: ColumnTerm, source: ValueSource): string {
  switch (from.kind) {
    case 'param':
      return `$${from.index + 1}`;
    case 'paramArray':
      return `ANY ($${from.index + 1})`;
    case 'constant':
      return from.bytes === null ? 'NULL' : Buffer.from(from.bytes).toString('utf8');
    case 'literal': {
      const value: LiteralText = { bytes: Buffer.alloc(0), start: 0, end: 0 };
      const { text, literals } = source;
      if (!literalValue(text, 0, literals, from.index, from.negative, value)) return '?';
      return Buffer.from(value.bytes.subarray(value.start, value.end)).toString('utf8');
    }
  }
}
