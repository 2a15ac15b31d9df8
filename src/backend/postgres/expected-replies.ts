/**
 * What a backend still has to answer, in order, and what becomes of each answer. One byte an entry:
 * kind in the low four bits, action in the next two.
 */
export const Expect = {
  parse: 1,
  bind: 2,
  /** Of a statement or portal. */
  describe: 3,
  /** The first one of a text: what the client is told is noted. */
  describeNoted: 4,
  execute: 5,
  close: 6,
  sync: 7,
  query: 8,
  /** No request: bytes that the client gets at this place of the stream, as if the server had sent them. */
  synthetic: 9,
} as const;
export type ExpectKind = (typeof Expect)[keyof typeof Expect];

/** The client gets the answer's bytes. */
export const PASS = 0x00;
/** The answer is Shardgate's own business (injected BEGIN, Parse, settings). */
export const DROP = 0x10;
/** The answer goes to the sink message by message (scatter, internal queries). */
export const CAPTURE = 0x20;
export type ReplyAction = typeof PASS | typeof DROP | typeof CAPTURE;

const KIND = 0x0f;
const ACTION = 0x30;

/** A growable ring of entries. */
export class ExpectedReplies {
  private entries = new Uint8Array(32);
  private first = 0;
  private length = 0;
  private readonly payloads: Buffer[] = [];

  get empty(): boolean {
    return this.length === 0;
  }

  /** Some answer is the client's. */
  get passes(): boolean {
    for (let i = 0; i < this.length; i++) {
      const entry = this.entries[(this.first + i) & (this.entries.length - 1)]!;
      if ((entry & ACTION) === PASS) return true;
    }
    return false;
  }

  push(kind: ExpectKind, action: ReplyAction): void {
    if (this.length === this.entries.length) this.grow();
    this.entries[(this.first + this.length) & (this.entries.length - 1)] = kind | action;
    this.length++;
  }

  pushSynthetic(payload: Buffer): void {
    this.push(Expect.synthetic, PASS);
    this.payloads.push(payload);
  }

  /** Kind of the entry whose answer comes next; 0 where nothing is expected. */
  get headKind(): number {
    return this.length === 0 ? 0 : this.entries[this.first]! & KIND;
  }

  get headAction(): number {
    return this.length === 0 ? DROP : this.entries[this.first]! & ACTION;
  }

  /** Removes the head; answers its kind. */
  pop(): number {
    const kind = this.headKind;
    this.first = (this.first + 1) & (this.entries.length - 1);
    this.length--;
    return kind;
  }

  /** Removes a synthetic head; answers its bytes. */
  popSynthetic(): Buffer {
    this.pop();
    return this.payloads.shift()!;
  }

  private grow(): void {
    const { entries } = this;
    const grown = new Uint8Array(entries.length * 2);
    for (let i = 0; i < this.length; i++) {
      grown[i] = entries[(this.first + i) & (entries.length - 1)]!;
    }
    this.entries = grown;
    this.first = 0;
  }
}
