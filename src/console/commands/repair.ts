import { repairTable, type Repair } from '../../executor/audit/repair.js';
import { sqlError } from '../../errors/sql-error.js';
import { auditHost } from '../audit-tables.js';
import type { ColumnOf } from '../column.js';
import type { ConsoleCommand } from '../command.js';
import { namedTable } from '../named-tables.js';

export const repairColumns: readonly ColumnOf<Repair>[] = [
  { name: 'table', type: 'text', of: ({ table }) => table },
  { name: 'shard', type: 'text', of: ({ shard }) => shard },
  { name: 'moved', type: 'int8', of: ({ moved }) => moved },
  { name: 'left', type: 'int8', of: ({ left }) => left },
  { name: 'detail', type: 'text', of: ({ detail }) => detail },
];

export const repair: ConsoleCommand = {
  words: ['REPAIR'],
  usage: 'table',
  help: 'Moves rows that AUDIT finds on a wrong shard to where they belong',
  access: 'admin',
  prepare: (text, context) => {
    const named = namedTable(text, 1, context);
    if (named === null || named.next < text.wordCount) {
      throw sqlError('syntax_error', 'usage: REPAIR table');
    }
    return {
      tag: 'REPAIR',
      columns: repairColumns,
      paramCount: 0,
      run: async (_params, watch) => {
        const { table } = named;
        const repairs = await repairTable(auditHost(context, watch), table);
        const isDone = repairs.every(({ left }) => left === 0);
        if (table.type === 'sharded' && isDone) await context.placements.settle(table);
        return repairs.map((done) => repairColumns.map((column) => column.of(done)));
      },
    };
  },
};
