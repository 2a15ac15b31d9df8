import type { CatalogColumn, CatalogRelation } from '../../keyspace/catalog.js';
import type { Table } from '../../keyspace/topology.js';
import { TypeOid } from '../../keyspace/type-oids.js';
import type { Analysis } from '../analysis.js';
import type { Occurrence } from '../model.js';
import type { GatherInput, RoutePlan, SourceQuery } from '../plan.js';
import type { StatementContext } from '../statement-context.js';

/** In the name of whatever stands in a table's place. */
const MARK = 'shardgate input';
/** Beside the columns that travel there may be 65,535 at most. */
const PARAMETERS_MAX = 60_000;

/**
 * Whether tables may go to the shards as parameters: what has a meaning at one moment or on one server only is left to
 * the one server of a gather.
 */
export function mayMove(analysis: Analysis, context: StatementContext): boolean {
  return (
    Math.max(context.paramTypes.length, analysis.params.count) <= PARAMETERS_MAX &&
    analysis.volatileFunction === null &&
    analysis.clockText === null &&
    !analysis.readsCatalog &&
    analysis.systemColumn === null &&
    !analysis.writes &&
    analysis.levels.every(({ locking, recursive }) => !locking && !recursive) &&
    !Buffer.from(context.bytes).includes(MARK)
  );
}

/** `schema.name`. */
export function keyOf({ schema, name }: Table): string {
  return `${schema}.${name}`;
}

/** The SQL that shards run is the plan's own, into which the inputs can be written. */
export function putsTogether(
  source: SourceQuery,
): source is SourceQuery & { readonly plan: RoutePlan } {
  const { plan } = source;
  return plan.kind === 'route' && !plan.writes && isMade(plan);
}

function isMade({ many }: RoutePlan): boolean {
  return many.kind === 'merge' || many.kind === 'gather';
}

/** What stands in the place of an input in SQL. */
export function markOf(input: number): string {
  return `"${nameOf(input)}"`;
}

/** The name that an input is planned under. */
export function nameOf(input: number): string {
  return `${MARK} ${input}`;
}

/** What stands in the place of a table: the columns of it that an input has. */
export function relationOf(
  name: string,
  { columns }: GatherInput,
  { relation }: Occurrence,
): CatalogRelation {
  return {
    schema: 'pg_temp',
    name,
    kind: 'r',
    hasTriggersOrRules: false,
    parent: null,
    columns: columns.map(
      (column) => relation.columns.find((own) => own.name === column) ?? rowColumn(column),
    ),
    estimatedRows: relation.estimatedRows ?? null,
  };
}

/** Stands for rows of which no column is needed. */
function rowColumn(name: string): CatalogColumn {
  return {
    name,
    type: TypeOid.bool,
    deterministicCollation: true,
    collation: 'default',
    notNull: true,
    hasDefault: false,
    generated: false,
    identity: '',
  };
}
