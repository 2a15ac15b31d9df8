/** Room for a batch of small messages; a larger message makes the buffer grow for its own use only. */
const INITIAL_BYTES = 16 * 1024;
/** From here on a copy costs more than a write of its own. */
const BORROWED_BYTES_MIN = 1024 * 1024;

/**
 * Builds wire messages back to back in one growable buffer, so that a batch leaves in one write. Whoever hands
 * `view()` to a transport calls `sent(done)` with the transport's answer: a buffer still in use is left to it.
 *
 * One that borrows does not copy what is large: such bytes, which must never change, and what was written in front of
 * them are pieces of their own, to be sent before the view.
 */
export class Writer {
  private buffer: Buffer;
  private length = 0;
  private messageStart = 0;
  private readonly initialBytes: number;
  private readonly borrows: boolean;
  private pieces: Buffer[] = [];
  private piecesBytes = 0;
  /** The open message began in a piece: where the four bytes of its length are. */
  private lengthBytes: Buffer | null = null;

  constructor(initialBytes = INITIAL_BYTES, borrows = false) {
    this.initialBytes = initialBytes;
    this.borrows = borrows;
    this.buffer = Buffer.allocUnsafeSlow(initialBytes);
  }

  get size(): number {
    return this.length + this.piecesBytes;
  }

  get hasPieces(): boolean {
    return this.piecesBytes > 0;
  }

  /** Gives away the pieces in front of the view. */
  takePieces(): readonly Buffer[] {
    const { pieces } = this;
    this.pieces = [];
    this.piecesBytes = 0;
    return pieces;
  }

  view(): Buffer {
    return this.buffer.subarray(0, this.length);
  }

  /** Empties the writer; `done` false: the transport still reads the buffer, so a new one is taken. */
  sent(done: boolean): void {
    this.length = 0;
    if (!done || this.buffer.length > 16 * INITIAL_BYTES) {
      this.buffer = Buffer.allocUnsafeSlow(this.initialBytes);
    }
  }

  /** A copy of what was written, for keeping; empties the writer. */
  take(): Buffer {
    const copy = Buffer.from(this.view());
    this.length = 0;
    return copy;
  }

  /** Starts a message of this type; `end` fills in its length. */
  begin(type: number): this {
    this.reserve(5);
    this.messageStart = this.length + 1;
    this.lengthBytes = null;
    this.buffer[this.length] = type;
    this.length += 5;
    return this;
  }

  /** Starts a message without type byte (startup, cancel, SSL request). */
  beginUntyped(): this {
    this.reserve(4);
    this.messageStart = this.length;
    this.lengthBytes = null;
    this.length += 4;
    return this;
  }

  end(): this {
    if (this.lengthBytes !== null) {
      this.lengthBytes.writeUInt32BE(this.size - this.messageStart);
      this.lengthBytes = null;
    } else this.buffer.writeUInt32BE(this.length - this.messageStart, this.messageStart);
    return this;
  }

  byte(value: number): this {
    this.reserve(1);
    this.buffer[this.length++] = value;
    return this;
  }

  int16(value: number): this {
    this.reserve(2);
    this.buffer[this.length++] = (value >>> 8) & 255;
    this.buffer[this.length++] = value & 255;
    return this;
  }

  int32(value: number): this {
    this.reserve(4);
    this.buffer.writeInt32BE(value | 0, this.length);
    this.length += 4;
    return this;
  }

  bytes(source: Uint8Array, start = 0, end = source.length): this {
    const count = end - start;
    if (count >= BORROWED_BYTES_MIN && this.borrows) return this.borrow(source, start, end);
    this.reserve(count);
    if (count < 64) {
      const { buffer } = this;
      let to = this.length;
      for (let from = start; from < end; from++) buffer[to++] = source[from]!;
    } else {
      this.buffer.set(
        start === 0 && end === source.length ? source : source.subarray(start, end),
        this.length,
      );
    }
    this.length += count;
    return this;
  }

  /** UTF-8 with a terminating zero byte; a zero inside would cut the message, so it ends the string. */
  cstring(text: string): this {
    const nul = text.indexOf('\0');
    const clean = nul < 0 ? text : text.slice(0, nul);
    this.reserve(clean.length * 3 + 1);
    this.length += this.buffer.write(clean, this.length, 'utf8');
    this.buffer[this.length++] = 0;
    return this;
  }

  private borrow(source: Uint8Array, start: number, end: number): this {
    const { buffer, length, messageStart } = this;
    if (this.lengthBytes === null) {
      this.lengthBytes = buffer.subarray(messageStart, messageStart + 4);
      this.messageStart = this.piecesBytes + messageStart;
    }
    const borrowed = Buffer.from(source.buffer, source.byteOffset + start, end - start);
    if (length > 0) this.pieces.push(buffer.subarray(0, length));
    this.pieces.push(borrowed);
    this.piecesBytes += length + borrowed.length;
    this.buffer = Buffer.allocUnsafeSlow(this.initialBytes);
    this.length = 0;
    return this;
  }

  private reserve(count: number): void {
    const needed = this.length + count;
    if (needed <= this.buffer.length) return;
    const grown = Buffer.allocUnsafeSlow(Math.max(needed, this.buffer.length * 2));
    grown.set(this.buffer.subarray(0, this.length));
    this.buffer = grown;
  }
}
