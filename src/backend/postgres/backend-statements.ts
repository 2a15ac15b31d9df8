import { ready } from '../../protocol/backend-messages.js';
import { Backend, Frontend } from '../../protocol/codes.js';
import { mayHoldOids, wantsBinary } from '../oids/row-values.js';
import type { BackendConnection } from './connection.js';
import { CAPTURE, DROP, Expect, PASS, type ReplyAction } from './expected-replies.js';
import { writeParse, type PreparedText } from './prepared-text.js';

/** What one backend has prepared: texts under their shared names, and the unnamed statement. */
export class BackendStatements {
  /** What the unnamed statement holds. */
  unnamed: PreparedText | null = null;
  /** How many answers to Parse and Close messages of the client the last error has taken away, its own included. */
  skippedAnswers = 0;
  private readonly backend: BackendConnection;
  private readonly max: number;
  /** Least recently used first. */
  private readonly named = new Set<PreparedText>();
  /** Texts of the Parse messages that are not answered yet, in order; and whether under their shared name. */
  private readonly parsing: PreparedText[] = [];
  private readonly parsingNamed: boolean[] = [];
  /** Texts that a client waits for the description of, in order. */
  private readonly describing: PreparedText[] = [];
  private parameterTypes: Buffer | null = null;
  /** Texts that Close messages of our own are on their way for, in order. */
  private readonly closing: PreparedText[] = [];

  constructor(backend: BackendConnection, max: number) {
    this.backend = backend;
    this.max = max;
  }

  /** How many it has prepared. */
  get count(): number {
    return this.named.size;
  }

  knows(text: PreparedText): boolean {
    return this.named.has(text);
  }

  /** The server has it, whatever becomes of what is on its way. */
  isSafe(text: PreparedText): boolean {
    return this.parsing.length === 0 && this.named.has(text);
  }

  /** Marks as recently used, so that it is closed last. */
  touch(text: PreparedText): void {
    if (this.named.size < this.max / 2) return;
    this.named.delete(text);
    this.named.add(text);
  }

  /** Parses the text under its shared name, closing the least recently used one where there are too many. */
  parse(text: PreparedText, action: ReplyAction): void {
    const { backend } = this;
    if (this.named.size >= this.max) {
      const oldest = this.named.values().next().value!;
      this.named.delete(oldest);
      this.closing.push(oldest);
      backend.out.begin(Frontend.close).byte(0x53).bytes(oldest.name).byte(0).end();
      backend.expect(Expect.close, DROP);
    }
    this.named.add(text);
    this.parsing.push(text);
    this.parsingNamed.push(true);
    writeParse(backend.out, text.name, text, backend.owner.oids);
    backend.expect(Expect.parse, action);
  }

  parseUnnamed(text: PreparedText, action: ReplyAction): void {
    const { backend } = this;
    this.unnamed = text;
    this.parsing.push(text);
    this.parsingNamed.push(false);
    writeParse(backend.out, NO_NAME, text, backend.owner.oids);
    backend.expect(Expect.parse, action);
  }

  /**
   * Binds the unnamed statement to the unnamed portal; our own business.
   * @param rest the client's values, and formats
   * @param action CAPTURE: what functions say while they are computed beforehand is told
   */
  private bindUnnamed(rest: Buffer, action: ReplyAction): void {
    const { backend } = this;
    backend.out.begin(Frontend.bind).byte(0).byte(0).bytes(rest).end();
    backend.expect(Expect.bind, action);
    if (wantsBinary(rest)) this.describeBound(NO_NAME);
  }

  /**
   * A portal whose rows may come in binary has been bound: where OIDs in its values differ from the catalog shard's,
   * the server must say which columns have such.
   */
  describeBound(portal: Buffer): void {
    const { backend } = this;
    if (backend.owner.oids === null) return;
    backend.out.begin(Frontend.describe).byte(0x50).bytes(portal).byte(0).end();
    backend.expect(Expect.describe, DROP);
  }

  /** A client's statement has been bound, to the portal that `[start, end)` names. */
  bound(text: PreparedText, buffer: Buffer, start: number, end: number): void {
    if (text.described?.holdsOids === true) this.describeBound(buffer.subarray(start, end));
  }

  /**
   * Parses, binds and executes under no name. Rows and tag are captured, with the description of the rows where
   * `describe` asks for it. Neither Sync nor Flush is sent.
   * @param rest as for `bindUnnamed`
   * @param rowsMax 0: all
   * @param bindAction as for `bindUnnamed`
   */
  runUnnamed(
    text: PreparedText,
    rest: Buffer,
    describe: boolean,
    rowsMax = 0,
    bindAction: ReplyAction = DROP,
    action: ReplyAction = CAPTURE,
  ): void {
    const { backend } = this;
    this.parseUnnamed(text, DROP);
    this.bindUnnamed(rest, bindAction);
    if (describe) {
      backend.out.begin(Frontend.describe).byte(0x50).byte(0).end();
      backend.expect(Expect.describe, CAPTURE);
    }
    backend.out.begin(Frontend.execute).byte(0).int32(rowsMax).end();
    backend.expect(Expect.execute, action);
  }

  /** The next Parse has been accepted. */
  parsed(): void {
    this.parsingNamed.shift();
    this.parsing.shift()!.validated = true;
  }

  /** Announces the answer of a client's Describe, of a statement or of its portal. */
  describe(text: PreparedText): void {
    const known = text.described !== null;
    if (!known) this.describing.push(text);
    this.backend.expect(known ? Expect.describe : Expect.describeNoted, PASS);
  }

  /** ParameterDescription of the statement that is being described. */
  parameters(buffer: Buffer, start: number, end: number): void {
    this.parameterTypes = Buffer.from(buffer.subarray(start, end));
  }

  /** The description is complete; `type` tells whether there are rows. */
  described(type: number, buffer: Buffer, start: number, end: number): void {
    const rows = type === Backend.noData ? null : Buffer.from(buffer.subarray(start, end));
    const holdsOids = rows !== null && mayHoldOids(rows);
    this.describing.shift()!.described ??= { parameters: this.parameterTypes, rows, holdsOids };
    this.parameterTypes = null;
  }

  /** The next text has been closed. */
  closed(): void {
    this.closing.shift();
  }

  /** The server has not done what is of this kind, an `Expect`. */
  skipped(kind: number, ours: boolean): void {
    if (kind === Expect.parse) this.refused();
    else if (kind === Expect.close && ours) this.notClosed();
    else if (kind === Expect.describeNoted) {
      this.describing.shift();
      this.parameterTypes = null;
    }
    if (!ours && (kind === Expect.parse || kind === Expect.close)) this.skippedAnswers++;
  }

  /** An answer in its place will not be told. */
  skippedReply(payload: Buffer): void {
    if (payload === ready.parseComplete || payload === ready.closeComplete) this.skippedAnswers++;
  }

  /** The server still has the text of the next Close. */
  private notClosed(): void {
    const text = this.closing.shift();
    if (text !== undefined) this.named.add(text);
  }

  /** The next Parse has failed or was skipped. */
  private refused(): void {
    const text = this.parsing.shift()!;
    if (this.parsingNamed.shift() === true) this.named.delete(text);
    else if (this.unnamed === text) this.unnamed = null;
  }
}

const NO_NAME: Buffer = Buffer.alloc(0);
