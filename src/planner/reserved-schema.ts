import type { Node } from '@pgsql/types';
import { bodyOf, kindOf, stringOf } from './ast.js';
import type { Names } from './names.js';
import { refuse } from './refusals.js';

/** The schema in which Shardgate keeps its own tables on every shard; no client may use it. */
export const RESERVED_SCHEMA = 'shardgate';

/** The table that is there as soon as anything is. */
export const RESERVED_TABLE = 'decisions';

/** Refuses a statement that names the reserved schema or anything in it, with 42501. */
export function refuseReserved(
  hint = 'Shardgate keeps the outcomes of transactions there; leave it out (pg_dump: -N shardgate).',
): never {
  refuse(`permission denied for schema ${RESERVED_SCHEMA}`, hint, 'insufficient_privilege');
}

/**
 * Refuses DDL that changes, reads or fills the reserved schema, by whatever name: `shardgate.x`,
 * the schema itself, or a bare name that the search path leads there.
 */
export function checkReserved(node: Node, names: Names): void {
  const found = namesReserved(bodyOf(node), '', names, handlesSchemas(node));
  if (found) refuseReserved();
  if (createsUnqualified(node) && names.creationSchema() === RESERVED_SCHEMA) {
    refuseReserved('The search path begins with this schema, perhaps as "$user": set another one.');
  }
}

/** Whether bare names in this statement may be names of schemas. */
function handlesSchemas(node: Node): boolean {
  const kind = kindOf(node);
  if (kind === 'AlterDefaultPrivilegesStmt' || kind === 'CreateExtensionStmt') return true;
  // OBJECT_SCHEMA, ACL_TARGET_ALL_IN_SCHEMA, REINDEX_OBJECT_SCHEMA, PUBLICATIONOBJ_TABLES_IN_SCHEMA
  return /"[A-Z_]+_SCHEMA"/.test(JSON.stringify(node));
}

/** Fields whose lists of strings are no dotted names of objects: labels of an enum, columns. */
const otherLists = new Set(['vals', 'fields']);
const schemaFields = new Set(['schemaname', 'newschema']);
/** Fields of statements about schemas that hold the schema's name. */
const bareFields = new Set(['sval', 'name', 'subname']);

/** Depth-first over everything that stands in `field`; constants are data and name nothing. */
function namesReserved(value: unknown, field: string, names: Names, schemas: boolean): boolean {
  if (value === RESERVED_SCHEMA)
    return schemaFields.has(field) || (schemas && bareFields.has(field));
  if (value === null || typeof value !== 'object') return false;
  if (Array.isArray(value)) {
    const first = otherLists.has(field) ? null : stringOf(value[0] as Node);
    if (value.length > 1 && first === RESERVED_SCHEMA) return true;
    if (value.length === 1 && first !== null && names.isReserved(null, first)) return true;
    return value.some((item) => namesReserved(item, field, names, schemas));
  }
  if ('A_Const' in value) return false;
  if ('relname' in value && !('schemaname' in value) && typeof value.relname === 'string') {
    if (names.isReserved(null, value.relname)) return true;
  }
  return Object.entries(value).some(([name, inner]) => {
    // `{ List: { items } }` is no field of its own: what holds the list says what it is.
    const holder = name === 'List' || name === 'items' ? field : name;
    return namesReserved(inner, holder, names, schemas);
  });
}

/** Whether the statement makes an object under a bare name, in the search path's first schema. */
function createsUnqualified(node: Node): boolean {
  if ('CreateStmt' in node) return node.CreateStmt.relation?.schemaname === undefined;
  if ('ViewStmt' in node) return node.ViewStmt.view?.schemaname === undefined;
  if ('CreateSeqStmt' in node) return node.CreateSeqStmt.sequence?.schemaname === undefined;
  if ('CompositeTypeStmt' in node) return node.CompositeTypeStmt.typevar?.schemaname === undefined;
  if ('CreateDomainStmt' in node) return isBare(node.CreateDomainStmt.domainname);
  if ('CreateEnumStmt' in node) return isBare(node.CreateEnumStmt.typeName);
  if ('CreateRangeStmt' in node) return isBare(node.CreateRangeStmt.typeName);
  if ('CreateFunctionStmt' in node) return isBare(node.CreateFunctionStmt.funcname);
  if ('DefineStmt' in node) return isBare(node.DefineStmt.defnames);
  if ('CreateConversionStmt' in node) return isBare(node.CreateConversionStmt.conversion_name);
  if ('CreateOpClassStmt' in node) return isBare(node.CreateOpClassStmt.opclassname);
  if ('CreateOpFamilyStmt' in node) return isBare(node.CreateOpFamilyStmt.opfamilyname);
  return false;
}

function isBare(name: readonly Node[] | undefined): boolean {
  return (name?.length ?? 0) < 2;
}
