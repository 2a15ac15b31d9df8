import type { Dice } from './chaos-random.js';

/*
 * Random statements that write, by way of views in place of their tables: as they are, and with
 * conditions that all rows fulfil, checked.
 */

const written = [
  'accounts',
  'lines',
  'regions',
  'notes',
  'docs',
  'owners',
  'pets',
  'logs',
  'plain',
];

export const viewSchema: readonly string[] = written.flatMap((table) => [
  `CREATE VIEW v_${table} AS SELECT * FROM ${table}`,
  `CREATE VIEW w_${table} AS SELECT * FROM v_${table} WHERE (SELECT true) WITH CHECK OPTION`,
]);

const TARGET =
  /\b(INSERT INTO|MERGE INTO|DELETE FROM|(?<!DO |FOR |THEN |NO KEY )UPDATE)( ONLY)? ([a-z]+)\b(?! AS\b)(?= *(\(|$|;|[A-Za-z]+))/g;
/** What follows a target that has no alias. */
const CLAUSE = /^(\(|SET|USING|WHERE|VALUES|SELECT|WITH|DEFAULT|RETURNING|ON|OVERRIDING|TABLE)$/i;

/** The statement with views in the places of some targets, which keep their names. */
export function throughViews(sql: string, dice: Dice): string {
  if (!dice.chance(0.3)) return sql;
  return sql.replace(
    TARGET,
    (text, verb: string, only: string | undefined, table: string, next: string) => {
      if (only !== undefined || !written.includes(table) || !dice.chance(0.7)) return text;
      const view = `${dice.pick(['v', 'v', 'w'])}_${table}`;
      const alias = next === '' || next === ';' || CLAUSE.test(next) ? ` AS ${table}` : '';
      return `${verb} ${view}${alias}`;
    },
  );
}
