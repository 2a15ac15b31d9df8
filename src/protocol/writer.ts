/** Room for a batch of small messages; a larger message makes the buffer grow for its own use only. */
const INITIAL_BYTES = 16 * 1024;

/**
 * Builds wire messages back to back in one growable buffer, so that a batch leaves in one write. Whoever hands
 * `view()` to a transport calls `sent(done)` with the transport's answer: a buffer still in use is left to it.
 */
export class Writer {
  private buffer: Buffer;
  private length = 0;
  private messageStart = 0;
  private readonly initialBytes: number;

  constructor(initialBytes = INITIAL_BYTES) {
    this.initialBytes = initialBytes;
    this.buffer = Buffer.allocUnsafeSlow(initialBytes);
  }

  get size(): number {
    return this.length;
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
    this.buffer[this.length] = type;
    this.length += 5;
    return this;
  }

  /** Starts a message without type byte (startup, cancel, SSL request). */
  beginUntyped(): this {
    this.reserve(4);
    this.messageStart = this.length;
    this.length += 4;
    return this;
  }

  end(): this {
    this.buffer.writeUInt32BE(this.length - this.messageStart, this.messageStart);
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

  private reserve(count: number): void {
    const needed = this.length + count;
    if (needed <= this.buffer.length) return;
    const grown = Buffer.allocUnsafeSlow(Math.max(needed, this.buffer.length * 2));
    grown.set(this.buffer.subarray(0, this.length));
    this.buffer = grown;
  }
}
