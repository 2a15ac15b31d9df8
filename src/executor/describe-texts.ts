import type { BackendError } from '../backend/backend-error.js';
import type { BackendConnection } from '../backend/postgres/connection.js';
import { CAPTURE, DROP, Expect } from '../backend/postgres/expected-replies.js';
import { unnamedText } from '../backend/postgres/prepared-text.js';
import { Backend, Frontend } from '../protocol/codes.js';
import { errorBytes } from '../protocol/error-bytes.js';
import { cancelError } from './gather-errors.js';
import { QuietOperation } from '../transaction/operation.js';
import { readRowDescription, type ResultColumn } from './described-columns.js';

/** What a text gives. */
export interface DescribedText {
  readonly columns: readonly ResultColumn[];
  /** The RowDescription message, with every format as text; null: no rows. */
  readonly message: Buffer | null;
}

/** What was learnt of each text, in order; or the ErrorResponse, and the text that it concerns. */
export type Described =
  | { readonly ok: true; readonly texts: readonly DescribedText[] }
  | { readonly ok: false; readonly error: Buffer; readonly text: number };

/** Asks one backend for the result columns of several texts, in one round trip, without Sync. */
export class DescribeTexts extends QuietOperation {
  private readonly count: number;
  private readonly onDone: (described: Described) => void;
  private readonly texts: DescribedText[] = [];
  private over = false;
  private cancelled = false;

  private constructor(count: number, onDone: (described: Described) => void) {
    super();
    this.count = count;
    this.onDone = onDone;
  }

  /** The caller makes the result its session's operation before anything can answer. */
  static of(
    backend: BackendConnection,
    texts: readonly (Uint8Array | string)[],
    paramTypes: readonly number[],
    onDone: (described: Described) => void,
  ): DescribeTexts {
    for (const text of texts) {
      backend.statements.parseUnnamed(unnamedText(text, paramTypes), DROP);
      backend.out.begin(Frontend.describe).byte(0x53).byte(0).end();
      backend.expect(Expect.describe, CAPTURE);
    }
    backend.requestFlush();
    return new DescribeTexts(texts.length, onDone);
  }

  override captured(
    _backend: BackendConnection,
    type: number,
    buffer: Buffer,
    start: number,
    end: number,
  ): void {
    if (this.over) return;
    if (type === Backend.rowDescription) {
      const columns = readRowDescription(buffer, start, end);
      this.texts.push({ columns, message: Buffer.from(buffer.subarray(start, end)) });
    } else if (type === Backend.noData) this.texts.push({ columns: [], message: null });
    else return;
    if (this.texts.length === this.count) this.finish({ ok: true, texts: this.texts });
  }

  override failed(_backend: BackendConnection, buffer: Buffer, start: number, end: number): void {
    const error = Buffer.from(buffer.subarray(start, end));
    this.finish({ ok: false, error, text: this.texts.length });
  }

  /** What is described is not cancelled, nor does it take long; but what follows must not begin. */
  cancel(): void {
    this.cancelled = true;
  }

  override ready(): void {
    // No Sync was sent.
  }

  override lost(_backend: BackendConnection, error: BackendError): void {
    const message = errorBytes(error.toSqlError());
    this.finish({ ok: false, error: message, text: this.texts.length });
  }

  private finish(described: Described): void {
    if (this.over) return;
    this.over = true;
    if (!this.cancelled) this.onDone(described);
    else this.onDone({ ok: false, error: errorBytes(cancelError()), text: 0 });
  }
}
