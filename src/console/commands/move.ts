import { sqlError } from '../../errors/sql-error.js';
import { repairColumns } from './repair.js';
import { moveKey } from '../../executor/directories/move-key.js';
import { auditHost } from '../audit-tables.js';
import type { ConsoleCommand } from '../command.js';
import { namedTable } from '../named-tables.js';

const USAGE = 'usage: MOVE table key TO shard';

export const move: ConsoleCommand = {
  words: ['MOVE'],
  usage: 'table key TO shard',
  help: 'Gives a key of a directory another shard, and takes its rows of all tables there',
  access: 'admin',
  prepare: (text, context) => {
    const named = namedTable(text, 1, context);
    const at = named?.next ?? 0;
    const isWhole = text.wordCount === at + 3 && text.word(at + 1)?.toUpperCase() === 'TO';
    if (named === null || !isWhole) throw sqlError('syntax_error', USAGE);
    const { table } = named;
    if (table.type !== 'sharded') {
      throw sqlError('feature_not_supported', `table "${table.name}" is not sharded`);
    }
    const key = text.word(at)!.startsWith("'") ? text.value(at)! : text.word(at)!;
    const shard = text.value(at + 2)!;
    return {
      tag: 'MOVE',
      columns: repairColumns,
      paramCount: 0,
      run: async (_params, watch) => {
        const { queueTimeoutMs } = context.proxy.config.pool;
        const host = auditHost(context, watch);
        const repairs = await moveKey(host, { table, key, shard, queueTimeoutMs });
        return repairs.map((done) => repairColumns.map((column) => column.of(done)));
      },
    };
  },
};
