import type { BackendConnection } from '../../../src/backend/postgres/connection.js';
import { CAPTURE } from '../../../src/backend/postgres/expected-replies.js';
import { OrderedMerge, type OrderedMergeOptions } from '../../../src/executor/ordered-merge.js';
import { compareInt4 } from '../../../src/merger/compare-numbers.js';
import type { MergeSpec } from '../../../src/planner/plan.js';
import { readSqlState } from '../../../src/protocol/backend-messages.js';
import { ScriptedTransport } from '../backend/postgres/scripted-transport.js';
import { message } from '../protocol/messages.js';
import { OperationSink } from './operation-sink.js';

/** A DataRow of one visible text, then one binary int4 (or NULL) for each key. */
export function row(text: string, ...keys: readonly (number | null)[]): Buffer {
  const fields = keys.map((key) => {
    const field = Buffer.alloc(key === null ? 4 : 8);
    field.writeInt32BE(key === null ? -1 : 4, 0);
    if (key !== null) field.writeInt32BE(key, 4);
    return field;
  });
  const length = Buffer.alloc(4);
  length.writeInt32BE(Buffer.byteLength(text));
  return message('D', 1 + keys.length, length, text, ...fields);
}

/** The keys of a specification in short: `a`, `d` for the direction, `F` for nulls first, `L` for last. */
export function specOf(keys: string, more: Partial<MergeSpec> = {}): MergeSpec {
  return {
    sql: '',
    visibleColumns: 1,
    keys: keys
      .split(' ')
      .filter((key) => key !== '')
      .map((key) => ({
        descending: key.startsWith('d'),
        nullsFirst: key.endsWith('F'),
        textByBytes: true,
      })),
    limit: null,
    offset: null,
    withTies: false,
    fallback: { inputs: [], home: { kind: 'nowhere' }, final: [] },
    ...more,
  };
}

const INT4 = { name: 'sg_k', type: 23, typmod: -1 };

interface Sent {
  readonly buffer: Buffer;
  readonly start: number;
  readonly end: number;
}

/** A merge over backends whose servers say what `say` gives them. */
export class MergeRig {
  /** Positions of backends that were cancelled. */
  readonly cancelled: number[] = [];
  /** The tag, or the SQLSTATE of the error. */
  readonly outcomes: string[] = [];
  /** How often a shard gave other columns. */
  changes = 0;
  /** False: what is sent stays in the sender's buffers until `drain`. */
  clientTakes: () => boolean = () => true;
  readonly transports: ScriptedTransport[] = [];
  readonly backends: BackendConnection[];
  readonly merge: OrderedMerge;
  private bytes: Buffer = Buffer.alloc(0);
  private inFlight: Sent[] = [];
  private readonly unread: Buffer[][] = [];

  constructor(count: number, spec: MergeSpec, options: Partial<OrderedMergeOptions> = {}) {
    const sink = new OperationSink();
    this.backends = Array.from({ length: count }, (_, position) => {
      const transport = new ScriptedTransport(24);
      this.transports.push(transport);
      this.unread.push([]);
      const backend = transport.backend(sink);
      backend.cancel = () => this.cancelled.push(position);
      return backend;
    });
    const host = {
      passToClient: (_: BackendConnection | null, buffer: Buffer, start: number, end: number) => {
        this.inFlight.push({ buffer, start, end });
        // A stream stays congested until all of it has been taken.
        if (this.inFlight.length > 1 || !this.clientTakes()) return false;
        this.take();
        return true;
      },
      clientStreamBroken: () => undefined,
    };
    this.merge = new OrderedMerge(host, this.backends, {
      merge: spec,
      limit: null,
      offset: 0n,
      comparators: spec.keys.map(() => compareInt4),
      columns: [{ name: 'v', type: 25, typmod: -1 }, ...spec.keys.map(() => INT4)],
      describe: true,
      visibleFormats: [],
      endsWithSync: true,
      send: (backend) => {
        backend.query('select', CAPTURE);
      },
      onDone: (outcome) => {
        const { ok } = outcome;
        this.outcomes.push(ok ? outcome.tag : readSqlState(outcome.error, 0, outcome.error.length));
      },
      onChanged: () => {
        this.changes++;
      },
      ...options,
    });
    sink.operation = this.merge;
    this.merge.start();
  }

  /** The server of this shard sends; what is not read yet waits. */
  say(position: number, ...messages: readonly Buffer[]): void {
    this.unread[position]!.push(Buffer.concat(messages));
    this.read();
  }

  /** The server sends bytes in pieces of these sizes, over and over; they are read later. */
  queue(position: number, bytes: Buffer, sizes: readonly number[]): void {
    for (let at = 0, i = 0; at < bytes.length; i++) {
      const size = sizes[i % sizes.length]!;
      this.unread[position]!.push(bytes.subarray(at, at + size));
      at += size;
    }
  }

  /** Reads wherever reading is not paused, a piece of each shard in turns. */
  read(): void {
    for (let found = true; found;) {
      found = false;
      this.unread.forEach((chunks, position) => {
        const transport = this.transports[position]!;
        if (transport.paused || transport.destroyed || chunks.length === 0) return;
        found = true;
        transport.deliver(chunks.shift()!);
      });
    }
  }

  get clientWaits(): boolean {
    return this.inFlight.length > 0;
  }

  /** The client reads what it was sent. */
  drain(): void {
    this.take();
    this.merge.clientDrained();
    this.read();
  }

  lose(position: number): void {
    this.transports[position]!.destroyed = true;
    this.backends[position]!.onClose(new Error('reset'));
    this.read();
  }

  /** What the client got, as `type` for messages or the text of rows. */
  get received(): string[] {
    const found: string[] = [];
    for (let at = 0; at < this.bytes.length;) {
      const next = at + 1 + this.bytes.readInt32BE(at + 1);
      const type = String.fromCharCode(this.bytes[at]!);
      if (type !== 'D') found.push(type);
      else {
        if (this.bytes.readInt16BE(at + 5) !== 1) throw new Error('a row of another shape');
        found.push(this.bytes.toString('utf8', at + 11, next));
      }
      at = next;
    }
    return found;
  }

  /** Bytes that the client got. */
  get receivedBytes(): Buffer {
    return this.bytes;
  }

  private take(): void {
    const parts = this.inFlight.splice(0).map((sent) => sent.buffer.subarray(sent.start, sent.end));
    this.bytes = Buffer.concat([this.bytes, ...parts]);
  }
}

/** Microtasks have run: what was collected has been sent. */
export const settle = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));
