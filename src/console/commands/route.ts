import { sqlError, SqlError } from '../../errors/sql-error.js';
import type { ColumnOf } from '../column.js';
import type { ConsoleCommand } from '../command.js';
import { routesOf, type Route } from '../route-of.js';

const columns: readonly ColumnOf<Route>[] = [
  { name: 'plan', type: 'text', of: ({ plan }) => plan },
  {
    name: 'shards',
    type: 'text',
    of: ({ shards }) => shards?.map(({ name }) => name).join(' ') ?? null,
  },
  { name: 'key', type: 'text', of: ({ key }) => key },
  { name: 'reason', type: 'text', of: ({ reason }) => reason },
];

export const route: ConsoleCommand = {
  words: ['ROUTE'],
  usage: 'statement',
  help: 'Where a statement would go, and why; nothing is run',
  access: 'monitor',
  prepare: (text, context) => {
    const sql = text.from(1);
    if (sql === '') throw sqlError('syntax_error', 'usage: ROUTE statement');
    return {
      tag: 'ROUTE',
      columns,
      paramCount: 0,
      run: async () => {
        const routes = await routesOf(context, sql).catch((error: unknown) => {
          throw withPosition(error, text.charactersBefore(1));
        });
        return routes.map((found) => columns.map((column) => column.of(found)));
      },
    };
  },
};

/** Errors tell positions within the statement; the client's text has `characters` more in front. */
function withPosition(error: unknown, characters: number): unknown {
  if (!(error instanceof SqlError) || error.position === undefined) return error;
  const { state, message, detail, hint, position } = error;
  return sqlError(state, message, { detail, hint, position: position + characters });
}
