import type { ColumnOf } from '../column.js';
import type { ConsoleContext } from '../console-context.js';
import { showCommand } from '../show.js';
import type { Totals } from '../stats-history.js';

/** The database of the clients. */
interface StatsRow {
  readonly database: string;
  readonly totals: Totals;
  readonly averages: Totals;
}

type Counted = readonly (readonly [column: string, key: keyof Totals])[];

/** As PgBouncer's STATS calls them, behind `total_` and `avg_`. */
const SHARED: Counted = [
  ['xact_count', 'xactCount'],
  ['query_count', 'queryCount'],
];
const TIMES: Counted = [
  ['xact_time', 'xactTime'],
  ['query_time', 'queryTime'],
  ['wait_time', 'waitTime'],
];
const SPLIT: Counted = [
  ...SHARED,
  ['bytes_received', 'received'],
  ['bytes_sent', 'sent'],
  ...TIMES,
];

const database: ColumnOf<StatsRow> = { name: 'database', type: 'text', of: (row) => row.database };

function columnsOf(
  which: 'totals' | 'averages',
  prefix: string,
  counted: Counted,
): ColumnOf<StatsRow>[] {
  return counted.map(([name, key]) => ({
    name: `${prefix}${name}`,
    type: 'numeric',
    of: (row) => row[which][key],
  }));
}

const BYTES_TOTAL: Counted = [
  ['received', 'received'],
  ['sent', 'sent'],
];
const BYTES_AVERAGE: Counted = [
  ['recv', 'received'],
  ['sent', 'sent'],
];

export const showStats = showCommand<StatsRow>({
  name: 'STATS',
  help: 'Statements, bytes and times since the start, and averages of the last minute or two',
  columns: [
    database,
    ...columnsOf('totals', 'total_', [...SHARED, ...BYTES_TOTAL, ...TIMES]),
    ...columnsOf('averages', 'avg_', [...SHARED, ...BYTES_AVERAGE, ...TIMES]),
    // As PgBouncer called it up to 1.7; exporters of that age ask for it.
    ...columnsOf('totals', 'total_', [['requests', 'queryCount']]),
  ],
  items: rows,
});

export const showStatsTotals = showCommand<StatsRow>({
  name: 'STATS_TOTALS',
  help: 'The totals of STATS',
  columns: [database, ...columnsOf('totals', '', SPLIT)],
  items: rows,
});

export const showStatsAverages = showCommand<StatsRow>({
  name: 'STATS_AVERAGES',
  help: 'The averages of STATS',
  columns: [database, ...columnsOf('averages', '', SPLIT)],
  items: rows,
});

export const showTotals = showCommand<readonly [string, number]>({
  name: 'TOTALS',
  help: 'What STATS has, a line each',
  columns: [
    { name: 'name', type: 'text', of: ([name]) => name },
    { name: 'value', type: 'numeric', of: ([, value]) => value },
  ],
  items: ({ stats }) => {
    const counted: Counted = [
      ...SHARED,
      ['client_bytes', 'received'],
      ['server_bytes', 'sent'],
      ...TIMES,
    ];
    const { totals, averages } = stats;
    return [
      ...counted.map(([name, key]) => [`total_${name}`, totals[key]] as const),
      ...counted.map(([name, key]) => [`avg_${name}`, averages[key]] as const),
    ];
  },
});

function rows({ proxy, stats }: ConsoleContext): StatsRow[] {
  const { totals, averages } = stats;
  return [{ database: proxy.config.database, totals, averages }];
}
