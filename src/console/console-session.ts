import { performance } from 'node:perf_hooks';
import { BackendError } from '../backend/backend-error.js';
import { sqlError, SqlError } from '../errors/sql-error.js';
import { ClientInput, type InputHandler } from '../frontend/client-input.js';
import type { ConsoleClient, Visitor } from '../frontend/console-door.js';
import { cancelError } from '../executor/gather-errors.js';
import type { SocketTransport, TransportHandler } from '../net/transport.js';
import {
  writeCommandComplete,
  writeError,
  writeNotice,
  writeParameterStatus,
  writeReadyForQuery,
} from '../protocol/backend-messages.js';
import { Backend, Frontend, TxStatus } from '../protocol/codes.js';
import { queryTextEnd } from '../protocol/frontend-messages.js';
import { Writer } from '../protocol/writer.js';
import { errorField, type Logger } from '../util/logger.js';
import { splitCommands, type CommandText } from './command-text.js';
import type { ConsoleRole, PreparedCommand } from './command.js';
import type { ConsoleContext } from './console-context.js';
import type { Row } from './column.js';
import type { Params } from './operand.js';
import { findCommand } from './registry.js';
import { writeDataRow, writeRowDescription } from './result-messages.js';
import { ConsoleStatements } from './console-statements.js';
import { serverParameters } from './server-parameters.js';

/**
 * One client on the console, after login. Off the hot path: every message is copied and handled by promises, one after
 * the other.
 *
 *   client bytes -> ClientInput -> onMessage -> handle: command text -> registry -> rows -> out -> one write
 */
export class ConsoleSession implements TransportHandler, InputHandler, ConsoleClient {
  readonly user: string;
  busy = false;
  over = false;
  readonly congested = false;
  readonly copyTarget = null;
  readonly out = new Writer(1024);
  private readonly context: ConsoleContext;
  private readonly role: ConsoleRole;
  private readonly applicationName: string;
  private readonly transport: SocketTransport;
  private readonly logger: Logger;
  private readonly onClosed: () => void;
  private readonly input: ClientInput;
  private readonly statements = new ConsoleStatements(this);
  /** After an error within a pipeline: everything up to Sync is left out. */
  private skipping = false;
  /** Breaks off what runs now; null: nothing does. */
  private interrupt: ((error: SqlError) => void) | null = null;

  constructor(context: ConsoleContext, visitor: Visitor) {
    this.context = context;
    this.user = visitor.user;
    this.role = visitor.role;
    this.applicationName = visitor.applicationName;
    this.transport = visitor.transport;
    this.logger = visitor.logger;
    this.onClosed = visitor.onClosed;
    this.input = new ClientInput(this, visitor.transport);
    visitor.transport.handler = this;
  }

  welcome(authenticationOk: Buffer, key: { readonly pid: number; readonly secret: Buffer }): void {
    const { out, context, user, applicationName } = this;
    out.bytes(authenticationOk);
    for (const [name, value] of serverParameters(context, user, applicationName)) {
      writeParameterStatus(out, name, value);
    }
    out.begin(Backend.backendKeyData).int32(key.pid).bytes(key.secret).end();
    writeReadyForQuery(out, TxStatus.idle);
    this.flush();
  }

  get messageBytesMax(): number {
    return this.context.proxy.config.limits.messageBytesMax;
  }

  // ---------------------------------------------------------------- connection

  onBytes(buffer: Buffer, start: number, end: number): void {
    if (!this.over) this.input.onBytes(buffer, start, end);
  }

  onDrain(): void {
    this.input.pump();
  }

  onClose(): void {
    this.close();
  }

  onInputEnd(): void {
    // Answers leave when the pump stops.
  }

  onPumped(): void {
    this.flush();
  }

  onOutOfSync(): void {
    this.hangUp();
  }

  onTooLarge(bytes: number): void {
    const message = `message of ${bytes} bytes exceeds limits.message_size`;
    this.fatal(sqlError('program_limit_exceeded', message, { severity: 'FATAL' }));
  }

  onCopyData(): void {
    // There is no COPY here.
  }

  /** A cancel request with this console's key, or of another one. */
  cancel(delivered?: () => void): void {
    this.interrupt?.(cancelError());
    delivered?.();
  }

  shutDown(): void {
    const message = 'terminating connection due to administrator command';
    this.fatal(sqlError('admin_shutdown', message, { severity: 'FATAL' }));
  }

  // ---------------------------------------------------------------- messages

  onMessage(type: number, buffer: Buffer, start: number, end: number): boolean {
    if (type === Frontend.terminate) {
      this.hangUp();
      return true;
    }
    this.busy = true;
    void this.handle(type, Buffer.from(buffer.subarray(start, end))).then(() => {
      this.busy = false;
      this.input.pump();
    });
    return true;
  }

  /** Never rejects. */
  private async handle(type: number, message: Buffer): Promise<void> {
    try {
      if (type === Frontend.query) await this.query(message);
      else if (type === Frontend.sync) this.sync();
      else if (!this.skipping) await this.extended(type, message);
    } catch (thrown) {
      if (this.over) return;
      const error = thrown instanceof BackendError ? thrown.toSqlError() : thrown;
      if (!(error instanceof SqlError)) {
        this.logger.error(errorField(error), 'a console command failed');
        this.fatal(sqlError('internal_error', 'internal error', { severity: 'FATAL' }));
        return;
      }
      writeError(this.out, error);
      if (type === Frontend.query) writeReadyForQuery(this.out, TxStatus.idle);
      else this.skipping = true;
    }
  }

  private async query(message: Buffer): Promise<void> {
    this.skipping = false;
    const { out } = this;
    const text = message.subarray(5, queryTextEnd(message, 0, message.length));
    const commands = splitCommands(text);
    if (commands.length === 0) out.begin(Backend.emptyQueryResponse).end();
    for (const command of commands) {
      const prepared = await this.prepare(command);
      if (prepared.paramCount > 0) {
        throw sqlError('undefined_parameter', 'there is no parameter $1');
      }
      const rows = await this.run(prepared, []);
      if (this.over) return;
      if (prepared.columns !== null) {
        writeRowDescription(out, prepared.columns, ALL_TEXT);
        for (const row of rows) writeDataRow(out, prepared.columns, row, ALL_TEXT);
      }
      writeCommandComplete(out, prepared.tag);
    }
    writeReadyForQuery(out, TxStatus.idle);
  }

  private sync(): void {
    this.skipping = false;
    this.statements.endPortals();
    writeReadyForQuery(this.out, TxStatus.idle);
  }

  private async extended(type: number, message: Buffer): Promise<void> {
    switch (type) {
      case Frontend.parse:
        return this.statements.parse(message);
      case Frontend.bind:
        return this.statements.bind(message);
      case Frontend.describe:
        return this.statements.describe(message);
      case Frontend.execute:
        return this.statements.execute(message);
      case Frontend.close:
        return this.statements.close(message);
      case Frontend.flush:
        return this.flush();
      case Frontend.copyData:
      case Frontend.copyDone:
      case Frontend.copyFail:
        return;
      case Frontend.functionCall:
        throw sqlError('feature_not_supported', 'functions cannot be called on the console');
      default: {
        const what = `invalid frontend message type ${type}`;
        this.fatal(sqlError('protocol_violation', what, { severity: 'FATAL' }));
      }
    }
  }

  /** Reads a command. Throws SqlError where it is wrong, or not for this user. */
  async prepare(text: CommandText): Promise<PreparedCommand> {
    return findCommand(text, this.role).prepare(text, this.context);
  }

  /** Runs a command; a cancel request makes it reject with 57014, whatever it waits for. */
  async run(command: PreparedCommand, params: Params): Promise<readonly Row[]> {
    const startedAt = performance.now();
    const stop = new AbortController();
    const interrupted = new Promise<never>((_resolve, reject) => {
      this.interrupt = (error) => {
        stop.abort(error);
        reject(error);
      };
    });
    const tell = (progress: string): void => {
      if (stop.signal.aborted) return;
      writeNotice(this.out, 'NOTICE', '00000', progress);
      this.flush();
    };
    try {
      return await Promise.race([interrupted, command.run(params, { tell, signal: stop.signal })]);
    } finally {
      this.interrupt = null;
      const ms = Math.round(performance.now() - startedAt);
      if (command.columns === null) this.logger.info({ command: command.tag, ms }, 'console');
    }
  }

  // ---------------------------------------------------------------- end

  private flush(): void {
    if (this.out.size === 0 || this.over) return;
    this.out.sent(this.transport.write(this.out.view()));
  }

  private fatal(error: SqlError): void {
    if (this.over) return;
    writeError(this.out, error);
    this.hangUp();
  }

  private hangUp(): void {
    this.flush();
    this.transport.end();
    this.close();
  }

  private close(): void {
    if (this.over) return;
    this.over = true;
    this.interrupt?.(cancelError());
    this.onClosed();
  }
}

const ALL_TEXT = (): boolean => false;
