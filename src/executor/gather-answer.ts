import type { BackendConnection } from '../backend/postgres/connection.js';
import type { OperationHost } from '../transaction/operation.js';
import type { DescribedText } from './describe-texts.js';

/** What the client gets of a gather: bytes of the home, with the RowDescription in front. */
export class GatherAnswer {
  private readonly host: OperationHost;
  private readonly home: BackendConnection;
  /** Null: the client is owed none. */
  private description: Buffer | null;
  /** Bytes still to come of a row that the client has the beginning of. */
  private rowRemaining = 0;

  constructor(
    host: OperationHost,
    home: BackendConnection,
    result: DescribedText,
    describe: boolean,
  ) {
    this.host = host;
    this.home = home;
    this.description = describe ? result.message : null;
  }

  /** The client has the beginning of a row whose end has not come. */
  get isInsideRow(): boolean {
    return this.rowRemaining > 0;
  }

  /** Tells the columns, where that is owed and has not been done. */
  describe(): void {
    const { description } = this;
    if (description === null) return;
    this.description = null;
    this.pass(description, 0, description.length);
  }

  /** A piece of the home's rows. */
  rows(buffer: Buffer, start: number, end: number): void {
    this.rowRemaining = this.home.dataBytesRemaining - (end - start);
    this.pass(buffer, start, end);
  }

  /** Something that may stand between rows only; inside one it is left out. */
  message(buffer: Buffer, start: number, end: number): void {
    if (this.isInsideRow) return;
    this.pass(Buffer.from(buffer.subarray(start, end)), 0, end - start);
  }

  private pass(buffer: Buffer, start: number, end: number): void {
    const { home } = this;
    if (!this.host.passToClient(home, buffer, start, end)) home.pauseReading();
  }
}
