import type {
  Catalog,
  CatalogColumn,
  CatalogFunction,
  CatalogRelation,
  EnumLabels,
} from '../keyspace/catalog.js';
import {
  builtinsQuery,
  collatedTypesQuery,
  collationQuery,
  enumsQuery,
  columnsQuery,
  functionsQuery,
  operatorsQuery,
  relationsQuery,
  schemasQuery,
  settingNamesQuery,
  textOnlyTypesQuery,
  typesQuery,
  viewsQuery,
} from './catalog-queries.js';

/** Values in text format, in the query's column order. */
export type CatalogRow = readonly (string | null)[];

/** Runs one query on the catalog shard; rejects with whatever went wrong there. */
export type CatalogQuery = (sql: string) => Promise<readonly CatalogRow[]>;

/**
 * Reads the catalog: the queries are given all at once, so that a connection may pipeline them.
 * `version` must be another one than that of the catalog it replaces.
 * @param base an earlier one of the same server, whose system schemas are taken over
 */
export async function loadCatalog(
  query: CatalogQuery,
  version: number,
  base: Catalog | null = null,
): Promise<Catalog> {
  const which = base === null ? 'all' : 'user';
  const [
    relations,
    columns,
    views,
    functions,
    operators,
    builtins,
    types,
    textOnlyTypes,
    collatedTypes,
    enums,
    schemas,
    collation,
    settings,
  ] = await Promise.all([
    query(relationsQuery(which)),
    query(columnsQuery(which)),
    query(viewsQuery),
    query(functionsQuery),
    query(operatorsQuery),
    base === null ? query(builtinsQuery) : null,
    query(typesQuery),
    query(textOnlyTypesQuery),
    query(collatedTypesQuery),
    query(enumsQuery),
    query(schemasQuery),
    query(collationQuery),
    base === null ? query(settingNamesQuery) : null,
  ]);
  const collated = oidsOf(collatedTypes);
  return Object.freeze({
    version,
    schemas: new Set(schemas.map((row) => text(row, 0))),
    relations: relationsOf(relations, columns, views, base),
    functions: functionsOf(functions, collated),
    ...operatorsOf(operators),
    ...(builtins === null ? builtinsIn(base!) : builtinsOf(builtins)),
    types: typesOf(types),
    computingDomains: new Set(types.filter((row) => bool(row, 3)).map((row) => text(row, 1))),
    textOnlyTypes: oidsOf(textOnlyTypes),
    collatedTypes: collated,
    enums: enumsOf(enums),
    settingNames:
      settings === null ? base!.settingNames! : new Set(settings.map((row) => text(row, 0))),
    textByBytes: collation[0] !== undefined && bool(collation[0], 0),
  });
}

export function relationsOf(
  relations: readonly CatalogRow[],
  columns: readonly CatalogRow[],
  views: readonly CatalogRow[],
  base: Catalog | null,
): Map<string, CatalogRelation> {
  const columnsByTable = new Map<string, CatalogColumn[]>();
  for (const row of columns) {
    const key = `${text(row, 0)}.${text(row, 1)}`;
    const list = columnsByTable.get(key);
    if (list === undefined) columnsByTable.set(key, [columnOf(row)]);
    else list.push(columnOf(row));
  }
  const definitions = new Map(
    views.map((row) => [`${text(row, 0)}.${text(row, 1)}`, definitionOf(row)]),
  );
  const system = new Map<string, CatalogRelation>();
  const out = new Map<string, CatalogRelation>();
  for (const [key, relation] of base?.relations ?? []) {
    if (systemSchemas.has(relation.schema)) system.set(key, relation);
  }
  for (const row of relations) {
    const key = `${text(row, 0)}.${text(row, 1)}`;
    const of = systemSchemas.has(text(row, 0)) ? system : out;
    of.set(key, {
      schema: text(row, 0),
      name: text(row, 1),
      kind: text(row, 2),
      hasTriggersOrRules: bool(row, 3),
      hasReadingPolicies: bool(row, 4),
      parent: row[5] ?? null,
      columns: columnsByTable.get(key) ?? [],
      primaryKey: namesIn(row[6] ?? null),
      ...definitions.get(key),
      ...(row[7] === null || row[7] === undefined ? {} : { owner: row[7] }),
      uniqueColumns: namesIn(row[8] ?? null) ?? [],
      referencedBy: namesIn(row[9] ?? null) ?? [],
      refersToItself: bool(row, 10),
      ...triggersIn(row[11] ?? null),
      uniqueKeys: JSON.parse(row[12] ?? '[]') as string[][],
    });
  }
  return new Map([...system, ...out]);
}

function definitionOf(
  row: CatalogRow,
): Pick<CatalogRelation, 'viewDefinition' | 'viewIsPlain' | 'viewChecks'> {
  // Null: dropped while the catalog was read.
  if (row[2] === null) return {};
  const viewDefinition = text(row, 2).trim().replace(/;$/, '');
  return { viewDefinition, viewIsPlain: bool(row, 3), viewChecks: bool(row, 4) };
}

function triggersIn(json: string | null): Pick<CatalogRelation, 'triggers'> {
  if (json === null) return {};
  const rows = JSON.parse(json) as (readonly [string | null, string, string, string, string])[];
  return {
    triggers: rows.map(([definition, schema, name, language, source]) => ({
      // Null: dropped while the catalog was read.
      definition: definition ?? '',
      function: { schema, name, language, source },
    })),
  };
}

function namesIn(json: string | null): readonly string[] | null {
  return json === null ? null : (JSON.parse(json) as string[]);
}

const defaultKinds = ['constant', 'changing', 'sequence', 'function'] as const;
const identities = ['a', 'd'] as const;
const collations = ['default', 'bytes', 'other'] as const;
const moments = ['timestamptz', 'timestamp', 'date', 'timetz', 'time'] as const;

function columnOf(row: CatalogRow): CatalogColumn {
  const kind = defaultKinds.find((candidate) => candidate === row[10]);
  const collation = collations.find((candidate) => candidate === row[11]) ?? 'other';
  const moment = moments.find((candidate) => candidate === row[14]);
  return {
    name: text(row, 2),
    type: Number(row[3]),
    typmod: Number(row[4]),
    deterministicCollation: bool(row, 5),
    collation,
    notNull: bool(row, 6),
    hasDefault: bool(row, 7),
    generated: bool(row, 8),
    identity: identities.find((candidate) => candidate === row[9]) ?? '',
    ...(kind === undefined ? {} : { defaultKind: kind }),
    ...given('collationName', row[12]),
    ...given('sequence', row[13]),
    ...(moment === undefined ? {} : { moment }),
    ...(row[15] === '4' || row[15] === '7' ? { uuid: row[15] === '4' ? 4 : 7 } : {}),
  };
}

/** The property where it is not NULL. */
function given<K extends string>(
  name: K,
  value: string | null | undefined,
): { [key in K]?: string } {
  return value === null || value === undefined
    ? {}
    : ({ [name]: value } as { [key in K]?: string });
}

function oidsOf(rows: readonly CatalogRow[]): Set<number> {
  return new Set(rows.map((row) => Number(row[0])));
}

function enumsOf(rows: readonly CatalogRow[]): Map<number, EnumLabels> {
  const out = new Map<number, EnumLabels>();
  let labels: string[] = [];
  for (const row of rows) {
    const type = Number(row[0]);
    if (!out.has(type)) {
      labels = [];
      out.set(type, { labels, isArray: false });
      out.set(Number(row[1]), { labels, isArray: true });
    }
    labels.push(text(row, 2));
  }
  return out;
}

function functionsOf(
  rows: readonly CatalogRow[],
  collatedTypes: ReadonlySet<number>,
): Map<string, CatalogFunction[]> {
  const out = new Map<string, CatalogFunction[]>();
  for (const row of rows) {
    const name = text(row, 1);
    const overloads = out.get(name) ?? [];
    overloads.push({
      schema: text(row, 0),
      name,
      kind: text(row, 2),
      // Nothing known of what it is made of: the worst.
      volatility: row[3] ?? 'v',
      language: text(row, 4),
      ...given('triggerSource', row[5]),
      ...given('body', row[6]),
      givesCollated: text(row, 7)
        .split(' ')
        .some((oid) => collatedTypes.has(Number(oid))),
      takes: text(row, 8).split(' ').filter(Boolean).map(Number),
      returnsSet: bool(row, 9),
    });
    out.set(name, overloads);
  }
  return out;
}

function operatorsOf(
  rows: readonly CatalogRow[],
): Pick<Catalog, 'operators'> & { comparisonsOverloaded: boolean } {
  const changing = rows.filter((row) => bool(row, 1)).map((row) => text(row, 0));
  return {
    operators: new Set(changing),
    comparisonsOverloaded: rows.some((row) => bool(row, 2)),
  };
}

const systemSchemas = new Set(['pg_catalog', 'information_schema']);

type Builtins = Pick<
  Catalog,
  'volatileBuiltins' | 'aggregates' | 'windowFunctions' | 'setReturning'
>;

function builtinsIn({
  volatileBuiltins,
  aggregates,
  windowFunctions,
  setReturning,
}: Catalog): Builtins {
  return { volatileBuiltins, aggregates, windowFunctions, setReturning };
}

function builtinsOf(rows: readonly CatalogRow[]): Builtins {
  const names = (wanted: (row: CatalogRow) => boolean): Set<string> =>
    new Set(rows.filter(wanted).map((row) => text(row, 0)));
  return {
    volatileBuiltins: names((row) => bool(row, 2)),
    aggregates: names((row) => row[1] === 'a'),
    windowFunctions: names((row) => row[1] === 'w'),
    setReturning: names((row) => bool(row, 3)),
  };
}

/** Built-in types by bare name, others by `schema.name`. */
function typesOf(rows: readonly CatalogRow[]): Map<string, number> {
  const out = new Map<string, number>();
  for (const row of rows) {
    const schema = text(row, 0);
    const name = text(row, 1);
    out.set(schema === 'pg_catalog' ? name : `${schema}.${name}`, Number(row[2]));
  }
  return out;
}

function text(row: CatalogRow, index: number): string {
  return row[index] ?? '';
}

function bool(row: CatalogRow, index: number): boolean {
  return row[index] === 't';
}
