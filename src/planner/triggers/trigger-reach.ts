import type { CatalogRelation, TriggerFunction } from '../../keyspace/catalog.js';
import type { Keyspace, Table } from '../../keyspace/topology.js';
import { Tokens } from '../../sql/tokens.js';
import type { Names } from '../names.js';
import { bodyReach } from '../function-reach.js';
import { relationsNamed } from '../relation-names.js';
import { plainName } from './trigger-body.js';

/** By functions as a catalog has them: each write to their tables asks. */
const namesOf = new WeakMap<TriggerFunction, ReadonlySet<string> | null>();

/**
 * The names that a function's body holds, but for fields of NEW and OLD; null: it is in a language
 * that is not read here.
 */
function namesIn(trigger: TriggerFunction): ReadonlySet<string> | null {
  let found = namesOf.get(trigger);
  if (found === undefined) {
    found = readNames(trigger);
    namesOf.set(trigger, found);
  }
  return found;
}

function readNames({ language, source }: TriggerFunction): ReadonlySet<string> | null {
  if (language === 'internal' || language === 'c') return new Set();
  if (language !== 'plpgsql') return null;
  const bytes = Buffer.from(source, 'utf8');
  const tokens = new Tokens(bytes, 0, 0, bytes.length);
  const found = new Set<string>();
  for (let i = 0; i < tokens.count; i++) {
    const isField = tokens.is(i - 1, '.') && (tokens.is(i - 2, 'new') || tokens.is(i - 2, 'old'));
    if (!isField) found.add(plainName(tokens.text(tokens.start(i), tokens.end(i))));
  }
  return found;
}

/**
 * Which relation of another keyspace a trigger function of an unsharded table names, itself or by
 * triggers of the tables that it names, as the end of a sentence about it; null: none. On the shard
 * of this table such a relation is an empty shell.
 */
export function relationsElsewhere(
  trigger: TriggerFunction,
  { keyspace }: Table,
  names: Names,
  seen = new Set<string>(),
): string | null {
  for (const name of namesIn(trigger) ?? []) {
    for (const relation of relationsNamed(names.catalog, name)) {
      if (relation.kind === 'S') continue;
      const key = `${relation.schema}.${relation.name}`;
      if (seen.has(key)) continue;
      seen.add(key);
      if (relation.kind === 'v' || relation.kind === 'm') continue;
      const home = homeOf(relation, names);
      if (home !== keyspace) {
        return `names table "${name}" of ${home === null ? 'no keyspace' : `keyspace "${home.name}"`}`;
      }
      for (const next of relation.triggers ?? []) {
        const problem = relationsElsewhere(
          next.function,
          { ...relation, type: 'unsharded', keyspace },
          names,
          seen,
        );
        if (problem !== null) return problem;
      }
    }
  }
  return null;
}

/**
 * Why the words of a trigger function of an unsharded table do not tell all that it touches; null: they do.
 */
function hiddenReach(trigger: TriggerFunction, { keyspace }: Table, names: Names): string | null {
  const { catalogShard } = names.topology;
  const found = namesIn(trigger);
  if (found === null || trigger.language === 'c') return 'is not written in PL/pgSQL';
  if (found.has('execute')) return 'runs statements that it makes up';
  const isView = ({ kind }: CatalogRelation): boolean => kind === 'v' || kind === 'm';
  const view = [...found].find((name) => relationsNamed(names.catalog, name).some(isView));
  if (view !== undefined) return `names view "${view}"`;
  if ((found.has('notify') || found.has('pg_notify')) && keyspace.shards[0] !== catalogShard) {
    return 'notifies clients, which listen on another shard';
  }
  const own = [...found].find((name) =>
    (names.catalog.functions.get(name) ?? []).some(({ volatility }) => volatility !== 'i'),
  );
  return own === undefined ? null : `calls function "${own}", which is not IMMUTABLE`;
}

/**
 * Why it may not run, of a trigger function of an unsharded table, though its words do not lead to other keyspaces;
 * null: it may, and where they do not tell all that it touches, the server does when it has run (HiddenRun).
 */
export function hiddenProblem(trigger: TriggerFunction, table: Table, names: Names): string | null {
  const hidden = hiddenReach(trigger, table, names);
  if (hidden === null) return null;
  if (trigger.language !== 'plpgsql' || table.keyspace.shards[0] !== names.topology.catalogShard) {
    return hidden;
  }
  const reach = bodyReach(trigger.source, names.catalog, null);
  return typeof reach === 'string' ? reach : null;
}

/**
 * Why a write to an unsharded table may touch more than its words and triggers tell, as the end of a sentence about it;
 * null: it does not. Deleted rows may take those with them that refer to them.
 */
export function hiddenWrite(
  relation: CatalogRelation,
  table: Table,
  names: Names,
  seen = new Set<CatalogRelation>(),
): string | null {
  const isFirst = seen.size === 0;
  seen.add(relation);
  if (relation.hasTriggersOrRules && relation.triggers === undefined) {
    return `runs rules of table "${relation.name}"`;
  }
  const next = (relation.referencedBy ?? []).map((name) => names.catalog.relations.get(name));
  for (const { function: called } of relation.triggers ?? []) {
    // Of the written table itself that is a reason to refuse the statement.
    const elsewhere = isFirst ? null : relationsElsewhere(called, table, names);
    const hidden = elsewhere ?? hiddenReach(called, table, names);
    if (hidden !== null) return `runs trigger function "${called.name}", which ${hidden}`;
    for (const name of namesIn(called) ?? []) next.push(...relationsNamed(names.catalog, name));
  }
  for (const further of next) {
    if (further === undefined || seen.has(further)) continue;
    const hidden = hiddenWrite(further, table, names, seen);
    if (hidden !== null) return hidden;
  }
  return null;
}

/** Whether some trigger of a table notifies clients. */
export function notifies({ triggers }: CatalogRelation): boolean {
  return (triggers ?? []).some(({ function: { source } }) => /notify/i.test(source));
}

function homeOf(relation: CatalogRelation, { topology }: Names): Keyspace | null {
  const table = topology.tables.get(`${relation.schema}.${relation.name}`);
  const parent = relation.parent === null ? undefined : topology.tables.get(relation.parent);
  return (table ?? parent)?.keyspace ?? topology.defaultKeyspace;
}
