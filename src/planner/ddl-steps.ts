import type {
  AlterTableStmt,
  DropStmt,
  IndexStmt,
  Node,
  RangeVar,
  ReindexStmt,
} from '@pgsql/types';
import { quoteIdentifier, quoteQualified } from '../sql/quote.js';
import { qualifiedName } from './ast.js';
import type { DdlSteps } from './plan.js';

/** CREATE INDEX CONCURRENTLY. */
export function indexSteps({ relation, idxname }: IndexStmt): DdlSteps {
  const name = idxname ?? null;
  const trace = { kind: 'index', table: rangeSql(relation), name } as const;
  return { tag: 'CREATE INDEX', command: 'CREATE INDEX CONCURRENTLY', trace };
}

/** DROP INDEX CONCURRENTLY, which takes one name. */
export function dropSteps({ objects }: DropStmt): DdlSteps {
  const [first] = objects ?? [];
  const parts = first !== undefined && 'List' in first ? first.List.items : undefined;
  const { schema, name } = qualifiedName(parts);
  const trace = { kind: 'dropped', index: nameText(schema, name) } as const;
  return { tag: 'DROP INDEX', command: 'DROP INDEX CONCURRENTLY', trace };
}

/** REINDEX that no transaction holds. */
export function reindexSteps({ kind, relation }: ReindexStmt): DdlSteps {
  const one = kind === 'REINDEX_OBJECT_TABLE' || kind === 'REINDEX_OBJECT_INDEX';
  const trace = one ? ({ kind: 'rebuilt', relation: rangeSql(relation) } as const) : null;
  const word = (kind ?? '').replace('REINDEX_OBJECT_', '');
  return { tag: 'REINDEX', command: `REINDEX ${one ? 'CONCURRENTLY' : word}`, trace };
}

/** ALTER TABLE ... DETACH PARTITION ... CONCURRENTLY; null: any other ALTER TABLE. */
export function detachSteps({ relation, cmds }: AlterTableStmt): DdlSteps | null {
  const partition = (cmds ?? []).map(detachedConcurrently).find((range) => range !== undefined);
  if (partition === undefined) return null;
  const trace = {
    kind: 'detached',
    table: rangeSql(relation),
    partition: rangeSql(partition),
  } as const;
  return { tag: 'ALTER TABLE', command: 'ALTER TABLE ... DETACH CONCURRENTLY', trace };
}

function detachedConcurrently(node: Node): RangeVar | undefined {
  if (!('AlterTableCmd' in node)) return undefined;
  const { subtype, def } = node.AlterTableCmd;
  if (subtype !== 'AT_DetachPartition' || def === undefined) return undefined;
  return 'PartitionCmd' in def && def.PartitionCmd.concurrent === true
    ? def.PartitionCmd.name
    : undefined;
}

/** A table as the statement names it. */
export function rangeSql(range: RangeVar | undefined): string {
  return nameText(range?.schemaname ?? null, range?.relname ?? '');
}

function nameText(schema: string | null, name: string): string {
  return schema === null ? quoteIdentifier(name) : quoteQualified(schema, name);
}
