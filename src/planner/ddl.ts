import type {
  AlterTableStmt,
  ClusterStmt,
  CreateStmt,
  DropStmt,
  IndexStmt,
  Node,
  RangeVar,
  VacuumStmt,
} from '@pgsql/types';
import type { Table } from '../keyspace/topology.js';
import { bodyOf, defElemText, forEachChild, kindOf, qualifiedName } from './ast.js';
import { addedColumns } from './added-columns.js';
import { checkAlterTable, checkCreateTable, checkIndex } from './ddl-constraints.js';
import { Tokens } from '../sql/tokens.js';
import { quoteLiteral } from '../sql/quote.js';
import { rangeSql, detachSteps, dropSteps, indexSteps, reindexSteps } from './ddl-steps.js';
import { createdNotice } from './ddl-notices.js';
import { checkLookupDdl } from './lookup-guards.js';
import type { BroadcastPlan, DdlSteps, Plan, Refusal } from './plan.js';
import { broadcastPlan } from './plans.js';
import { refuse } from './refusals.js';
import { planRoles } from './role-plans.js';
import { checkReserved } from './reserved-schema.js';
import type { StatementContext } from './statement-context.js';
import { checkCreateTrigger } from './triggers/create-trigger.js';
import { planTemporaryDdl } from './temporary-tables.js';

/** DDL that says the same on every shard and that nothing depends on but the catalog. */
const plainDdl = new Set(
  (
    'CreateSchemaStmt CreateSeqStmt AlterSeqStmt ViewStmt CreateDomainStmt AlterDomainStmt ' +
    'CreateEnumStmt AlterEnumStmt CompositeTypeStmt CreateRangeStmt DefineStmt AlterTypeStmt ' +
    'CreateFunctionStmt AlterFunctionStmt CreateExtensionStmt AlterExtensionStmt ' +
    'AlterExtensionContentsStmt CommentStmt GrantStmt AlterDefaultPrivilegesStmt AlterOwnerStmt ' +
    'AlterObjectDependsStmt CreateCastStmt CreateConversionStmt CreateOpClassStmt ' +
    'CreateOpFamilyStmt AlterOpFamilyStmt AlterOperatorStmt CreatePolicyStmt AlterPolicyStmt ' +
    'CreateStatsStmt AlterStatsStmt CreatePublicationStmt AlterPublicationStmt AlterCollationStmt ' +
    'CreateTransformStmt AlterTSConfigurationStmt AlterTSDictionaryStmt SecLabelStmt CreatePLangStmt'
  ).split(' '),
);

/**
 * Plans DDL for every shard of the cluster; null where the statement is none that is known here.
 */
export function planDdl(node: Node, context: StatementContext): Plan | null {
  checkReserved(node, context.names);
  const temporary = planTemporaryDdl(node, context);
  if (temporary !== null) return temporary;
  checkLookupDdl(node, context);
  const roles = planRoles(node);
  if (roles !== null) return roles;
  if ('CreateStmt' in node) return planCreateTable(node.CreateStmt, context);
  if ('AlterTableStmt' in node) return planAlterTable(node.AlterTableStmt, context);
  if ('IndexStmt' in node) return planIndex(node.IndexStmt, context);
  if ('DropStmt' in node) return planDrop(node.DropStmt);
  if ('VacuumStmt' in node) return planVacuum(node.VacuumStmt);
  if ('RenameStmt' in node || 'AlterObjectSchemaStmt' in node) return planRename(node, context);
  if ('ReindexStmt' in node) {
    const { kind, params } = node.ReindexStmt;
    const whole = kind !== 'REINDEX_OBJECT_TABLE' && kind !== 'REINDEX_OBJECT_INDEX';
    const inSteps = whole || hasOption(params, 'concurrently');
    return inSteps ? inTurns(reindexSteps(node.ReindexStmt)) : everywhere();
  }
  if ('CreateTrigStmt' in node) {
    checkCreateTrigger(node.CreateTrigStmt, context);
    return everywhere();
  }
  if ('ClusterStmt' in node) return planCluster(node.ClusterStmt, context);
  if (!plainDdl.has(kindOf(node))) return null;
  if ('CreateSchemaStmt' in node) checkSchemaElements(node.CreateSchemaStmt.schemaElts, context);
  if ('ViewStmt' in node && node.ViewStmt.view?.relpersistence === 't') refuseTemporaryView();
  refuseClockText(node);
  return everywhere();
}

function everywhere(): BroadcastPlan {
  return broadcastPlan('ddl', null, { ddl: true, transactional: true });
}

/** What PostgreSQL forbids in a transaction. */
function inTurns(steps: DdlSteps): Plan {
  return { ...broadcastPlan('ddl', null, { ddl: true, transactional: false }), steps };
}

/** CLUSTER of all tables, and of a partitioned one, commits table by table. */
function planCluster({ relation }: ClusterStmt, { names }: StatementContext): Plan {
  const whole =
    relation === undefined ||
    names.find(relation.schemaname ?? null, relation.relname ?? '')?.kind === 'p';
  return whole ? inTurns({ tag: 'CLUSTER', command: 'CLUSTER', trace: null }) : everywhere();
}

function refuseTemporaryView(): never {
  refuse('a temporary view is not supported', 'Create an ordinary view, or a temporary table.');
}

function planCreateTable(statement: CreateStmt, context: StatementContext): Plan {
  checkCreateTable(statement, context);
  refuseClockText({ CreateStmt: statement });
  const notice = createdNotice(statement, context);
  return notice === null ? everywhere() : { ...everywhere(), notice };
}

function planAlterTable(statement: AlterTableStmt, context: StatementContext): Plan {
  checkAlterTable(statement, context);
  refuseClockText({ AlterTableStmt: statement });
  const steps = detachSteps(statement);
  if (steps !== null) return inTurns(steps);
  if (!exists(statement.relation, context)) return everywhere();
  const { problem, added } = addedColumns(statement, context);
  if (problem !== null) {
    return { ...everywhere(), instead: whileEmpty(statement, problem, context) };
  }
  return added === null ? everywhere() : { ...everywhere(), added };
}

function exists(relation: RangeVar | undefined, { names }: StatementContext): boolean {
  return names.find(relation?.schemaname ?? null, relation?.relname ?? '') !== null;
}

/** The statement, behind a look under its lock whether the table has rows. */
function whileEmpty(
  { relation }: AlterTableStmt,
  { message, hint }: Refusal,
  { bytes, textStart, start, end }: StatementContext,
): { readonly sql: string; readonly tag: string } {
  const table = rangeSql(relation);
  const text = new Tokens(bytes, textStart, start, end).text(start, end);
  const says = `MESSAGE = ${quoteLiteral(message)}, HINT = ${quoteLiteral(hint)}`;
  const body =
    `BEGIN LOCK TABLE ${table} IN ACCESS EXCLUSIVE MODE;` +
    ` IF EXISTS (SELECT FROM ${table}) THEN RAISE EXCEPTION USING ERRCODE = '0A000', ${says}; END IF;` +
    ` EXECUTE ${quoteLiteral(text)}; END`;
  return { sql: `DO LANGUAGE plpgsql ${quoteLiteral(body)}`, tag: 'ALTER TABLE' };
}

function planIndex(statement: IndexStmt, context: StatementContext): Plan {
  checkIndex(statement, context);
  return statement.concurrent === true ? inTurns(indexSteps(statement)) : everywhere();
}

/** What DROP may name: everything that DDL through the proxy can create. */
const droppable = new Set(
  (
    'TABLE INDEX VIEW SEQUENCE SCHEMA TYPE DOMAIN FUNCTION PROCEDURE ROUTINE AGGREGATE OPERATOR ' +
    'EXTENSION TRIGGER RULE POLICY COLLATION CONVERSION CAST OPCLASS OPFAMILY STATISTIC_EXT ' +
    'PUBLICATION MATVIEW FOREIGN_TABLE TRANSFORM TSCONFIGURATION TSDICTIONARY TSPARSER TSTEMPLATE ' +
    'EVENT_TRIGGER LANGUAGE ACCESS_METHOD'
  ).split(' '),
);

function planDrop(statement: DropStmt): Plan {
  const kind = (statement.removeType ?? '').replace(/^OBJECT_/, '');
  if (!droppable.has(kind)) {
    refuse(`DROP ${kind} is not supported`, 'Run it on a direct connection to each server.');
  }
  return statement.concurrent === true ? inTurns(dropSteps(statement)) : everywhere();
}

/** VACUUM runs outside transactions; ANALYZE inside them. */
function planVacuum(statement: VacuumStmt): Plan {
  const transactional = statement.is_vacuumcmd !== true;
  const plan = broadcastPlan('utility', null, { ddl: false, transactional });
  return transactional ? plan : { ...plan, command: 'VACUUM' };
}

function planRename(node: Node, context: StatementContext): Plan {
  if ('RenameStmt' in node) {
    const { relation, subname, newname, renameType } = node.RenameStmt;
    const found =
      relation === undefined
        ? null
        : context.names.find(relation.schemaname ?? null, relation.relname ?? '');
    const key =
      found === null
        ? undefined
        : context.names.topology.tables.get(`${found.schema}.${found.name}`);
    if (key !== undefined && (renameType === 'OBJECT_TABLE' || isShardKey(key, subname))) {
      const what =
        renameType === 'OBJECT_TABLE'
          ? `table "${key.name}"`
          : `shard key "${key.name}.${subname ?? ''}"`;
      refuse(
        `renaming ${what} to "${newname ?? ''}" is not supported: the configuration knows it by its name`,
        'Rename it on each server and in the configuration while nothing uses it.',
      );
    }
  } else if ('AlterObjectSchemaStmt' in node) {
    const { relation } = node.AlterObjectSchemaStmt;
    const found =
      relation === undefined
        ? null
        : context.names.find(relation.schemaname ?? null, relation.relname ?? '');
    if (found !== null && context.names.topology.tables.has(`${found.schema}.${found.name}`)) {
      refuse(
        `moving table "${found.name}" to another schema is not supported: the configuration knows it by its name`,
        'Move it on each server and in the configuration while nothing uses it.',
      );
    }
  }
  return everywhere();
}

function isShardKey(table: Table, column: string | undefined): boolean {
  return table.type === 'sharded' && table.keyColumns.includes(column ?? '');
}

/** CREATE SCHEMA may hold further CREATE statements. */
function checkSchemaElements(
  elements: readonly Node[] | undefined,
  context: StatementContext,
): void {
  for (const element of elements ?? []) {
    if (planDdl(element, context) === null) {
      refuse('this element of CREATE SCHEMA is not supported', 'Run it as a statement of its own.');
    }
  }
}

function hasOption(options: readonly Node[] | undefined, name: string): boolean {
  return (options ?? []).some((node) => {
    if (!('DefElem' in node) || node.DefElem.defname !== name) return false;
    const text = defElemText(node.DefElem);
    return text === null || !/^(off|false|0)$/i.test(text);
  });
}

const clockWords = /^\s*(now|today|tomorrow|yesterday)\b/i;

/** 'now'::timestamptz in a default or constraint becomes the moment at which each shard read it. */
function refuseClockText(node: Node): void {
  forEachChild(bodyOf(node), (child) => {
    if ('TypeCast' in child) {
      const { arg, typeName } = child.TypeCast;
      const text = arg !== undefined && 'A_Const' in arg ? arg.A_Const.sval?.sval : undefined;
      const type = qualifiedName(typeName?.names).name;
      if (text !== undefined && clockWords.test(text) && /^(date|time)/.test(type)) {
        refuse(
          `'${text}'::${type} in DDL is not supported: each shard would read another time`,
          'Use now() or a fixed time.',
        );
      }
    }
    refuseClockText(child);
  });
}
