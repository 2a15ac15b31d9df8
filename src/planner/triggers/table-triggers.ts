import type { CreateTrigStmt, Node } from '@pgsql/types';
import type { CatalogRelation, CatalogTrigger, TriggerFunction } from '../../keyspace/catalog.js';
import { keyList } from '../../keyspace/key-columns.js';
import type { Table } from '../../keyspace/topology.js';
import type { TextParser } from '../../sql/parser.js';
import { bodyOf, forEachChild, qualifiedName, stringsOf } from '../ast.js';
import { onlyComputes } from '../functions.js';
import type { Names } from '../names.js';
import { hiddenProblem, relationsElsewhere } from './trigger-reach.js';
import { readTriggerBody, type NameCheck, type TriggerBody } from './trigger-body.js';

/** Bits of `CreateTrigStmt.timing` and `events` (PostgreSQL 18, pg_trigger.h). */
const BEFORE = 1 << 1;
const INSERT = 1 << 2;
const UPDATE = 1 << 4;
const TRUNCATE = 1 << 5;
const INSTEAD = 1 << 6;

const problems = new WeakMap<CatalogRelation, Map<string, string | null>>();

/**
 * Why writes to a table may not be left to its shards, each with the triggers and rules that the
 * table has there; null: they may.
 */
export function writeProblem(
  relation: CatalogRelation,
  table: Table,
  names: Names,
  parser: TextParser,
): string | null {
  if (!relation.hasTriggersOrRules) return null;
  const known = problems.get(relation) ?? new Map<string, string | null>();
  problems.set(relation, known);
  const key = `${table.keyspace.name} ${table.type} ${table.type === 'sharded' ? keyList(table) : ''}`;
  let problem = known.get(key);
  if (problem === undefined) {
    problem = findProblem(relation, table, names, parser);
    known.set(key, problem);
  }
  return problem;
}

function findProblem(
  { name, triggers }: CatalogRelation,
  table: Table,
  names: Names,
  parser: TextParser,
): string | null {
  const { sharded } = table.keyspace;
  if (triggers === undefined) {
    return sharded ? `table "${name}" has rules, which may touch rows of other shards` : null;
  }
  for (const trigger of triggers) {
    const definition = sharded ? definitionOf(trigger, parser) : null;
    const problem = sharded
      ? definition === null
        ? 'cannot be read here'
        : triggerProblem(definition, trigger.function, table, names)
      : (relationsElsewhere(trigger.function, table, names) ??
        hiddenProblem(trigger.function, table, names));
    if (problem !== null) {
      return `table "${name}" has a trigger of which function "${trigger.function.name}" ${problem}`;
    }
  }
  return null;
}

function definitionOf({ definition }: CatalogTrigger, parser: TextParser): CreateTrigStmt | null {
  const parsed = parser.parse(Buffer.from(definition));
  if (!Array.isArray(parsed)) {
    parsed.catch(() => undefined);
    return null;
  }
  const node = parsed[0]?.node;
  return node !== undefined && 'CreateTrigStmt' in node ? node.CreateTrigStmt : null;
}

/**
 * Why a trigger on a table of a sharded keyspace would not do what it does on one server, as the end
 * of a sentence about its function; null: it would.
 */
export function triggerProblem(
  trigger: CreateTrigStmt,
  { language, source, name }: TriggerFunction,
  table: Table,
  names: Names,
): string | null {
  const { events = 0, timing = 0 } = trigger;
  if (trigger.row !== true || (events & TRUNCATE) !== 0)
    return 'runs once for each statement and shard';
  if ((timing & INSTEAD) !== 0) return 'stands in the place of statements';
  if ((trigger.transitionRels?.length ?? 0) > 0) return 'reads all rows of the statement';
  const check = nameCheck(table, names);
  const used = conditionProblem(trigger.whenClause, check) ?? operatorProblem(source, names);
  if (used !== null) return used;
  const body = language === 'internal' ? builtinBody(name, trigger) : null;
  const read =
    body ??
    (language === 'plpgsql' ? readTriggerBody(source, check) : 'is not written in PL/pgSQL');
  if (typeof read === 'string') return read;
  const key = table.type === 'sharded' && table.keyColumns.find((name) => read.assigned.has(name));
  if (typeof key === 'string') {
    return `sets the shard key "${key}"`;
  }
  if ((timing & BEFORE) === 0) return null;
  const inserts = (events & INSERT) !== 0;
  const skips = read.returns.has('null') || (inserts && read.returns.has('old'));
  return skips && (inserts || (events & UPDATE) !== 0) ? 'may leave out rows' : null;
}

/** What functions that come with PostgreSQL do; null: not known. */
function builtinBody(name: string, { args }: CreateTrigStmt): TriggerBody | null {
  if (name === 'suppress_redundant_updates_trigger') {
    return { assigned: new Set(), returns: new Set(['null']) };
  }
  if (name !== 'tsvector_update_trigger' && name !== 'tsvector_update_trigger_column') return null;
  const [column = ''] = stringsOf(args);
  return { assigned: new Set([column]), returns: new Set(['new']) };
}

/** The copies of a reference table must get equal values. */
function nameCheck(table: Table, { catalog }: Names): NameCheck {
  const equally = table.type === 'reference';
  return (name, field) => {
    const changing = (catalog.functions.get(name) ?? []).some(
      ({ volatility }) => volatility !== 'i',
    );
    if (field) return changing ? `may call function "${name}"` : null;
    if (equally && /^(current|local|session_user)/.test(name)) return `uses ${name.toUpperCase()}`;
    return onlyComputes(name, catalog, equally) ? null : `calls function "${name}"`;
  };
}

/** What WHEN calls. */
function conditionProblem(node: Node | undefined, check: NameCheck): string | null {
  if (node === undefined) return null;
  let problem: string | null = null;
  if ('FuncCall' in node) problem = check(qualifiedName(node.FuncCall.funcname).name, false);
  if ('SQLValueFunction' in node) problem = check('current_timestamp', false);
  if ('ColumnRef' in node) problem = check(stringsOf(node.ColumnRef.fields).at(-1) ?? '', true);
  forEachChild(bodyOf(node), (child) => {
    problem ??= conditionProblem(child, check);
  });
  return problem;
}

/** An operator in it that may do anything. */
function operatorProblem(source: string, { catalog }: Names): string | null {
  const found = [...catalog.operators].find((operator) => source.includes(operator));
  return found === undefined
    ? null
    : `may use operator ${found}, of which nobody knows what it does`;
}
