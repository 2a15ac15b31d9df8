import type { BackendConnection } from '../backend/postgres/connection.js';
import { SqlError } from '../errors/sql-error.js';
import { fillText } from '../executor/fill-text.js';
import type { Shard } from '../keyspace/topology.js';
import { RouteKind } from '../metrics/metrics.js';
import type { AddedColumns } from '../planner/plan.js';
import { errorBytes } from '../protocol/error-bytes.js';
import { withoutPosition } from '../protocol/error-position.js';
import { quoteIdentifier, quoteLiteral } from '../sql/quote.js';
import type { Outcome } from '../transaction/operation.js';
import { askBackend } from './ask-backend.js';
import { runInPipeline } from './fan-out-run.js';
import { copiedColumns } from './copied-columns.js';
import type { Session } from './session.js';
import { lossOf } from './source-reader.js';
import { toldError, type RunRequest, type StatementRun } from './statement-run.js';

/** What a statement without rows runs, and where. */
interface Step {
  readonly sql: string;
  readonly backends: readonly BackendConnection[];
}

/** What a shard has made of a column: how many rows it has, its sequence's step, and its type as SQL. */
type Made = readonly [count: bigint, step: bigint, type: string];

/**
 * ADD COLUMN whose values are to be as one server makes them. Every shard runs the statement, with the time filled
 * in that its transaction is to tell; the lock that it takes stays until the end. A column that counts up has begun
 * anew on each shard: its values are moved behind those of the shards in front, and its sequences go on behind all:
 *
 *     shard 0: 1 2 3    shard 1: 1 2 + 3    shard 2: 1 2 3 4 + 5    every sequence: 9
 *
 * Copies of a reference table get the values of one of them.
 */
export class AddColumnsRun implements StatementRun {
  readonly shards: readonly Shard[];
  readonly route = RouteKind.broadcast;
  readonly needsTypes = false;
  private readonly session: Session;
  private readonly request: RunRequest;
  private readonly added: AddedColumns;
  /** The client's, with times filled in; null: they are not known yet. */
  private sql: string | null = null;

  constructor(
    session: Session,
    request: RunRequest,
    added: AddedColumns,
    shards: readonly Shard[],
  ) {
    this.session = session;
    this.request = request;
    this.added = added;
    this.shards = [...shards];
  }

  prepare(): 'ready' | 'wait' {
    const { text, from, to, values: source } = this.request;
    const { time } = this.added;
    if (time === null) this.sql = text.toString('utf8', from, to);
    else {
      const values = this.session.planning.ids.valuesFor(time);
      if (values === null) return 'wait';
      const sqlOf = (_slot: unknown, index: number): string => quoteLiteral(values[index]!);
      this.sql = fillText(time, text, from, to, source.literals, sqlOf).text.toString();
    }
    return 'ready';
  }

  start(
    backends: readonly BackendConnection[],
    _paramTypes: readonly number[],
    onDone: (outcome: Outcome) => void,
  ): void {
    const { added, request, sql } = this;
    const told = (error: Buffer): Buffer =>
      added.time === null ? toldError(request, error) : withoutPosition(error, 0, error.length);
    const finish = (outcome: Outcome): void => {
      if (!outcome.ok) onDone(outcome);
      else if (added.copied.length > 0) this.goOn(this.copySteps(backends), outcome, onDone);
      else if (added.counted.length > 0) this.goOn(this.shiftSteps(backends), outcome, onDone);
      else onDone(outcome);
    };
    const options = { firstLeads: true };
    const steps = added.defaults.map((text): Step => ({ sql: text, backends }));
    runInPipeline(
      this.session,
      sql!,
      backends,
      (outcome) => {
        if (outcome.ok) this.runSteps(steps, outcome, finish);
        else onDone({ ok: false, error: told(outcome.error) });
      },
      options,
    );
  }

  /** One after the other; then `outcome`. */
  private runSteps(
    steps: readonly Step[],
    outcome: Outcome,
    onDone: (outcome: Outcome) => void,
  ): void {
    const [step, ...more] = steps;
    const loss = step === undefined ? null : lossOf(step.backends);
    if (step === undefined || loss !== null) {
      onDone(loss ?? outcome);
      return;
    }
    runInPipeline(this.session, step.sql, step.backends, (done) => {
      if (done.ok) this.runSteps(more, outcome, onDone);
      else onDone({ ok: false, error: withoutPosition(done.error, 0, done.error.length) });
    });
  }

  /** Runs the steps that the backends have been asked for; then `outcome`. */
  private goOn(
    steps: Promise<readonly Step[]>,
    outcome: Outcome,
    onDone: (outcome: Outcome) => void,
  ): void {
    steps.then(
      (found) => {
        if (!this.session.over) this.runSteps(found, outcome, onDone);
      },
      (error: unknown) => {
        if (!(error instanceof SqlError)) throw error;
        onDone({ ok: false, error: errorBytes(error) });
      },
    );
  }

  private async copySteps(backends: readonly BackendConnection[]): Promise<Step[]> {
    const { table, copied, counted, source } = this.added;
    const copies = backends.find(({ shard }) => shard === source)!;
    const { sql, rows } = await copiedColumns(this.session, copies, table, copied);
    if (sql === null) return [];
    return [sql, ...counted.map((column) => setAllSql(table, column, rows))].map((text): Step => ({
      sql: text,
      backends,
    }));
  }

  /** By backend, then by column. */
  private async countedBy(backends: readonly BackendConnection[]): Promise<Made[][]> {
    const { table, counted } = this.added;
    const made: Made[][] = [];
    const texts = counted.map(
      (column) =>
        `SELECT (SELECT count(*) FROM ${table}), s.seqincrement, pg_catalog.format_type(s.seqtypid, NULL)` +
        ` FROM pg_catalog.pg_sequence AS s WHERE s.seqrelid = ${sequenceOf(table, column)}`,
    );
    for (const backend of backends) {
      const results = await askBackend(this.session, backend, texts);
      made.push(
        results.map((rows): Made => {
          const [count, step, type] = rows[0]!;
          return [BigInt(count!), BigInt(step!), type!];
        }),
      );
    }
    return made;
  }

  private async shiftSteps(backends: readonly BackendConnection[]): Promise<Step[]> {
    const { table, counted } = this.added;
    const made = await this.countedBy(backends);
    const steps: Step[] = [];
    counted.forEach((column, at) => {
      const name = quoteIdentifier(column);
      let before = 0n;
      backends.forEach((backend, place) => {
        const [count, step, type] = made[place]![at]!;
        if (count > 0n && before > 0n) {
          const using = `${name} + (${before * step})`;
          const sql = `ALTER TABLE ${table} ALTER COLUMN ${name} TYPE ${type} USING ${using}`;
          steps.push({ sql, backends: [backend] });
        }
        before += count;
      });
      if (before > 0n) steps.push({ sql: setAllSql(table, column, before), backends });
    });
    return steps;
  }
}

function sequenceOf(table: string, column: string): string {
  const names = `${quoteLiteral(table)}, ${quoteLiteral(column)}`;
  return `pg_catalog.pg_get_serial_sequence(${names})::pg_catalog.regclass`;
}

/** So many values have been taken of the column's sequence. */
function setAllSql(table: string, column: string, count: bigint): string {
  const body =
    `BEGIN PERFORM pg_catalog.setval(s.seqrelid, s.seqstart + ${count - 1n} * s.seqincrement)` +
    ` FROM pg_catalog.pg_sequence AS s WHERE s.seqrelid = ${sequenceOf(table, column)}; END`;
  return `DO LANGUAGE plpgsql ${quoteLiteral(body)}`;
}
