import type { BackendConnection } from '../backend/postgres/connection.js';
import { sqlError, type SqlError } from '../errors/sql-error.js';
import {
  arrayParameters,
  TEXT_ARRAY,
  travellingColumn,
  type ArrayColumn,
} from '../executor/array-parameter.js';
import { BindParts, NO_VALUES } from '../executor/bind-parts.js';
import type { DescribedText } from '../executor/describe-texts.js';
import type { ResultColumn } from '../executor/described-columns.js';
import { unnestRelation } from '../executor/gather-final.js';
import { GatheredSize } from '../executor/gather-limits.js';
import type { TakeRow } from '../executor/row-capture.js';
import type { Catalog } from '../keyspace/catalog.js';
import type { Shard } from '../keyspace/topology.js';
import { stringsOf } from '../planner/ast.js';
import type { SpreadInput } from '../planner/plan.js';
import { typeNode } from '../planner/type-names.js';
import { Writer } from '../protocol/writer.js';
import type { Outcome } from '../transaction/operation.js';
import { assert } from '../util/assert.js';
import { refuseTextSettings } from './text-settings.js';
import type { Session } from './session.js';
import { SourceReader, type ChooseRun } from './source-reader.js';
import type { BoundValues } from './statement-run.js';

/** How the columns of each input travel. */
export type InputColumns = readonly (readonly ArrayColumn[])[];

/** The rows of one input, as DataRow messages back to back. */
interface InputRows {
  readonly messages: Writer;
  count: number;
}

const INITIAL_BYTES = 1024;

/** The backends of these shards. */
export type BackendsOf = (shards: readonly Shard[]) => readonly BackendConnection[];

/** Finds backends by their shards; `backends` were leased for `leased`, in that order. */
export function leasedFor(
  leased: readonly Shard[],
  backends: readonly BackendConnection[],
): BackendsOf {
  const find = (shard: Shard): BackendConnection => {
    const backend = backends[leased.indexOf(shard)];
    assert(backend?.shard.name === shard.name, 'each shard has the backend that was leased for it');
    return backend;
  };
  return (shards) => shards.map(find);
}

/**
 * Inputs of one execution, which are read one after the other, kept within the limits of gathers, and
 * given to other statements as array parameters.
 */
export class SourceInputs {
  private readonly columns: InputColumns;
  private readonly sources: readonly SourceReader[];
  private readonly rows: readonly InputRows[];
  private readonly size: GatheredSize;

  /** Throws SqlError as the runs of the inputs do, and where settings of the session change texts. */
  constructor(
    session: Session,
    { values, bind }: BoundValues,
    inputs: readonly SpreadInput[],
    columns: InputColumns,
    choose: ChooseRun,
  ) {
    this.size = new GatheredSize(session.context.config.limits);
    this.columns = columns;
    if (columns.flat().some(isText)) refuseTextSettings(session);
    this.rows = inputs.map(() => ({ messages: new Writer(INITIAL_BYTES), count: 0 }));
    const parts = new BindParts(bind ?? NO_VALUES);
    this.sources = inputs.map(({ source }, input) => {
      const formats = columns[input]!.map((column) => (isText(column) ? 0 : 1));
      const take: TakeRow = (_backend, buffer, start, end) => {
        this.keep(input, buffer, start, end);
      };
      const given = { values, bind: parts.withFormats(formats) };
      return new SourceReader(session, source, given, choose, take);
    });
  }

  /** Of each input; others may come after `prepare`. */
  get shards(): readonly (readonly Shard[])[] {
    return this.sources.map((source) => source.shards);
  }

  /** 'moved': some input has other shards now, which must be leased first. */
  prepare(
    backendsOf: BackendsOf,
    paramTypes: readonly number[],
    onFailed: (error: Buffer) => void,
  ): 'ready' | 'wait' | 'moved' {
    for (const source of this.sources) {
      const prepared = source.prepare(backendsOf(source.shards), paramTypes, onFailed);
      if (prepared !== 'ready') return prepared;
    }
    return 'ready';
  }

  /** Reads them all. `onDone` gets the first error; null: all rows are there. */
  read(
    backendsOf: BackendsOf,
    paramTypes: readonly number[],
    onDone: (failed: Outcome | null) => void,
  ): void {
    const next = (input: number): void => {
      const source = this.sources[input];
      if (source === undefined) {
        onDone(null);
        return;
      }
      source.start(backendsOf(source.shards), paramTypes, (outcome) => {
        if (outcome.ok) next(input + 1);
        else onDone(outcome);
      });
    };
    next(0);
  }

  /** The arrays of all inputs, whose rows are all there. */
  values(): Buffer[] {
    return this.rows.flatMap(({ messages, count }, input) =>
      arrayParameters([messages.view()], count, this.columns[input]!),
    );
  }

  private keep(input: number, buffer: Buffer, start: number, end: number): void {
    const rows = this.rows[input]!;
    rows.messages.bytes(buffer, start, end);
    rows.count++;
    const error = this.size.add(end - start, 1);
    if (error !== null) throw error;
  }
}

/** What statements call the columns of an input, and their collations. */
export type InputNames = Pick<SpreadInput, 'columns' | 'collations'>;

/** What statements over inputs say in their places, and what else they are bound to. */
export interface InputRelations {
  /** Sub-selects in parentheses. */
  readonly relations: readonly string[];
  /** Type OIDs of the client's parameters, and of the arrays behind them. */
  readonly types: readonly number[];
}

/** `paramTypes`: of the client's parameters. */
export function inputRelations(
  inputs: readonly InputNames[],
  columns: InputColumns,
  paramTypes: readonly number[],
): InputRelations {
  const types = [...paramTypes];
  const relations = inputs.map(({ columns: names, collations }, input) => {
    const arrays = columns[input]!;
    const relation = unnestRelation(names, arrays, types.length + 1, collations);
    types.push(...arrays.map(({ arrayOid }) => arrayOid));
    return relation;
  });
  return { relations, types };
}

/**
 * How columns travel: as an array of their type, or as texts that are cast where they arrive; an
 * error where they cannot.
 */
export function inputColumns(
  described: readonly DescribedText[],
  catalog: Catalog,
): InputColumns | SqlError {
  const learnt: ArrayColumn[][] = [];
  for (const { columns } of described) {
    const travels: ArrayColumn[] = [];
    for (const column of columns) {
      const array = travellingColumn(column, catalog.textOnlyTypes);
      const cast = castTo(column, catalog);
      if (array === null && cast === null) return typeError(column);
      travels.push(array ?? { ...TEXT_ARRAY, cast });
    }
    learnt.push(travels);
  }
  return learnt;
}

/** The type as SQL writes it; in quotes, since `char` is another type than "char". */
function castTo({ type }: ResultColumn, catalog: Catalog): string | null {
  const node = typeNode(type, catalog);
  return node === null
    ? null
    : stringsOf(node.names)
        .map((name) => `"${name.replaceAll('"', '""')}"`)
        .join('.');
}

function typeError({ name }: ResultColumn): SqlError {
  return sqlError(
    'feature_not_supported',
    `column "${name}" has a type that cannot be brought to other shards`,
    { hint: 'Cast it to text, or leave it out.' },
  );
}

/** Its values come from the source in their text form. */
export function isText(column: ArrayColumn): boolean {
  return column.elementOid === TEXT_ARRAY.elementOid && column.cast !== null;
}
