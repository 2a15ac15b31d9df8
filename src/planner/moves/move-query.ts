import type { ColumnRef, Node, RangeVar, SelectStmt, UpdateStmt } from '@pgsql/types';
import type { CatalogColumn, CatalogRelation } from '../../keyspace/catalog.js';
import { keyColumnMapper } from '../../keyspace/key-columns.js';
import { columnRefOf, contains, stringOf } from '../ast.js';
import { isReferenced } from '../foreign-keys.js';
import { columnNode, overRows, ROWS, rowsItem, selectNode } from '../distribute/apply-text.js';
import { sourceText } from '../distribute/source-query.js';
import type { KeyChange } from '../key-changes.js';
import { assignedValue } from '../modifications.js';
import type { ShardedOccurrence } from '../placement.js';
import type { FinalPiece, MoveSpec, Refusal, ShardSelector, StoredKey } from '../plan.js';
import { refusal, refuse } from '../refusals.js';
import type { StatementContext } from '../statement-context.js';
import { typeNode } from '../type-names.js';
import { storedKey } from '../stored-key.js';

/** An UPDATE of the shard key whose rows may go to other shards. */
export interface KeyUpdate {
  readonly statement: UpdateStmt;
  readonly target: ShardedOccurrence;
  readonly change: KeyChange;
  /** Those that may have rows of the target; each of them finds its own rows alone. */
  readonly shards: ShardSelector;
}

/** Throws Refused for what would not be PostgreSQL's own answer. */
export function moveQuery(update: KeyUpdate, context: StatementContext): MoveSpec {
  const { statement, target, change, shards } = update;
  const { table, relation } = target;
  refuseReturning(statement, relation);
  const assigned = assignments(statement, relation);
  const defaulted = table.keyColumns.find((name) => assigned.get(name) === null);
  if (defaulted !== undefined) {
    refuse(
      `setting the shard key "${table.name}.${defaulted}" to its default is not supported`,
      'Give the value.',
    );
  }
  context.constants.dependOnAll();
  const places = relation.kind === 'p' ? ['ctid', 'tableoid'] : ['ctid'];
  const stored = relation.columns.filter(
    ({ name, generated }) => !generated && assigned.get(name) !== null,
  );
  const names = [...places, ...table.keyColumns, ...stored].map((_, i) => `sg_${i}`);
  const texts = new MoveTexts(update, assigned, places, stored, names, context);
  return {
    keyspace: table.keyspace,
    shards,
    newKey: change === 'computed' ? null : change,
    lock: texts.lock(),
    columns: names,
    placeColumns: places.length,
    key: {
      old: places.length,
      new: movedKey(target, stored, places.length + table.keyColumns.length),
    },
    stay: texts.stay(),
    leave: texts.leave(),
    arrive: texts.arrive(),
    repeats: statement.fromClause !== undefined,
    unique: uniqueChange(relation, table.keyColumns, assigned),
    refusal: refusalOf(relation),
  };
}

/** The new key among the columns of a locked row, those that are stored beginning at `first`. */
function movedKey(
  { table }: ShardedOccurrence,
  stored: readonly CatalogColumn[],
  first: number,
): StoredKey {
  const columns = table.keyColumns.map((key, place) => {
    const index = stored.findIndex(({ name }) => name === key);
    const { type, typmod } = stored[index]!;
    const mapper = keyColumnMapper(table, place, type, type, typmod);
    const column = `${table.name}.${key}`;
    if (mapper === null) refuse(`the shard key "${column}" cannot be mapped`, '');
    return { field: first + index, mapper, columnType: type, column };
  });
  return storedKey(table, columns);
}

/** On the shard where a row arrives nothing is known of the old row, nor of rows that it met. */
function refuseReturning(statement: UpdateStmt, { name }: CatalogRelation): void {
  const { returningClause, fromClause, relation } = statement;
  const exprs = returningClause?.exprs ?? [];
  if (exprs.length === 0) return;
  const tableName = relation?.alias?.aliasname ?? relation?.relname;
  const isOld = ({ ColumnRef }: { ColumnRef: ColumnRef }): boolean =>
    stringOf(ColumnRef.fields?.[0]) === 'old' && tableName !== 'old';
  const looksBack = contains(exprs, 'ColumnRef', (node) => 'ColumnRef' in node && isOld(node));
  const options = (returningClause?.options ?? []).length > 0;
  if (fromClause === undefined && !looksBack && !options && !contains(exprs, 'SubLink')) return;
  refuse(
    `RETURNING of old rows, other tables or sub-selects, in an UPDATE of the shard key of "${name}", is not supported`,
    'Return columns of the new rows only.',
  );
}

/** Why no row may leave its shard; null: they may. */
function refusalOf(relation: CatalogRelation): Refusal | null {
  const { name, hasTriggersOrRules } = relation;
  if (isReferenced(relation)) return referenced(relation);
  if (!hasTriggersOrRules) return null;
  return refusal(
    `moving rows of table "${name}" to another shard is not supported: its triggers would take it for DELETE and INSERT`,
    'Drop the triggers, or delete the rows and insert them anew.',
  );
}

function referenced({ name }: CatalogRelation): Refusal {
  return refusal(
    `moving rows of table "${name}" to another shard is not supported: foreign keys refer to it`,
    'Delete the rows that refer to it, then the row, and insert them anew.',
  );
}

/** What each column is set to; null: its default. */
function assignments(
  { targetList = [] }: UpdateStmt,
  relation: CatalogRelation,
): Map<string, Node | null> {
  const out = new Map<string, Node | null>();
  for (const node of targetList) {
    if (!('ResTarget' in node)) continue;
    const { name = '', val, indirection } = node.ResTarget;
    const value = val === undefined ? undefined : assignedValue(val);
    if (value === undefined || indirection !== undefined || 'MultiAssignRef' in value) {
      refuse(
        `setting parts of columns, or several columns by one sub-select, in an UPDATE of the shard key of "${relation.name}", is not supported`,
        'Set whole columns one by one.',
      );
    }
    out.set(name, 'SetToDefault' in value ? null : value);
  }
  return out;
}

/** Which rows may be in the way of others, or make way for them. */
function uniqueChange(
  { uniqueColumns, columns }: CatalogRelation,
  keyColumns: readonly string[],
  assigned: ReadonlyMap<string, Node | null>,
): MoveSpec['unique'] {
  const unique = uniqueColumns ?? columns.map(({ name }) => name);
  if (unique.length === 0) return 'none';
  const generated = columns.some((column) => column.generated && unique.includes(column.name));
  const others = unique.some((name) => !keyColumns.includes(name) && assigned.has(name));
  return generated || others ? 'all' : 'moved';
}

/** The statements that shards run. */
class MoveTexts {
  readonly #statement: UpdateStmt;
  readonly #relation: RangeVar;
  readonly #table: string;
  readonly #update: KeyUpdate;
  readonly #assigned: ReadonlyMap<string, Node | null>;
  readonly #places: readonly string[];
  readonly #stored: readonly CatalogColumn[];
  readonly #names: readonly string[];
  readonly #context: StatementContext;

  constructor(
    update: KeyUpdate,
    assigned: ReadonlyMap<string, Node | null>,
    places: readonly string[],
    stored: readonly CatalogColumn[],
    names: readonly string[],
    context: StatementContext,
  ) {
    this.#update = update;
    this.#statement = update.statement;
    this.#relation = update.statement.relation!;
    this.#table = this.#relation.alias?.aliasname ?? this.#relation.relname ?? '';
    this.#assigned = assigned;
    this.#places = places;
    this.#stored = stored;
    this.#names = names;
    this.#context = context;
  }

  lock(): string {
    const { fromClause = [], whereClause, withClause } = this.#statement;
    const own = [...this.#places, ...this.#update.target.table.keyColumns];
    const values = this.#stored.map((column) => {
      const value = this.#assigned.get(column.name);
      return value === undefined || value === null
        ? columnNode(this.#table, column.name)
        : this.#cast(value, column);
    });
    const targets = [...own.map((name) => columnNode(this.#table, name)), ...values];
    const locked: Node = {
      RangeVar: { relname: this.#table, inh: true, relpersistence: 'p' },
    };
    const select: SelectStmt = {
      targetList: targets.map((val) => ({ ResTarget: { val } })),
      fromClause: [{ RangeVar: this.#relation }, ...fromClause],
      ...(whereClause === undefined ? {} : { whereClause }),
      ...(withClause === undefined ? {} : { withClause }),
      lockingClause: [
        {
          LockingClause: {
            lockedRels: [locked],
            strength: 'LCS_FORUPDATE',
            waitPolicy: 'LockWaitBlock',
          },
        },
      ],
      limitOption: 'LIMIT_OPTION_DEFAULT',
      op: 'SETOP_NONE',
    };
    return sourceText({ SelectStmt: select }, this.#context);
  }

  /** The rows that keep their shard. */
  stay(): FinalPiece[] {
    const targetList: Node[] = [...this.#assigned].map(([name, value]) => {
      const place = this.#stored.findIndex((column) => column.name === name);
      // A column that is not there, or generated: PostgreSQL says so of the statement itself.
      const val: Node = value === null || place < 0 ? { SetToDefault: {} } : this.#value(place);
      return { ResTarget: { name, val } };
    });
    const node: UpdateStmt = {
      relation: this.#relation,
      targetList,
      fromClause: [rowsItem],
      whereClause: this.#samePlace(),
      ...this.#returning(),
    };
    return overRows({ UpdateStmt: node }, this.#context);
  }

  leave(): FinalPiece[] {
    const node: Node = {
      DeleteStmt: {
        relation: this.#relation,
        usingClause: [rowsItem],
        whereClause: this.#samePlace(),
      },
    };
    return overRows(node, this.#context);
  }

  arrive(): FinalPiece[] {
    const targets = this.#stored.map((_, place): Node => ({
      ResTarget: { val: this.#value(place) },
    }));
    const always = this.#stored.some(({ identity }) => identity === 'a');
    const node: Node = {
      InsertStmt: {
        relation: this.#relation,
        cols: this.#stored.map(({ name }) => ({ ResTarget: { name } })),
        selectStmt: { SelectStmt: selectNode(targets) },
        override: always ? 'OVERRIDING_SYSTEM_VALUE' : 'OVERRIDING_NOT_SET',
        ...this.#returning(),
      },
    };
    return overRows(node, this.#context);
  }

  /** A star would mean the columns of the given rows too. */
  #returning(): Pick<UpdateStmt, 'returningClause'> {
    const { returningClause } = this.#statement;
    if (returningClause === undefined) return {};
    const star: Node = {
      ColumnRef: { fields: [{ String: { sval: this.#table } }, { A_Star: {} }] },
    };
    const exprs = (returningClause.exprs ?? []).map((node): Node => {
      const reference = 'ResTarget' in node ? columnRefOf(node.ResTarget.val) : null;
      const bare = reference?.fields?.length === 1 && stringOf(reference.fields[0]) === null;
      return bare ? { ResTarget: { val: star } } : node;
    });
    return { returningClause: { ...returningClause, exprs } };
  }

  #samePlace(): Node {
    const args = this.#places.map((name, i): Node => {
      return {
        A_Expr: {
          kind: 'AEXPR_OP',
          name: [{ String: { sval: '=' } }],
          lexpr: columnNode(this.#table, name),
          rexpr: columnNode(ROWS, this.#names[i]!),
        },
      };
    });
    return args.length === 1 ? args[0]! : { BoolExpr: { boolop: 'AND_EXPR', args } };
  }

  #value(place: number): Node {
    const { keyColumns } = this.#update.target.table;
    const name = this.#names[this.#places.length + keyColumns.length + place]!;
    return this.#cast(columnNode(ROWS, name), this.#stored[place]!);
  }

  /** To the column's type; its modifier is the column's own affair. */
  #cast(arg: Node, { name, type }: CatalogColumn): Node {
    const typeName = typeNode(type, this.#context.names.catalog);
    if (typeName !== null) return { TypeCast: { arg, typeName } };
    return refuse(
      `column "${name}" has a type that cannot be brought to another shard`,
      'Delete the row and insert it anew.',
    );
  }
}
