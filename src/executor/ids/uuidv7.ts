import { randomFillSync } from 'node:crypto';

/** The 12 bits behind the version, which count within a millisecond here. */
const COUNTER_MAX = 0xfff;
/** A new millisecond begins its counter in the lower half, so that it seldom runs over. */
const COUNTER_START_MASK = 0x7ff;

/**
 * UUIDs of version 7 (RFC 9562, 5.7 and 6.2, method 1): 48 bits of milliseconds, a counter, 62
 * random bits. Each is greater than the one before, whatever the clock does.
 */
export class Uuid7Source {
  private readonly now: () => number;
  private ms = 0;
  private counter = 0;
  private readonly bytes = Buffer.alloc(16);

  /** `now`: milliseconds since 1970. */
  constructor(now: () => number = Date.now) {
    this.now = now;
  }

  next(): string {
    const { bytes } = this;
    randomFillSync(bytes, 6);
    const now = this.now();
    if (now > this.ms) {
      this.ms = now;
      this.counter = bytes.readUInt16BE(6) & COUNTER_START_MASK;
    } else if (++this.counter > COUNTER_MAX) {
      this.ms++;
      this.counter = 0;
    }
    bytes.writeUIntBE(this.ms, 0, 6);
    bytes.writeUInt16BE(0x7000 | this.counter, 6);
    bytes[8] = (bytes[8]! & 0x3f) | 0x80;
    const hex = bytes.toString('hex');
    const parts = [hex.slice(0, 8), hex.slice(8, 12), hex.slice(12, 16), hex.slice(16, 20)];
    return `${parts.join('-')}-${hex.slice(20)}`;
  }
}
