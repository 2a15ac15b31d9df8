import { auditedTables, auditTable } from '../../executor/audit/audit.js';
import type { Finding } from '../../executor/audit/finding.js';
import { sqlError } from '../../errors/sql-error.js';
import { auditHost } from '../audit-tables.js';
import type { ColumnOf } from '../column.js';
import type { ConsoleCommand } from '../command.js';
import { namedTable } from '../named-tables.js';

const columns: readonly ColumnOf<Finding>[] = [
  { name: 'table', type: 'text', of: ({ table }) => table },
  { name: 'shard', type: 'text', of: ({ shard }) => shard },
  { name: 'check', type: 'text', of: ({ check }) => check },
  { name: 'rows', type: 'int8', of: ({ rows }) => rows },
  { name: 'wrong', type: 'int8', of: ({ wrong }) => wrong },
  { name: 'detail', type: 'text', of: ({ detail }) => detail },
];

export const audit: ConsoleCommand = {
  words: ['AUDIT'],
  usage: '[table]',
  help: 'Counts rows that are not where they belong, copies that differ, and lookup entries that are wrong',
  access: 'admin',
  prepare: (text, context) => {
    const named = namedTable(text, 1, context);
    if (named !== null && named.next < text.wordCount) {
      throw sqlError('syntax_error', 'usage: AUDIT [table]');
    }
    return {
      tag: 'AUDIT',
      columns,
      paramCount: 0,
      run: async (_params, watch) => {
        const host = auditHost(context, watch);
        const tables = named === null ? auditedTables(host.topology) : [named.table];
        const findings: Finding[] = [];
        for (const table of tables) {
          const own = await auditTable(host, table);
          const isSound = own.every(({ check, wrong }) => check !== 'rows' || wrong === 0);
          if (table.type === 'sharded' && isSound) await context.placements.settle(table);
          findings.push(...own);
        }
        return findings.map((finding) => columns.map((column) => column.of(finding)));
      },
    };
  },
};
