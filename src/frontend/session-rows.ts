import { sqlError } from '../errors/sql-error.js';
import type { IdSource } from '../planner/plan.js';
import type { ClientStatement, Portal } from './client-statement.js';
import type { Session } from './session.js';

type Source = Extract<IdSource, { readonly kind: 'preparedStatements' | 'cursors' }>;

/**
 * The rows of pg_prepared_statements or pg_cursors, as a JSON array. Throws SqlError 0A000 where a value that is
 * asked for is not known.
 * @param bind the Bind message that the session's layout is of; null: a simple query
 */
export function sessionRows(session: Session, source: Source, bind: Buffer | null): string {
  const rows =
    source.kind === 'cursors'
      ? cursorRows(session, source.scrolls, bind)
      : statementRows(session, source.types);
  return JSON.stringify(rows);
}

function statementRows({ extended }: Session, types: boolean): object[] {
  const { known } = extended.statements;
  if (known === null) {
    throw unknown(
      'which statements are prepared is not known after an error in their pipeline',
      'Close them, or prepare them again.',
    );
  }
  return known.map((statement) => ({
    name: statement.name,
    statement: statement.source ?? statement.text.toString('utf8'),
    prepare_time: timeOf(statement.preparedAt),
    parameter_types: types ? parameterTypes(statement) : null,
    from_sql: statement.source !== null,
  }));
}

function parameterTypes(statement: ClientStatement): readonly number[] {
  const { inferredTypes, paramTypes, planned, name } = statement;
  if (inferredTypes !== null) return inferredTypes;
  const count = Math.max(planned.paramCount, paramTypes.length);
  if (paramTypes.length === count && !paramTypes.includes(0)) return paramTypes;
  throw unknown(
    `the parameter types of prepared statement "${name}" are not known yet`,
    'Give them in Parse, or use PREPARE.',
  );
}

function cursorRows(session: Session, scrolls: boolean, bind: Buffer | null): object[] {
  const { extended, source } = session;
  const rows = [...extended.portals.all].map((portal) => cursorRow(portal, scrolls));
  if (bind === null) return rows;
  // What is bound now is a portal too.
  const { layout } = source;
  const text = (start: number, end: number): string => bind.toString('utf8', start, end);
  const { text: statement } = extended.statements.named(
    text(layout.statementStart, layout.statementEnd),
  );
  const own = text(layout.portalStart, layout.portalEnd);
  return [...rows, protocolRow(own, statement, Date.now())];
}

function cursorRow({ name, statement, plan, hold, madeAt }: Portal, scrolls: boolean): object {
  if (statement !== null) return protocolRow(name, statement.text, madeAt);
  const cursor = plan.kind === 'route' && plan.cursor?.action === 'declare' ? plan.cursor : null;
  if (scrolls && (cursor?.scroll ?? null) === null) {
    throw unknown(
      `whether cursor "${name}" scrolls is a matter of its servers' plans`,
      'Declare it with SCROLL or NO SCROLL, or leave out is_scrollable.',
    );
  }
  return {
    name,
    statement: cursor?.source,
    is_holdable: hold !== 'no',
    is_binary: cursor?.binary === true,
    is_scrollable: cursor?.scroll === 'yes',
    creation_time: timeOf(madeAt),
  };
}

function protocolRow(name: string, text: Buffer, madeAt: number): object {
  return {
    name,
    statement: text.toString('utf8'),
    is_holdable: false,
    is_binary: false,
    is_scrollable: false,
    creation_time: timeOf(madeAt),
  };
}

function timeOf(ms: number): string {
  return new Date(ms).toISOString();
}

function unknown(message: string, hint: string): Error {
  return sqlError('feature_not_supported', message, { hint });
}
