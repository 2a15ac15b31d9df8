import type { RangeVar, SelectStmt } from '@pgsql/types';
import type { CatalogRelation } from '../keyspace/catalog.js';
import type { TextParser } from '../sql/parser.js';
import { selectOf } from './ast.js';
import type { Entry, Level } from './model.js';
import { refuse } from './refusals.js';

/** A view where a statement names it. */
export interface ViewUse {
  readonly range: RangeVar;
  readonly relation: CatalogRelation;
  /** Its query, parsed for this place alone, with locations in its definition. */
  readonly select: SelectStmt;
  readonly level: Level;
  readonly entry: Entry;
}

/** A view's query as a tree of its own. Refuses views whose query may not stand in their place. */
export function viewQuery(relation: CatalogRelation, parser: TextParser): SelectStmt {
  if (relation.viewIsPlain !== true) {
    refuse(
      `view "${relation.name}" is not supported: it is a security_barrier view, or one under row security ` +
        'without security_invoker',
      'Write its query in place of the view, so that its tables can be routed.',
    );
  }
  return viewSelect(relation, parser);
}

/** The query of a view that itself stays in the text. */
export function viewSelect(relation: CatalogRelation, parser: TextParser): SelectStmt {
  const parsed = parser.parse(Buffer.from(relation.viewDefinition ?? ''));
  if (Array.isArray(parsed)) {
    const select = parsed.length === 1 ? selectOf(parsed[0]!.node) : null;
    if (select !== null) return select;
  } else parsed.catch(() => undefined);
  return refuse(
    `the query of view "${relation.name}" cannot be read here`,
    'Write its query in place of the view, so that its tables can be routed.',
  );
}
