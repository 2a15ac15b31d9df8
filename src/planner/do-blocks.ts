import type { DoStmt, Node, SelectStmt } from '@pgsql/types';
import { SqlError } from '../errors/sql-error.js';
import { bodyOf, defElemText, forEachChild, qualifiedName } from './ast.js';
import { planBlock } from './call-plans.js';
import { planDdl } from './ddl.js';
import type { BroadcastPlan, Plan } from './plan.js';
import { broadcastPlan } from './plans.js';
import { refuse } from './refusals.js';
import { runsAsItStands } from './whole-text.js';
import { onServers } from './role-plans.js';
import type { StatementContext } from './statement-context.js';

/** `BEGIN statements [EXCEPTION WHEN condition THEN NULL; ...] END` without declarations. */
const BLOCK =
  /^\s*BEGIN\b(?<body>.*?)(?:\bEXCEPTION(?<handlers>(?:\s+WHEN\s+[\w\s]+?\s+THEN(?:\s+NULL\s*;)?)+))?\s*\bEND\s*;?\s*$/is;
/** `IF [NOT] EXISTS (query) THEN statements END IF;` */
const CONDITION =
  /\bIF\s+(?:NOT\s+)?EXISTS\s*\((?<query>[^;]*?)\)\s*THEN\b(?<body>.*?)\bEND\s+IF\s*;/gis;

/** Errors that tell of the schema, which is the same on every shard, and nothing of rows. */
const schemaErrors = new Set(
  (
    'duplicate_object duplicate_table duplicate_column duplicate_schema duplicate_function ' +
    'undefined_object undefined_table undefined_column undefined_function invalid_table_definition'
  ).split(' '),
);

/** Catalogs, and views of them, that say the same on every shard but for OIDs; but see ROLE_CATALOGS. */
const sameEverywhere = new Set(
  (
    'pg_attribute pg_class pg_constraint pg_enum pg_extension pg_index pg_indexes pg_namespace ' +
    'pg_policies pg_policy pg_proc pg_tables pg_type pg_views columns constraint_column_usage ' +
    'pg_auth_members pg_authid pg_group pg_roles pg_user ' +
    'key_column_usage referential_constraints routines schemata sequences table_constraints ' +
    'tables views'
  ).split(' '),
);
const ROLE_CATALOGS = /\bpg_(auth_members|authid|group|roles|user)\b/i;
const sameFunctions = new Set(
  'current_schema to_regclass to_regtype to_regproc lower upper'.split(' '),
);
const ownToShard = new Set(
  'relfilenode relpages reltuples relallvisible relfrozenxid relminmxid xmin xmax ctid'.split(' '),
);

/** DO: where the tables are that it uses, or everywhere where it is DDL. */
export function planDo(statement: DoStmt, context: StatementContext): Plan {
  const source = optionOf(statement, 'as') ?? '';
  const language = (optionOf(statement, 'language') ?? 'plpgsql').toLowerCase();
  if (language !== 'plpgsql') return refuseBlock();
  return planBlock(source, context) ?? planDdlBlock(source, context);
}

/**
 * As migrations use it: DDL, on conditions that ask the catalog, where what is there already is no
 * error. One schema everywhere makes it do the same on each shard.
 */
function planDdlBlock(source: string, context: StatementContext): Plan {
  const { body, handlers = '' } = BLOCK.exec(source)?.groups ?? {};
  if (body === undefined) return refuseBlock();
  for (const [, conditions] of handlers.matchAll(/\bWHEN\s+([\w\s]+?)\s+THEN\b/gi)) {
    for (const name of conditions!.split(/\s+OR\s+/i)) {
      if (!schemaErrors.has(name.toLowerCase())) refuseBlock();
    }
  }
  const statements = body.replace(CONDITION, (_whole, query: string, inner: string) => {
    checkCondition(query, context);
    return inner;
  });
  const plans = parsed(statements, context).map((node) => planDdl(node, context));
  // Roles may differ from server to server, so they tell nothing about tables.
  const ofRoles = plans.some(isOfRoles) || ROLE_CATALOGS.test(body);
  for (const plan of plans) {
    if (plan?.kind !== 'broadcast' || !plan.transactional) return refuseBlock();
    if (!runsAsItStands(plan)) refuseInBlock();
    if (ofRoles ? !isPlainRoles(plan) : !plan.ddl) refuseBlock();
  }
  return ofRoles ? onServers() : broadcastPlan('ddl', null, { ddl: true, transactional: true });
}

function isOfRoles(plan: Plan | null): boolean {
  return plan?.kind === 'broadcast' && plan.servers !== undefined;
}

/** It changes no role that Shardgate might connect as. */
function isPlainRoles({ servers }: BroadcastPlan): boolean {
  return servers?.alters.length === 0;
}

function optionOf({ args = [] }: DoStmt, name: string): string | null {
  for (const node of args) {
    if ('DefElem' in node && node.DefElem.defname === name) return defElemText(node.DefElem);
  }
  return null;
}

/** A query in a condition may ask nothing but for what the schema is. */
function checkCondition(query: string, context: StatementContext): void {
  const [node, ...more] = parsed(query, context);
  if (node === undefined || more.length > 0 || !('SelectStmt' in node)) return refuseBlock();
  checkNode(node, new Set((node.SelectStmt.withClause?.ctes ?? []).flatMap(nameOf)));
}

function nameOf(node: Node): string[] {
  return 'CommonTableExpr' in node ? [node.CommonTableExpr.ctename ?? ''] : [];
}

function checkNode(node: Node, ctes: ReadonlySet<string>): void {
  if ('RangeVar' in node) {
    const { relname = '', schemaname } = node.RangeVar;
    const system = schemaname === 'pg_catalog' || schemaname === 'information_schema';
    const implied = schemaname === undefined && relname.startsWith('pg_');
    const known = (system || implied) && sameEverywhere.has(relname);
    if (!known && !(schemaname === undefined && ctes.has(relname))) refuseBlock();
  }
  if ('FuncCall' in node && !sameFunctions.has(qualifiedName(node.FuncCall.funcname).name)) {
    refuseBlock();
  }
  if ('SQLValueFunction' in node || 'RangeFunction' in node) refuseBlock();
  if ('ColumnRef' in node && ownToShard.has(qualifiedName(node.ColumnRef.fields).name)) {
    refuseBlock();
  }
  if ('SelectStmt' in node && writes(node.SelectStmt)) refuseBlock();
  forEachChild(bodyOf(node), (child) => {
    checkNode(child, ctes);
  });
}

function writes(select: SelectStmt): boolean {
  return select.intoClause !== undefined || select.lockingClause !== undefined;
}

function parsed(text: string, context: StatementContext): readonly Node[] {
  const bytes = Buffer.from(text, 'utf8');
  try {
    const statements = context.parser.parse(bytes, 0, bytes.length);
    if (Array.isArray(statements)) return statements.map(({ node }) => node);
    // Too large for a block of a few statements; nobody waits for it.
    void statements.catch(() => undefined);
  } catch (error) {
    if (!(error instanceof SqlError)) throw error;
  }
  return refuseBlock();
}

function refuseInBlock(): never {
  return refuse(
    'DO with DDL that gives rows values which the shards must not make each by itself is not supported',
    'Run it as a statement of its own.',
  );
}

function refuseBlock(): never {
  return refuse(
    'DO with anything but DDL is not supported',
    'Run its statements one by one, so that each can be routed.',
  );
}
