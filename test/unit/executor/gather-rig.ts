import type { BackendConnection } from '../../../src/backend/postgres/connection.js';
import { NO_VALUES } from '../../../src/executor/bind-parts.js';
import type { ResultColumn } from '../../../src/executor/described-columns.js';
import { Gather } from '../../../src/executor/gather.js';
import { GatheredSize } from '../../../src/executor/gather-limits.js';
import type { GatherOptions } from '../../../src/executor/gather-options.js';
import { GatherScript } from '../../../src/executor/gather-script.js';
import type { GatherInput, GatherSpec, ValueLink } from '../../../src/planner/plan.js';
import { readSqlState } from '../../../src/protocol/backend-messages.js';
import { ScriptedTransport } from '../backend/postgres/scripted-transport.js';
import { message } from '../protocol/messages.js';
import { OperationSink } from './operation-sink.js';

/** Tells the gather what its home has taken, too. */
class GatherSink extends OperationSink {
  home!: BackendConnection;

  override drained(): void {
    this.operation.drained?.(this.home);
  }
}

/** A server that may be slow to take what is written. */
class SlowTransport extends ScriptedTransport {
  takes: () => boolean = () => true;

  override write(bytes: Uint8Array): boolean {
    super.write(bytes);
    const done = this.takes();
    if (!done) this.setCongested(true);
    return done;
  }

  drain(): void {
    if (!this.congested) return;
    this.setCongested(false);
    this.handler.onDrain();
  }

  private setCongested(congested: boolean): void {
    (this as { congested: boolean }).congested = congested;
  }
}

/** Columns of every input, and of the result. */
export const COLUMNS: readonly ResultColumn[] = [
  { name: 'a', type: 20, typmod: -1 },
  { name: 'b', type: 1043, typmod: 14 },
];
/** RowDescription of them. */
export const described = message(
  'T',
  COLUMNS.length,
  ...COLUMNS.flatMap(({ name, type }) => [`${name}\0`, described18(type)]),
);

/** What RowDescription says behind a column's name. */
export function described18(type: number): Buffer {
  const bytes = Buffer.alloc(18);
  bytes.writeInt32BE(type, 6);
  return bytes;
}

const TAKEN_BACK = { parse: '1', bind: '2' } as const;

/** A gather whose home is position 0; its servers say what `say` gives them. */
export class GatherRig {
  /** What the client got. */
  passed = '';
  broken = false;
  readonly cancelled: number[] = [];
  /** Tag, or SQLSTATE. */
  outcome: string | null = null;
  madeTables = 0;
  /** How often there were other columns. */
  changes = 0;
  clientTakes: () => boolean = () => true;
  readonly transports: SlowTransport[] = [];
  readonly backends: BackendConnection[];
  private readonly unread: Buffer[][] = [];

  /** `sources`: the positions of the backends of each input; `links`: of inputs that wait for others. */
  constructor(
    sources: readonly (readonly number[])[],
    options: Partial<GatherOptions> = {},
    links: readonly (ValueLink | null)[] = [],
  ) {
    const sink = new GatherSink();
    const count = Math.max(...sources.flat()) + 1;
    this.backends = Array.from({ length: count }, (_, position) => {
      const transport = new SlowTransport(24);
      this.transports.push(transport);
      this.unread.push([]);
      const backend = transport.backend(sink);
      backend.cancel = () => this.cancelled.push(position);
      return backend;
    });
    const host = {
      passToClient: (
        _backend: BackendConnection | null,
        bytes: Buffer,
        from: number,
        to: number,
      ) => {
        this.passed += bytes.toString('latin1', from, to);
        return this.clientTakes();
      },
      clientStreamBroken: () => {
        this.broken = true;
      },
    };
    const gather = new Gather(host, {
      script: scriptOf(sources.length, links),
      sources: sources.map((positions) => positions.map((position) => this.backends[position]!)),
      home: this.backends[0]!,
      readersOf: (input) => sources[input]!.map((position) => this.backends[position]!),
      makesTables: true,
      startsSmall: true,
      result: { columns: COLUMNS, message: message('T', 'told') },
      describe: false,
      size: new GatheredSize({ gatherMemoryBytes: 1_000_000_000, gatherRowsMax: 0 }),
      endsWithSync: false,
      readsInPlace: false,
      dropsTables: false,
      onTables: () => {
        this.madeTables++;
      },
      onChanged: () => {
        this.changes++;
      },
      onDone: (outcome) => {
        const { error } = outcome.ok ? { error: null } : outcome;
        this.outcome = outcome.ok ? outcome.tag : readSqlState(error!, 0, error!.length);
      },
      ...options,
    });
    sink.operation = gather;
    sink.home = this.backends[0]!;
    gather.start();
  }

  /** The server sends, after the answers to Parse and Bind; what is not read yet waits. */
  say(position: number, ...messages: readonly Buffer[]): void {
    this.unread[position]!.push(Buffer.concat(messages));
    this.read();
  }

  /** The answer to one Execute of text and values: its Parse and Bind are taken, then this comes. */
  answer(position: number, ...messages: readonly Buffer[]): void {
    this.say(position, message(TAKEN_BACK.parse), message(TAKEN_BACK.bind), ...messages);
  }

  /** The answer to an input, of the columns that it should have. */
  answerInput(position: number, ...messages: readonly Buffer[]): void {
    this.answer(position, described, ...messages);
  }

  /** As `answer`, in reads of these sizes; what is left comes in one. */
  trickle(position: number, bytes: Buffer, sizes: readonly number[]): void {
    let at = 0;
    for (const size of sizes) {
      if (at >= bytes.length) break;
      this.unread[position]!.push(bytes.subarray(at, at + size));
      at += size;
    }
    if (at < bytes.length) this.unread[position]!.push(bytes.subarray(at));
  }

  /** One read of one server, where it is read; false: there is none. */
  readOne(position: number): boolean {
    const transport = this.transports[position]!;
    const [chunk] = this.unread[position]!;
    if (chunk === undefined || transport.paused || transport.destroyed) return false;
    this.unread[position]!.shift();
    transport.deliver(chunk);
    return true;
  }

  /** Reads wherever reading is not paused. */
  read(): void {
    for (let found = true; found;) {
      found = false;
      for (let position = 0; position < this.backends.length; position++) {
        if (this.readOne(position)) found = true;
      }
    }
  }

  lose(position: number): void {
    this.transports[position]!.destroyed = true;
    this.backends[position]!.onClose(new Error('reset'));
    this.read();
  }

  /** Messages that a server got since it was last asked: type letter and content. */
  sent(position: number): { readonly type: string; readonly content: Buffer }[] {
    const transport = this.transports[position]!;
    const bytes = Buffer.from(transport.written, 'latin1');
    transport.written = '';
    const found: { type: string; content: Buffer }[] = [];
    for (let at = 0; at < bytes.length;) {
      const end = at + 1 + bytes.readInt32BE(at + 1);
      if (end > bytes.length) throw new Error('half a message was left standing');
      found.push({
        type: String.fromCharCode(bytes[at]!),
        content: bytes.subarray(at + 5, end),
      });
      at = end;
    }
    return found;
  }

  /** The texts parsed by a server since it was last asked. */
  texts(position: number): string[] {
    return this.sent(position)
      .filter(({ type }) => type === 'P')
      .map(({ content }) => content.toString('utf8', 1, content.indexOf(0, 1)));
  }
}

function scriptOf(inputs: number, links: readonly (ValueLink | null)[]): GatherScript {
  const spec: GatherSpec = {
    inputs: Array.from({ length: inputs }, (_, input) => inputOf(input, links[input] ?? null)),
    home: { kind: 'nowhere' },
    final: [
      'SELECT * FROM ',
      ...Array.from({ length: inputs }, (_, input) => ({ kind: 'input', input }) as const).flatMap(
        (piece, i) => [i === 0 ? '' : ', ', piece, ` AS i${i}`],
      ),
    ],
  };
  return new GatherScript({
    spec,
    columns: spec.inputs.map(() => COLUMNS),
    bind: NO_VALUES,
    paramTypes: [],
    tables: spec.inputs.map((_, input) => `t${input}`),
    textOnlyTypes: undefined,
    combine: () => '',
  });
}

function inputOf(input: number, link: ValueLink | null): GatherInput {
  return {
    label: `i${input}`,
    shards: { kind: 'nowhere' },
    sql: `SELECT ${input}`,
    columns: ['a', 'b'],
    primaryKey: null,
    defaultCollations: true,
    estimatedRows: null,
    ...(link === null ? {} : { link }),
  };
}
