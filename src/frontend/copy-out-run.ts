import type { BackendConnection } from '../backend/postgres/connection.js';
import { CopyWriter } from '../executor/copy/copy-writer.js';
import { readRowDescription } from '../executor/described-columns.js';
import { RowCapture } from '../executor/row-capture.js';
import type { Shard } from '../keyspace/topology.js';
import { RouteKind } from '../metrics/metrics.js';
import type { CopyOutFormat, SourceQuery } from '../planner/plan.js';
import { Writer } from '../protocol/writer.js';
import type { OperationHost, Outcome } from '../transaction/operation.js';
import type { Session } from './session.js';
import {
  noteWriters,
  prepareSource,
  sourceRun,
  withoutPlace,
  type ChooseRun,
} from './source-reader.js';
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
    const bind = format.kind === 'binary' ? BINARY_RESULTS : TEXT_RESULTS;
    this.run = sourceRun(session, source, { values: request.values, bind }, this.host, choose);
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
    const prepared = prepareSource(this.run, backends, paramTypes, onFailed);
    if (typeof prepared === 'string') return prepared;
    this.run = prepared;
    return this;
  }

  start(
    backends: readonly BackendConnection[],
    paramTypes: readonly number[],
    onDone: (outcome: Outcome) => void,
  ): void {
    noteWriters(this.session, this.source, backends);
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
