import type { BackendConnection } from '../backend/postgres/connection.js';
import { CopyWriter } from '../executor/copy/copy-writer.js';
import { readRowDescription } from '../executor/described-columns.js';
import { RowCapture } from '../executor/row-capture.js';
import type { Shard } from '../keyspace/topology.js';
import { RouteKind } from '../metrics/metrics.js';
import type { CopyOutFormat, SourceQuery } from '../planner/plan.js';
import { withoutPosition } from '../protocol/error-position.js';
import { Writer } from '../protocol/writer.js';
import type { OperationHost, Outcome } from '../transaction/operation.js';
import type { Session } from './session.js';
import { withoutPlace, type ChooseRun } from './source-reader.js';
import { withSourceText } from './source-values.js';
import type { RunRequest, StatementRun } from './statement-run.js';

/** Binds without values, from behind the statement's name: results in text, and in binary. */
const TEXT_RESULTS = Buffer.from([0, 0, 0, 0, 0, 0]);
const BINARY_RESULTS = Buffer.from([0, 0, 0, 0, 0, 1, 0, 1]);

/** COPY of a query TO STDOUT: any run of the query, whose rows leave as copy data as they come. */
export class CopyOutRun implements StatementRun {
  readonly route = RouteKind.copy;
  readonly needsTypes = false;
  private readonly session: Session;
  private readonly source: SourceQuery;
  private readonly host: CopyOutHost;
  private run: StatementRun;

  /** Throws SqlError as the query's own run does. */
  constructor(
    session: Session,
    request: RunRequest,
    { source, format }: { readonly source: SourceQuery; readonly format: CopyOutFormat },
    choose: ChooseRun,
  ) {
    this.session = session;
    this.source = source;
    this.host = new CopyOutHost(request.host ?? session, format);
    const { sql, literals, plan } = source;
    const text = Buffer.from(sql.buffer, sql.byteOffset, sql.length);
    const bind = format.kind === 'binary' ? BINARY_RESULTS : TEXT_RESULTS;
    const own = { plan, text, from: 0, to: text.length, literals, bind, host: this.host };
    this.run = withSourceText(session, source, () =>
      choose(session, { ...own, describe: true, endsWithSync: false }),
    );
  }

  get shards(): readonly Shard[] {
    return this.run.shards;
  }

  get writers(): readonly Shard[] {
    return this.run.writers ?? this.run.shards;
  }

  prepare(
    backends: readonly BackendConnection[],
    paramTypes: readonly number[],
    onFailed: (error: Buffer) => void,
  ): 'ready' | 'wait' | StatementRun {
    const prepared = this.run.prepare(backends, paramTypes, (error) => {
      onFailed(withoutPosition(error, 0, error.length));
    });
    if (typeof prepared === 'string') return prepared;
    this.run = prepared;
    return this;
  }

  start(
    backends: readonly BackendConnection[],
    paramTypes: readonly number[],
    onDone: (outcome: Outcome) => void,
  ): void {
    if (this.source.plan.writes)
      for (const backend of backends) this.session.work.writers.add(backend);
    this.run.start(backends, paramTypes, (outcome) => {
      onDone(outcome.ok ? { ok: true, tag: `COPY ${this.host.finish()}` } : withoutPlace(outcome));
    });
  }
}

/** Stands between a query's run and the client: rows come in, copy data goes out. */
class CopyOutHost implements OperationHost {
  private readonly client: OperationHost;
  private readonly capture: RowCapture;
  private readonly out = new Writer();
  private writer: CopyWriter | null = null;

  constructor(client: OperationHost, format: CopyOutFormat) {
    this.client = client;
    const notices: OperationHost = {
      passToClient: (backend, buffer, start, end) => {
        this.flush(null);
        return client.passToClient(backend, buffer, start, end);
      },
      clientStreamBroken: () => {
        this.clientStreamBroken();
      },
    };
    this.capture = new RowCapture(
      notices,
      (_backend, buffer, start, end) => {
        this.writer!.row(this.out, buffer, start, end);
      },
      (_backend, buffer, start, end) => {
        if (this.writer !== null) return;
        const columns = readRowDescription(buffer, start, end).map(({ name }) => name);
        this.writer = new CopyWriter(format, columns);
        this.writer.begin(this.out);
      },
    );
  }

  passToClient(
    backend: BackendConnection | null,
    buffer: Buffer,
    start: number,
    end: number,
  ): boolean {
    this.capture.passToClient(backend, buffer, start, end);
    return this.flush(backend);
  }

  clientStreamBroken(): void {
    // The client has got whole messages only.
  }

  /** Writes what comes behind the last row; tells how many there were. */
  finish(): number {
    this.writer!.end(this.out);
    this.flush(null);
    return this.writer!.rowCount;
  }

  private flush(backend: BackendConnection | null): boolean {
    const { out } = this;
    if (out.size === 0) return true;
    const taken = this.client.passToClient(backend, out.view(), 0, out.size);
    out.sent(taken);
    return taken;
  }
}
