import type { CreateStmt, CreateTableAsStmt, Node, RangeVar, SelectStmt } from '@pgsql/types';
import { Tokens } from '../sql/tokens.js';
import type { Analysis } from './analysis.js';
import { bodyOf, kindOf, selectOf, stringsOf } from './ast.js';
import { madeStatement } from './distribute/source-query.js';
import { Entry, type Level } from './model.js';
import type { FinalPiece, GatherInput, Plan, RoutePlan } from './plan.js';
import { routePlan } from './plans.js';
import { analyseQuery } from './queries.js';
import { refuse } from './refusals.js';
import { CATALOG_ROUTE, routeQuery } from './routing.js';
import { ScatteredSelect } from './scatter/scattered-select.js';
import { analyse, type StatementContext } from './statement-context.js';

/**
 * DDL about temporary tables runs on the one backend that the session keeps for them. Null: it is
 * about other things. Refuses what is about both.
 */
export function planTemporaryDdl(node: Node, context: StatementContext): Plan | null {
  if ('CreateStmt' in node && isTemporary(node.CreateStmt.relation)) {
    return planCreate(node.CreateStmt, context);
  }
  if ('CreateSeqStmt' in node && isTemporary(node.CreateSeqStmt.sequence)) return onPin(context);
  const named = namedRelations(node);
  const temporary = named.filter((range) => context.names.temporary(range) !== null);
  if (temporary.length === 0) {
    if (context.names.createsTemporary || mentionsTemporary(node)) refuseTemporaryObject();
    return null;
  }
  if (temporary.length < named.length || 'ViewStmt' in node) refuseMixed();
  if ('RuleStmt' in node) {
    refuse(
      'CREATE RULE is not supported',
      'Rules rewrite statements behind the router; change the statements.',
    );
  }
  return onPin(context);
}

function isTemporary(range: RangeVar | undefined): boolean {
  return range?.relpersistence === 't' || range?.schemaname === 'pg_temp';
}

function planCreate(statement: CreateStmt, context: StatementContext): Plan {
  if ((statement.inhRelations?.length ?? 0) > 0 || statement.partbound !== undefined) {
    refuse(
      'a temporary table that inherits from another table is not supported',
      'Create it with LIKE, or with its own columns.',
    );
  }
  return onPin(context);
}

function onPin({ names }: StatementContext): RoutePlan {
  names.touched.add('temporaryDdl');
  return routePlan('ddl', true, CATALOG_ROUTE);
}

const ofTables = new Set(['OBJECT_TRIGGER', 'OBJECT_RULE', 'OBJECT_POLICY']);

/** The relations that DDL names, wherever it does. */
function namedRelations(node: Node): readonly RangeVar[] {
  const found: RangeVar[] = [];
  collectRanges(bodyOf(node), found);
  if ('DropStmt' in node) {
    const { objects = [], removeType = '' } = node.DropStmt;
    for (const object of objects) {
      const parts = 'List' in object ? stringsOf(object.List.items) : [];
      // Triggers and their like are named behind their table.
      if (ofTables.has(removeType)) parts.pop();
      if (parts.length > 0) found.push(rangeOf(parts));
    }
  }
  if ('CommentStmt' in node) {
    const { object, objtype } = node.CommentStmt;
    const parts = object !== undefined && 'List' in object ? stringsOf(object.List.items) : [];
    if (objtype === 'OBJECT_COLUMN') parts.pop();
    if (parts.length > 0) found.push(rangeOf(parts));
  }
  return found;
}

function rangeOf(parts: readonly string[]): RangeVar {
  const relname = parts.at(-1) ?? '';
  return parts.length > 1 ? { schemaname: parts.at(-2)!, relname } : { relname };
}

function collectRanges(tree: unknown, found: RangeVar[]): void {
  if (tree === null || typeof tree !== 'object') return;
  if ('relname' in tree) found.push(tree as RangeVar);
  for (const value of Object.values(tree)) collectRanges(value, found);
}

function mentionsTemporary(node: Node): boolean {
  return JSON.stringify(node).includes('"pg_temp"');
}

function refuseTemporaryObject(): never {
  refuse(
    'temporary objects other than tables and sequences are not supported',
    'Create them in an ordinary schema; put pg_temp behind it in search_path.',
  );
}

function refuseMixed(): never {
  refuse(
    'DDL about temporary and other relations in one statement is not supported',
    'Use one statement for each.',
  );
}

/** The query of a CREATE TABLE AS. Throws Refused for EXECUTE and the like. */
export function selectAs(query: Node | undefined): SelectStmt {
  const select = selectOf(query);
  if (select !== null) return select;
  const kind = query === undefined ? '' : kindOf(query).replace(/Stmt$/, '').toUpperCase();
  refuse(
    `CREATE TABLE AS ${kind} is not supported`,
    'Create the table first, then insert the rows.',
  );
}

/**
 * CREATE TEMPORARY TABLE AS, and SELECT INTO: where its query can be answered on the catalog shard,
 * as it stands; else the query is gathered there. Null: the table is not temporary.
 */
export function planCreateTableAs(
  statement: CreateTableAsStmt,
  context: StatementContext,
): Plan | null {
  const { into, query, objtype } = statement;
  if (!isTemporary(into?.rel) || objtype === 'OBJECT_MATVIEW') return null;
  const select = selectAs(query);
  const { bytes, textStart, start, end } = context;
  const tokens = new Tokens(bytes, textStart, start, end);
  let as = 0;
  while (as < tokens.count && !tokens.is(as, 'as')) as++;
  const from = tokens.start(as + 1);
  const to = queryEnd(tokens, end);
  const inner = { ...context, start: from, end: to };
  const plan = planIntoTemporary(select, inner, into!.rel!.relname ?? '');
  if (plan.many.kind !== 'gather') return plan;
  const { gather } = plan.many;
  const final: FinalPiece[] = [
    tokens.text(start, from),
    ...gather.final,
    ` ${tokens.text(to, end)}`,
  ];
  const inputs = gather.inputs.map(inTable);
  return { ...plan, many: { kind: 'gather', gather: { ...gather, inputs, final } } };
}

/** A table of the query's own has the domains, modifiers and collations of its columns, as the new table will have. */
function inTable({ collations: _, ...input }: GatherInput): GatherInput {
  return { ...input, defaultCollations: false };
}

/** In front of WITH DATA or WITH NO DATA. */
export function queryEnd(tokens: Tokens, end: number): number {
  let at = tokens.count - 1;
  if (!tokens.is(at, 'data')) return end;
  at--;
  if (tokens.is(at, 'no')) at--;
  return tokens.is(at, 'with') ? tokens.end(at - 1) : end;
}

/** SELECT ... INTO TEMPORARY; null: it is no such statement. */
export function planSelectInto(select: SelectStmt, context: StatementContext): Plan | null {
  const { intoClause, ...query } = select;
  if (!isTemporary(intoClause?.rel)) return null;
  const plan = planIntoTemporary(query, context, intoClause!.rel!.relname ?? '');
  if (plan.many.kind !== 'gather') return plan;
  const { target, body } = intoTable(select, context);
  // The home is sent a statement that says the same.
  const sql = Buffer.from(`CREATE TEMPORARY TABLE ${target} AS ${body}`);
  const made = madeStatement(sql, context);
  const instead =
    'CreateTableAsStmt' in made.node
      ? planCreateTableAs(made.node.CreateTableAsStmt, made.context)
      : null;
  if (instead?.kind !== 'route') {
    refuse('this SELECT INTO is not supported', 'Use CREATE TEMPORARY TABLE ... AS SELECT.');
  }
  return instead.many.kind === 'gather' ? { ...plan, many: instead.many } : plan;
}

/** What SELECT INTO names, and its query without that. */
export function intoTable(
  { intoClause }: SelectStmt,
  { bytes, textStart, start, end }: StatementContext,
): { readonly target: string; readonly body: string } {
  const tokens = new Tokens(bytes, textStart, start, end);
  const name = tokens.at(intoClause?.rel?.location ?? 0);
  let into = name;
  while (into >= 0 && !tokens.is(into, 'into')) into--;
  if (into < 0) refuse('this SELECT INTO is not supported', 'Use CREATE TABLE ... AS.');
  const nameEnd = tokens.end(tokens.dottedEnd(name));
  const body = tokens.text(start, tokens.start(into)) + tokens.text(nameEnd, end);
  return { target: tokens.text(tokens.start(name), nameEnd), body };
}

/** The query of a new temporary table, which stands beside the tables that it reads. */
function planIntoTemporary(select: SelectStmt, context: StatementContext, name: string): RoutePlan {
  const [analysis, level] = analyse(context, (walk): Level => {
    const top = analyseQuery(select, null, null, null, walk);
    const relation = newRelation(name);
    const entry = new Entry(top, 'opaque', name);
    walk.occurrences.push({ entry, relation, table: walk.names.tableOf(relation), written: true });
    return top;
  });
  if (analysis.effects.length > 0) {
    refuse('set_config in CREATE TABLE AS is not supported', 'Run it as a statement of its own.');
  }
  context.names.touched.add('temporaryDdl');
  const together = new ScatteredSelect(select, level, analysis, context);
  const route = routeQuery(level, analysis, context.scatters ? together : null);
  const { shards } = route;
  const here = shards.kind === 'shard' && shards.shard === analysis.names.topology.catalogShard;
  if (!here && shards.kind !== 'nowhere') {
    refuse(
      'this query is not supported in CREATE TABLE AS',
      'Create the table first, then use INSERT ... SELECT.',
    );
  }
  return routePlan('ddl', true, route);
}

function newRelation(name: string): Parameters<Analysis['names']['tableOf']>[0] {
  return {
    schema: 'pg_temp',
    name,
    kind: 'r',
    hasTriggersOrRules: false,
    parent: null,
    columns: [],
    temporary: true,
  };
}
