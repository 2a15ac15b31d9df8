import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { BackendConnection } from '../../../src/backend/postgres/connection.js';
import { CAPTURE } from '../../../src/backend/postgres/expected-replies.js';
import { CopyConcat } from '../../../src/executor/copy/copy-concat.js';
import { addTags, FanOut, type FanOutOptions } from '../../../src/executor/fan-out.js';
import { readSqlState } from '../../../src/protocol/backend-messages.js';
import { replies } from '../backend/postgres/replies.js';
import { ScriptedTransport } from '../backend/postgres/scripted-transport.js';
import { OperationSink } from './operation-sink.js';

/** A fan-out over backends whose servers say what `say` gives them. */
class Rig {
  /** What the client got. */
  passed = '';
  broken = false;
  /** Positions of backends that were cancelled. */
  readonly cancelled: number[] = [];
  /** `tag`, or the SQLSTATE of the error; then the positions that succeeded. */
  readonly outcomes: string[] = [];
  clientTakes: () => boolean = () => true;
  readonly transports: ScriptedTransport[] = [];
  readonly backends: BackendConnection[];
  readonly fanOut: FanOut;
  private readonly unread: Buffer[][] = [];

  /** @param send instead of keeping what the client gets: takes the sender's own buffer; false: congested */
  constructor(
    count: number,
    options: Partial<FanOutOptions> = {},
    send: ((buffer: Buffer, start: number, end: number) => boolean) | null = null,
  ) {
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
      passToClient: (
        _backend: BackendConnection | null,
        buffer: Buffer,
        start: number,
        end: number,
      ) => {
        if (send !== null) return send(buffer, start, end);
        this.passed += buffer.toString('latin1', start, end);
        return this.clientTakes();
      },
      clientStreamBroken: () => {
        this.broken = true;
      },
    };
    this.fanOut = new FanOut(host, this.backends, {
      merge: { kind: 'concat' },
      firstLeads: false,
      describesLate: false,
      endsWithSync: true,
      send: (backend) => {
        backend.query('select', CAPTURE);
      },
      onDone: (outcome, succeeded) => {
        const what = outcome.ok
          ? outcome.tag
          : readSqlState(outcome.error, 0, outcome.error.length);
        const who = succeeded.map((backend) => this.backends.indexOf(backend));
        this.outcomes.push(`${what} [${who.join()}]`);
      },
      ...options,
    });
    sink.operation = this.fanOut;
    this.fanOut.start();
  }

  /** The server of this shard sends; what is not read yet waits. */
  say(position: number, ...messages: readonly Buffer[]): void {
    this.unread[position]!.push(Buffer.concat(messages));
    this.read();
  }

  /** Reads wherever reading is not paused. */
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

  /** The client has read what it was sent. */
  drain(): void {
    for (const backend of this.backends) backend.resumeReading();
    this.read();
  }

  lose(position: number): void {
    this.transports[position]!.destroyed = true;
    this.backends[position]!.onClose(new Error('reset'));
    this.read();
  }
}

const text = (...messages: readonly Buffer[]): string => Buffer.concat(messages).toString('latin1');
const ended = (tag: string): Buffer => Buffer.concat([replies.complete(tag), replies.ready()]);

describe('rows of several shards', () => {
  test('come shard by shard, described once, their counts added', () => {
    const rig = new Rig(3);
    rig.say(2, replies.rowDescription, replies.row('c'), ended('SELECT 1'));
    rig.say(0, replies.rowDescription, replies.row('a'));
    rig.say(1, replies.rowDescription, ended('SELECT 0'));
    expect(rig.passed).toBe(text(replies.rowDescription, replies.row('a')));
    rig.say(0, replies.row('b'), ended('SELECT 2'));
    expect(rig.passed).toBe(
      text(replies.rowDescription, replies.row('a'), replies.row('b'), replies.row('c')),
    );
    expect(rig.outcomes).toEqual(['SELECT 3 [0,1,2]']);
  });

  test('a shard whose turn has not come is not read from', () => {
    const rig = new Rig(2);
    rig.say(1, replies.rowDescription, replies.row('b'));
    expect(rig.transports[1]!.paused).toBe(true);
    expect(rig.transports[0]!.paused).toBe(false);
    rig.say(0, replies.rowDescription, ended('SELECT 0'));
    expect(rig.transports[1]!.paused).toBe(false);
    rig.say(1, ended('SELECT 1'));
    expect(rig.outcomes).toEqual(['SELECT 1 [0,1]']);
  });

  test('in any interleaving, cut anywhere, for a slow client: the same rows, none twice', () => {
    const plan = fc.record({
      rows: fc.array(fc.array(fc.nat(40), { maxLength: 5 }), { minLength: 1, maxLength: 4 }),
      sizes: fc.array(fc.integer({ min: 1, max: 60 }), { minLength: 1, maxLength: 6 }),
      order: fc.array(fc.nat(), { maxLength: 60 }),
      slow: fc.array(fc.boolean(), { maxLength: 5 }),
      endsWithSync: fc.boolean(),
    });
    fc.assert(
      fc.property(plan, ({ rows, sizes, order, slow, endsWithSync }) => {
        const rig = new Rig(rows.length, { endsWithSync });
        let calls = 0;
        rig.clientTakes = () => slow.length === 0 || !slow[calls++ % slow.length]!;
        const expected = rows.map((lengths, shard) =>
          lengths.map((length) => replies.row(`${shard}`.repeat(length))),
        );
        const streams = expected.map((list) =>
          Buffer.concat([replies.rowDescription, ...list, ended(`SELECT ${list.length}`)]),
        );
        const sent = streams.map(() => 0);
        const sendNext = (shard: number, size: number): void => {
          rig.say(shard, streams[shard]!.subarray(sent[shard], sent[shard]! + size));
          sent[shard]! += size;
        };
        order.forEach((pick, i) => {
          sendNext(pick % streams.length, sizes[i % sizes.length]!);
        });
        streams.forEach((_, shard) => {
          sendNext(shard, 10_000);
        });
        rig.clientTakes = () => true;
        for (let tries = 0; rig.outcomes.length === 0 && tries < 20; tries++) rig.drain();
        expect(rig.passed).toBe(text(replies.rowDescription, ...expected.flat()));
        const total = expected.flat().length;
        expect(rig.outcomes).toEqual([`SELECT ${total} [${rows.map((_, i) => i).join()}]`]);
      }),
      { numRuns: 300 },
    );
  });

  test('copies of the same rows: the first shard answers for all', () => {
    const rig = new Rig(2, { merge: { kind: 'first' } });
    rig.say(1, replies.rowDescription, replies.row('x'), ended('UPDATE 1'));
    rig.say(0, replies.row('x'), ended('UPDATE 1'));
    expect(rig.passed).toBe(text(replies.rowDescription, replies.row('x')));
    expect(rig.outcomes).toEqual(['UPDATE 1 [0,1]']);
  });

  test('notices of every shard, no changes of parameters, which are told at the end', () => {
    const rig = new Rig(2);
    const parameter = replies.parameter('TimeZone', 'UTC');
    rig.say(0, replies.notice('a'), parameter, ended('UPDATE 1'));
    rig.say(1, replies.notice('b'), parameter, ended('UPDATE 2'));
    expect(rig.passed).toBe(text(replies.notice('a'), replies.notice('b')));
    expect(rig.outcomes).toEqual(['UPDATE 3 [0,1]']);
  });
});

describe('messages that are no rows', () => {
  const row = replies.row('abcdefgh');

  test('of one shard never stand inside a row of another', () => {
    const rig = new Rig(2);
    rig.say(0, replies.rowDescription, row.subarray(0, 9));
    rig.say(1, replies.notice('n'), replies.notice('m'));
    rig.say(0, row.subarray(9), ended('SELECT 1'));
    rig.say(1, ended('SELECT 0'));
    const notices = [replies.notice('n'), replies.notice('m')];
    expect(rig.passed).toBe(text(replies.rowDescription, row, ...notices));
    expect(rig.outcomes).toEqual(['SELECT 1 [0,1]']);
  });

  test('and are not lost when the shard fails behind them', () => {
    const rig = new Rig(2);
    rig.say(0, replies.rowDescription, row.subarray(0, 9));
    rig.say(1, replies.notice('n'), replies.error('22012'), replies.ready());
    rig.say(0, row.subarray(9), replies.row('b'), ended('SELECT 2'));
    expect(rig.passed.startsWith(text(replies.rowDescription, row, replies.notice('n')))).toBe(
      true,
    );
    expect(rig.outcomes).toEqual(['22012 [0]']);
  });

  test('CopyDone comes once, behind all data, though the last shard has none', () => {
    const rig = new Rig(2, { merge: { kind: 'copy', concat: new CopyConcat('text', false, 2) } });
    rig.say(1, replies.copyOut, replies.copyDone, ended('COPY 0'));
    rig.say(0, replies.copyOut, replies.copyData('1\n'), replies.copyDone, ended('COPY 1'));
    expect(rig.passed).toBe(text(replies.copyOut, replies.copyData('1\n'), replies.copyDone));
    expect(rig.outcomes).toEqual(['COPY 1 [0,1]']);
  });
});

describe('a shard that fails', () => {
  test('cancels the others; the outcome is told when all have ended', () => {
    const rig = new Rig(3);
    rig.say(0, replies.rowDescription, replies.row('a'));
    rig.say(1, replies.error('22012'), replies.ready());
    expect(rig.cancelled).toEqual([0, 2]);
    expect(rig.outcomes).toEqual([]);
    rig.say(2, replies.error('57014'), replies.ready());
    // It was faster than the cancel request.
    rig.say(0, replies.row('b'), ended('SELECT 2'));
    expect(rig.outcomes).toEqual(['22012 [0]']);
    expect(rig.passed).toBe(text(replies.rowDescription, replies.row('a')));
  });

  test('the client gets the rest of a row that was cut off, and no more rows', () => {
    const rig = new Rig(2);
    const row = replies.row('abcdefgh');
    rig.say(0, replies.rowDescription, row.subarray(0, 9));
    rig.say(1, replies.error('22012'), replies.ready());
    rig.say(0, row.subarray(9, 12));
    rig.say(0, row.subarray(12), replies.row('b'), replies.error('57014'), replies.ready());
    expect(rig.passed).toBe(text(replies.rowDescription, row));
    expect(rig.outcomes).toEqual(['22012 []']);
    expect(rig.broken).toBe(false);
  });

  test('whoever waits for its turn is drained', () => {
    const rig = new Rig(2);
    rig.say(1, replies.rowDescription, replies.row('b'));
    expect(rig.transports[1]!.paused).toBe(true);
    rig.say(0, replies.error('22012'), replies.ready());
    rig.say(1, replies.row('c'), replies.error('57014'), replies.ready());
    expect(rig.outcomes).toEqual(['22012 []']);
    expect(rig.passed).toBe(text(replies.rowDescription));
  });

  test('the first error counts', () => {
    const rig = new Rig(2);
    rig.say(1, replies.error('23505'), replies.ready());
    rig.say(0, replies.error('57014'), replies.ready());
    expect(rig.outcomes).toEqual(['23505 []']);
  });
});

test('what a slow client is still being sent stays as it is when another shard fails', () => {
  const sent: Buffer[] = [];
  const rig = new Rig(2, {}, (buffer, start, end) => {
    sent.push(buffer.subarray(start, end));
    return false;
  });
  rig.say(0, replies.row('first'));
  rig.say(0, replies.row('later'));
  rig.say(1, replies.error('22012'), replies.ready());
  expect(Buffer.concat(sent)).toEqual(replies.row('first'));
  rig.drain();
  rig.say(0, replies.error('57014'), replies.ready());
  expect(Buffer.concat(sent).length).toBe(replies.row('first').length);
  expect(rig.outcomes).toEqual(['22012 []']);
});

describe('a shard that is lost', () => {
  test('between rows: an error as any other', () => {
    const rig = new Rig(2);
    rig.say(0, replies.rowDescription, replies.row('a'));
    rig.lose(0);
    rig.say(1, replies.error('57014'), replies.ready());
    expect(rig.outcomes).toEqual(['08006 []']);
    expect(rig.broken).toBe(false);
  });

  test('in the middle of a row that the client has in part: nobody can complete it', () => {
    const rig = new Rig(2);
    rig.say(0, replies.rowDescription, replies.row('abcdefgh').subarray(0, 9));
    rig.lose(0);
    expect(rig.broken).toBe(true);
  });

  test('in the middle of a row that the client does not get: an error as any other', () => {
    const rig = new Rig(2, { merge: { kind: 'first' } });
    rig.say(0, replies.rowDescription, replies.row('x'), ended('UPDATE 1'));
    rig.say(1, replies.rowDescription, replies.row('abcdefgh').subarray(0, 9));
    rig.lose(1);
    expect(rig.broken).toBe(false);
    expect(rig.outcomes).toEqual(['08006 [0]']);
  });

  test('behind its answer, while another one goes on', () => {
    const rig = new Rig(2);
    rig.say(1, replies.complete('UPDATE 1'));
    rig.lose(1);
    rig.say(0, replies.error('57014'), replies.ready());
    expect(rig.outcomes).toEqual(['08006 []']);
  });
});

describe('where the first shard leads', () => {
  const options = { firstLeads: true, merge: { kind: 'first' } } as const;

  test('the others start when it has succeeded', () => {
    const rig = new Rig(3, options);
    expect(rig.transports.map((transport) => transport.written !== '')).toEqual([
      true,
      false,
      false,
    ]);
    rig.say(0, ended('CREATE TABLE'));
    expect(rig.transports.map((transport) => transport.written !== '')).toEqual([true, true, true]);
    rig.say(2, ended('CREATE TABLE'));
    rig.say(1, ended('CREATE TABLE'));
    expect(rig.outcomes).toEqual(['CREATE TABLE [0,1,2]']);
  });

  test('the others never start when it fails', () => {
    const rig = new Rig(3, options);
    rig.say(0, replies.error('42P07'), replies.ready());
    expect(rig.outcomes).toEqual(['42P07 []']);
    expect(rig.transports.map((transport) => transport.written !== '')).toEqual([
      true,
      false,
      false,
    ]);
    expect(rig.cancelled).toEqual([]);
  });
});

describe('tags', () => {
  test.each([
    [['UPDATE 3', 'UPDATE 4'], 'UPDATE 7'],
    [['INSERT 0 1', 'INSERT 0 0', 'INSERT 0 2'], 'INSERT 0 3'],
    [['SELECT 0'], 'SELECT 0'],
    [['COPY 999999999', 'COPY 1'], 'COPY 1000000000'],
    [['CREATE TABLE', 'CREATE TABLE'], 'CREATE TABLE'],
    [['BEGIN'], 'BEGIN'],
  ])('%j is %s', (tags, sum) => {
    expect(addTags(tags)).toBe(sum);
  });
});
