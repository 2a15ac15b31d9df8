import { describe, expect, test } from 'vitest';
import type { BackendConnection } from '../../../../src/backend/postgres/connection.js';
import { DROP, Expect, PASS } from '../../../../src/backend/postgres/expected-replies.js';
import {
  PreparedTexts,
  type PreparedText,
} from '../../../../src/backend/postgres/prepared-text.js';
import { RecordingSink } from './recording-sink.js';
import { replies } from './replies.js';
import { ScriptedTransport } from './scripted-transport.js';

const texts = new PreparedTexts();

function text(sql: string): PreparedText {
  return texts.intern(Buffer.from(`${sql}\0\0\0`), '');
}

function connected(preparedMax = 100): {
  backend: BackendConnection;
  sink: RecordingSink;
  server: (...bytes: Buffer[]) => void;
} {
  const sink = new RecordingSink();
  const transport = new ScriptedTransport(64);
  const backend = transport.backend(sink, preparedMax);
  return {
    backend,
    sink,
    server: (...bytes) => {
      transport.deliver(Buffer.concat(bytes));
    },
  };
}

describe('a backend is free', () => {
  test('only when a Sync has ended what was executed', () => {
    const { backend, server } = connected();
    backend.expect(Expect.execute, PASS);
    server(replies.complete('INSERT 0 1'));
    expect(backend.quiet).toBe(true);
    expect(backend.free).toBe(false);
    backend.sync(DROP);
    server(replies.ready());
    expect(backend.free).toBe(true);
  });

  test('not while it skips to Sync', () => {
    const { backend, server } = connected();
    backend.expect(Expect.execute, PASS);
    server(replies.error('22012'));
    expect(backend.skipsToSync).toBe(true);
    expect(backend.free).toBe(false);
    backend.sync(DROP);
    server(replies.ready());
    expect(backend.skipsToSync).toBe(false);
    expect(backend.free).toBe(true);
  });

  test('not by the answer to a query in front of the pipeline', () => {
    const { backend, server } = connected();
    backend.query('SET work_mem = 1', DROP);
    backend.expect(Expect.execute, PASS);
    server(replies.complete('SET'), replies.ready(), replies.complete('INSERT 0 1'));
    expect(backend.quiet).toBe(true);
    expect(backend.free).toBe(false);
  });

  test('after a query that failed, which skips nothing', () => {
    const { backend, server } = connected();
    backend.query('SELECT 1 / 0', PASS);
    server(replies.error('22012'), replies.ready());
    expect(backend.skipsToSync).toBe(false);
    expect(backend.free).toBe(true);
  });
});

describe('what a pipeline error skips', () => {
  test('a Close of our own: the server still has that statement', () => {
    const { backend, server } = connected(1);
    const [first, second] = [text('select 1'), text('select 2')];
    backend.statements.parse(first, PASS);
    server(replies.parseComplete);
    backend.expect(Expect.execute, PASS);
    // Closes the first to make room.
    backend.statements.parse(second, PASS);
    expect(backend.statements.knows(first)).toBe(false);
    server(replies.error('22012'));
    expect(backend.statements.knows(first)).toBe(true);
    expect(backend.statements.knows(second)).toBe(false);
  });

  test('a Close that was answered stays closed', () => {
    const { backend, server } = connected(1);
    const [first, second] = [text('select 1'), text('select 2')];
    backend.statements.parse(first, PASS);
    backend.statements.parse(second, PASS);
    server(replies.parseComplete, replies.closeComplete, replies.parseComplete);
    backend.expect(Expect.execute, PASS);
    server(replies.error('22012'));
    expect(backend.statements.knows(first)).toBe(false);
    expect(backend.statements.knows(second)).toBe(true);
  });
});

describe('an error in a message of our own', () => {
  test("is the client's when it awaits an answer behind it", () => {
    const { backend, sink, server } = connected();
    backend.statements.parse(text('select gone'), DROP);
    backend.expect(Expect.bind, PASS);
    backend.expect(Expect.execute, PASS);
    server(replies.error('42P01'));
    expect(sink.passed).toBe(replies.error('42P01').toString('latin1'));
  });

  test("is nobody's where the client awaits nothing of that batch", () => {
    const { backend, sink, server } = connected();
    backend.breakPipeline();
    backend.expect(Expect.execute, DROP);
    backend.sync(PASS);
    server(replies.error('34000'));
    expect(sink.passed).toBe('');
  });
});

test('the unnamed statement is gone as soon as a query is sent', () => {
  const { backend, server } = connected();
  const prepared = text('select 1');
  backend.statements.parseUnnamed(prepared, PASS);
  server(replies.parseComplete);
  expect(backend.statements.unnamed).toBe(prepared);
  backend.query('BEGIN', DROP);
  expect(backend.statements.unnamed).toBe(null);
  backend.statements.parseUnnamed(prepared, PASS);
  // The answer to BEGIN says nothing about what was parsed behind it.
  server(replies.complete('BEGIN'), replies.ready('T'), replies.parseComplete);
  expect(backend.statements.unnamed).toBe(prepared);
});
