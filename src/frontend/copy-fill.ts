import { sqlError, SqlError } from '../errors/sql-error.js';
import { BinaryFills } from '../executor/copy/binary-fills.js';
import { LineFills } from '../executor/copy/line-fills.js';
import type { RowFills } from '../executor/copy/row-fills.js';
import type { NewIdSource } from '../executor/ids/ids.js';
import { assert } from '../util/assert.js';
import { binaryWriter, type ToBinary } from '../vindex/values/binary-ids.js';
import type { CopyFromPlan } from '../planner/plan.js';
import { CopyBatches, type CopyDataTarget } from './copy-batches.js';
import type { Session } from './session.js';

type Fill = NonNullable<CopyFromPlan['fill']>;

/** The planner lets binary data be filled only where all columns have a type that can be written. */
function toBinary({ name, type }: Fill['columns'][number]): ToBinary {
  const write = binaryWriter(type);
  assert(write !== undefined, `column "${name}" cannot be filled in binary`);
  return write;
}

/** The values of one row, in the order of the columns. */
type Row = readonly string[];

/** Gives the rows of a COPY the values that its data leaves out. The session waits while values are fetched. */
export class CopyFill extends CopyBatches {
  private readonly fill: Fill;
  private readonly fills: RowFills;

  constructor(
    session: Session,
    fill: Fill,
    { format, columnCount }: CopyFromPlan,
    csvEndMarker: boolean,
    target: CopyDataTarget,
  ) {
    super(session, target);
    this.fill = fill;
    this.fills =
      format.kind === 'binary'
        ? new BinaryFills(columnCount - fill.columns.length, fill.columns.map(toBinary))
        : new LineFills(format, csvEndMarker);
  }

  protected work(data: Buffer, isLast: boolean): void {
    const { fills, target } = this;
    const ended = fills.scan(data, 0, data.length);
    const count = isLast && fills.endsInRow ? ended + 1 : ended;
    const take = (rows: readonly Row[]): void => {
      target.take(fills.fill(data, 0, data.length, rows.slice(0, ended)));
      if (count > ended) target.take(fills.lastFields(rows[ended]!));
      if (this.isOver) return;
      if (fills.fault !== null) target.take(fills.fault);
      else if (isLast) target.end();
    };
    const rows = this.rowsAtOnce(count);
    if (rows === null) this.later(count, isLast, take);
    else take(rows);
  }

  private rowsAtOnce(count: number): readonly Row[] | null {
    if (count === 0) return [];
    const { ids } = this.session.context;
    const columns: (readonly string[])[] = [];
    for (const source of this.sources) {
      const values = ids.take(source, count);
      if (values === null) return null;
      columns.push(values);
    }
    return this.rowsOf(columns, count);
  }

  private later(count: number, isLast: boolean, take: (rows: readonly Row[]) => void): void {
    const { session, target } = this;
    session.busy = true;
    const { ids } = session.context;
    const fetchAll = async (): Promise<readonly Row[]> => {
      const columns: (readonly string[])[] = [];
      for (const source of this.sources) columns.push(await ids.fetch(source, count));
      return this.rowsOf(columns, count);
    };
    const goOn = (rows: readonly Row[]): void => {
      if (this.isOver) return;
      take(rows);
      this.goOn(isLast);
    };
    const fail = (error: unknown): void => {
      if (this.isOver) return;
      target.take(
        error instanceof SqlError ? error : sqlError('internal_error', 'no ids: ' + String(error)),
      );
    };
    void fetchAll().then(goOn, fail);
  }

  private rowsOf(columns: readonly (readonly string[])[], count: number): readonly Row[] {
    const { sequences } = this.session.planning.ids;
    this.sources.forEach((source, column) => {
      if (source.kind === 'sequence') sequences.note(source.name, columns[column]!.at(-1)!);
    });
    return Array.from({ length: count }, (_, row) => columns.map((values) => values[row]!));
  }

  private get sources(): readonly NewIdSource[] {
    return this.fill.columns.map(({ source }) => source as NewIdSource);
  }
}

/**
 * A sequence that the transaction has made or altered is known to its own backend alone, which takes copy data then.
 * Throws SqlError 0A000.
 */
export function refuseOwnSequence({ catalogStale, work }: Session, { columns }: Fill): void {
  const own = columns.find(
    ({ source }) => source.kind === 'sequence' && work.participant(source.shard) !== null,
  );
  if (!catalogStale || own === undefined) return;
  throw sqlError(
    'feature_not_supported',
    `COPY without values for column "${own.name}" in a transaction that has changed the schema is not supported`,
    { hint: 'COMMIT first, or give values in the data.' },
  );
}
