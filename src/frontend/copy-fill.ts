import { sqlError, SqlError } from '../errors/sql-error.js';
import { LineFills } from '../executor/copy/line-fills.js';
import type { NewIdSource } from '../executor/ids/ids.js';
import { assert } from '../util/assert.js';
import type { CopyFromPlan } from '../planner/plan.js';
import { CopyBatches, type CopyDataTarget } from './copy-batches.js';
import type { Session } from './session.js';

type Fill = NonNullable<CopyFromPlan['fill']>;

/** The values of one row, in the order of the columns. */
type Row = readonly string[];

/** Gives the rows of a COPY the values that its data leaves out. The session waits while values are fetched. */
export class CopyFill extends CopyBatches {
  private readonly fill: Fill;
  private readonly lines: LineFills;

  constructor(
    session: Session,
    fill: Fill,
    format: CopyFromPlan['format'],
    csvEndMarker: boolean,
    target: CopyDataTarget,
  ) {
    assert(format.kind !== 'binary', 'binary COPY data cannot be filled');
    super(session, target);
    this.fill = fill;
    this.lines = new LineFills(format, csvEndMarker);
  }

  protected work(data: Buffer, isLast: boolean): void {
    const { lines, target } = this;
    const ended = lines.scan(data, 0, data.length);
    const count = isLast && lines.endsInRow ? ended + 1 : ended;
    const take = (rows: readonly Row[]): void => {
      target.take(lines.fill(data, 0, data.length, rows.slice(0, ended)));
      if (count > ended) target.take(lines.lastFields(rows[ended]!));
      if (isLast) target.end();
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
