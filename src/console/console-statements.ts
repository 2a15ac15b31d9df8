import { sqlError } from '../errors/sql-error.js';
import { TypeOid } from '../keyspace/type-oids.js';
import { writeCommandComplete } from '../protocol/backend-messages.js';
import { Backend } from '../protocol/codes.js';
import {
  BindLayout,
  readExecute,
  readParse,
  readTarget,
  resultFormats,
} from '../protocol/frontend-messages.js';
import type { Writer } from '../protocol/writer.js';
import type { Row } from './column.js';
import { splitCommands, type CommandText } from './command-text.js';
import { NO_ROWS, type PreparedCommand } from './command.js';
import type { Params } from './operand.js';
import { writeDataRow, writeRowDescription, type Formats } from './result-messages.js';

/** What the statements need of their session. */
export interface StatementHost {
  readonly out: Writer;
  prepare(text: CommandText): Promise<PreparedCommand>;
  run(command: PreparedCommand, params: Params): Promise<readonly Row[]>;
}

interface Statement {
  /** Null: an empty text. */
  readonly command: PreparedCommand | null;
  /** Type OIDs as the client has given them; text where it has not. */
  readonly paramTypes: readonly number[];
}

interface Portal {
  readonly command: PreparedCommand | null;
  readonly params: Params;
  readonly isBinary: Formats;
  /** Null: it has not run. */
  rows: readonly Row[] | null;
  sent: number;
}

/** Nobody prepares that many commands; a client that does has lost its way. */
const STATEMENTS_MAX = 1000;

/** Prepared commands and portals of one console (PostgreSQL 18, Frontend/Backend Protocol, 54.2.3). */
export class ConsoleStatements {
  private readonly host: StatementHost;
  private readonly statements = new Map<string, Statement>();
  private readonly portals = new Map<string, Portal>();
  private readonly layout = new BindLayout();

  constructor(host: StatementHost) {
    this.host = host;
  }

  async parse(message: Buffer): Promise<void> {
    const { name, textStart, textEnd, paramTypes } = readParse(message, 0, message.length);
    if (name !== '' && this.statements.has(name)) {
      const what = `prepared statement "${name}" already exists`;
      throw sqlError('duplicate_prepared_statement', what);
    }
    if (this.statements.size >= STATEMENTS_MAX) {
      const what = `more than ${STATEMENTS_MAX} prepared statements on one console`;
      throw sqlError('program_limit_exceeded', what);
    }
    const commands = splitCommands(message.subarray(textStart, textEnd));
    if (commands.length > 1) {
      const what = 'cannot insert multiple commands into a prepared statement';
      throw sqlError('syntax_error', what);
    }
    const command = commands[0] === undefined ? null : await this.host.prepare(commands[0]);
    const types = Array.from({ length: command?.paramCount ?? 0 }, (_, index) => {
      const given = paramTypes[index] ?? 0;
      return given === 0 ? TypeOid.text : given;
    });
    this.statements.set(name, { command, paramTypes: types });
    this.host.out.begin(Backend.parseComplete).end();
  }

  bind(message: Buffer): void {
    const { layout } = this;
    layout.read(message, 0, message.length);
    const name = message.toString('utf8', layout.portalStart, layout.portalEnd);
    const statement = message.toString('utf8', layout.statementStart, layout.statementEnd);
    const { command, paramTypes } = this.statement(statement);
    if (layout.valueCount !== paramTypes.length) {
      const what = `bind message supplies ${layout.valueCount} parameters, but prepared statement "${statement}" requires ${paramTypes.length}`;
      throw sqlError('protocol_violation', what);
    }
    if (name !== '' && this.portals.has(name)) {
      throw sqlError('duplicate_cursor', `cursor "${name}" already exists`);
    }
    const params = paramTypes.map((type, index) => this.param(message, index, type));
    const isBinary = resultFormats(message.subarray(layout.restStart));
    this.portals.set(name, { command, params, isBinary, rows: null, sent: 0 });
    this.host.out.begin(Backend.bindComplete).end();
  }

  private param(message: Buffer, index: number, type: number): string | null {
    const start = this.layout.valueStart[index]!;
    if (start < 0) return null;
    const bytes = message.subarray(start, this.layout.valueEnd[index]);
    if (!this.layout.isBinary(message, index)) return bytes.toString('utf8');
    switch (type) {
      case TypeOid.text:
      case TypeOid.varchar:
      case TypeOid.name:
        return bytes.toString('utf8');
      case TypeOid.int2:
      case TypeOid.int4:
      case TypeOid.int8:
        if (bytes.length === 8) return bytes.readBigInt64BE().toString();
        if (bytes.length === 4) return String(bytes.readInt32BE());
        if (bytes.length === 2) return String(bytes.readInt16BE());
        throw sqlError('invalid_binary_representation', 'incorrect binary data format');
      default:
        throw sqlError('feature_not_supported', 'parameters of this type must come as text');
    }
  }

  describe(message: Buffer): void {
    const { out } = this.host;
    const { kind, name } = readTarget(message, 0, message.length);
    if (kind === 'portal') {
      const { command, isBinary } = this.portal(name);
      this.describeRows(command, isBinary);
      return;
    }
    const { command, paramTypes } = this.statement(name);
    out.begin(Backend.parameterDescription).int16(paramTypes.length);
    for (const type of paramTypes) out.int32(type);
    out.end();
    this.describeRows(command, () => false);
  }

  private describeRows(command: PreparedCommand | null, isBinary: Formats): void {
    const columns = command?.columns ?? null;
    if (columns === null) this.host.out.begin(Backend.noData).end();
    else writeRowDescription(this.host.out, columns, isBinary);
  }

  async execute(message: Buffer): Promise<void> {
    const { out } = this.host;
    const { portal: name, rowsMax } = readExecute(message, 0, message.length);
    const portal = this.portal(name);
    const { command } = portal;
    if (command === null) {
      out.begin(Backend.emptyQueryResponse).end();
      return;
    }
    portal.rows ??= await this.host.run(command, portal.params);
    const to = rowsMax === 0 ? portal.rows.length : portal.sent + rowsMax;
    for (const row of portal.rows.slice(portal.sent, to)) {
      writeDataRow(out, command.columns ?? [], row, portal.isBinary);
    }
    if (to < portal.rows.length) {
      portal.sent = to;
      out.begin(Backend.portalSuspended).end();
      return;
    }
    portal.sent = portal.rows.length;
    portal.rows = NO_ROWS;
    writeCommandComplete(out, command.tag);
  }

  close(message: Buffer): void {
    const { kind, name } = readTarget(message, 0, message.length);
    if (kind === 'portal') this.portals.delete(name);
    else this.statements.delete(name);
    this.host.out.begin(Backend.closeComplete).end();
  }

  /** There are no transactions here, so portals live to the next Sync. */
  endPortals(): void {
    this.portals.clear();
  }

  /** Throws SqlError 26000. */
  private statement(name: string): Statement {
    const statement = this.statements.get(name);
    if (statement !== undefined) return statement;
    const what =
      name === ''
        ? 'unnamed prepared statement does not exist'
        : `prepared statement "${name}" does not exist`;
    throw sqlError('invalid_sql_statement_name', what);
  }

  /** Throws SqlError 34000. */
  private portal(name: string): Portal {
    const portal = this.portals.get(name);
    if (portal !== undefined) return portal;
    throw sqlError('invalid_cursor_name', `portal "${name}" does not exist`);
  }
}
