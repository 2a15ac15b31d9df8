import { expect, test } from 'vitest';
import { CAPTURE, Expect, PASS } from '../../../../src/backend/postgres/expected-replies.js';
import { message } from '../../protocol/messages.js';
import { RecordingSink } from './recording-sink.js';
import { replies } from './replies.js';
import { ScriptedTransport } from './scripted-transport.js';

function connected(): {
  sink: RecordingSink;
  transport: ScriptedTransport;
  backend: ReturnType<ScriptedTransport['backend']>;
} {
  const sink = new RecordingSink();
  const transport = new ScriptedTransport(24);
  return { sink, transport, backend: transport.backend(sink) };
}

test('what came before a violation passes, and nothing behind it', () => {
  const { sink, transport, backend } = connected();
  backend.expect(Expect.bind, PASS);
  backend.expect(Expect.execute, PASS);
  transport.deliver(Buffer.concat([replies.bindComplete, replies.parseComplete, replies.ready()]));
  expect(sink.calls).toEqual(['pass', 'closed']);
  expect(sink.passed).toBe(replies.bindComplete.toString('latin1'));
});

test('a false length behind good messages', () => {
  const { sink, transport, backend } = connected();
  backend.query('select', PASS);
  transport.deliver(Buffer.concat([replies.rowDescription, Buffer.from('C\0\0\0\x02', 'latin1')]));
  expect(sink.calls).toEqual(['pass', 'closed']);
});

test('ReadyForQuery in the middle of a pipeline reaches no client', () => {
  const { sink, transport, backend } = connected();
  backend.expect(Expect.execute, PASS);
  transport.deliver(replies.ready());
  expect(sink.calls).toEqual(['closed']);
});

test.each([
  ['no status', message('Z')],
  ['a status that does not exist', message('Z', 'X')],
  ['more than a status', message('Z', 'II')],
])('ReadyForQuery with %s reaches no client', (_name, bytes) => {
  const { sink, transport, backend } = connected();
  backend.query('select', PASS);
  transport.deliver(bytes);
  expect(sink.calls).toEqual(['closed']);
});

test('a sink that pauses and resumes within one call is read on', () => {
  const { sink, transport, backend } = connected();
  sink.takes = () => {
    backend.pauseReading();
    backend.resumeReading();
    return true;
  };
  for (const action of [PASS, CAPTURE] as const) {
    backend.query('select', action);
    sink.takesData = sink.takes;
    transport.deliver(
      Buffer.concat([
        replies.notice('n'),
        replies.row('a'),
        replies.complete('X'),
        replies.ready(),
      ]),
    );
    expect(transport.paused).toBe(false);
    expect(backend.quiet).toBe(true);
  }
});

test('a sink that throws at an answer is told so, and its connection is closed', () => {
  const { sink, transport, backend } = connected();
  sink.pass = () => {
    throw new Error('a fault');
  };
  backend.query('select', PASS);
  transport.deliver(Buffer.concat([replies.rowDescription, replies.ready()]));
  expect(sink.calls).toEqual(['closed']);
  expect(backend.alive).toBe(false);
});
