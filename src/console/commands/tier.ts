import { sqlError } from '../../errors/sql-error.js';
import { movePeriods, type PeriodMove } from '../../executor/directories/periods.js';
import { auditHost } from '../audit-tables.js';
import type { ColumnOf } from '../column.js';
import type { ConsoleCommand } from '../command.js';
import { namedTable } from '../named-tables.js';

const columns: readonly ColumnOf<PeriodMove>[] = [
  { name: 'period', type: 'text', of: ({ label }) => label },
  { name: 'from', type: 'text', of: ({ from }) => from },
  { name: 'to', type: 'text', of: ({ to }) => to },
  { name: 'rows', type: 'int8', of: ({ rows }) => rows },
  { name: 'error', type: 'text', of: ({ failure }) => failure?.message ?? null },
];

export const tier: ConsoleCommand = {
  words: ['TIER'],
  usage: 'table',
  help: 'Moves the periods of a table that have grown too old for their shards, now',
  access: 'admin',
  prepare: (text, context) => {
    const named = namedTable(text, 1, context);
    if (named === null || named.next < text.wordCount) {
      throw sqlError('syntax_error', 'usage: TIER table');
    }
    const { table } = named;
    const directory = table.type === 'sharded' ? table.vindex.directory : undefined;
    if (directory === undefined || directory.periods === null) {
      throw sqlError('feature_not_supported', `table "${table.name}" has no tiers`, {
        hint: 'Tiers are those of a vindex of type tiered.',
      });
    }
    return {
      tag: 'TIER',
      columns,
      paramCount: 0,
      run: async (_params, watch) => {
        const { queueTimeoutMs } = context.proxy.config.pool;
        const host = auditHost(context, watch);
        const moves = await movePeriods(host, directory, queueTimeoutMs, () => undefined);
        return moves.map((move) => columns.map((column) => column.of(move)));
      },
    };
  },
};
