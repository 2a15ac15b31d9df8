import { beforeEach, describe, expect, test } from 'vitest';
import type { BackendConnection } from '../../../../src/backend/postgres/connection.js';
import { CAPTURE, PASS } from '../../../../src/backend/postgres/expected-replies.js';
import { RecordingSink } from './recording-sink.js';
import { replies } from './replies.js';
import { ScriptedTransport } from './scripted-transport.js';

const reason = replies.error('40P01', 'deadlock detected');
const canceled = replies.error('57014', 'canceling statement');
let transport: ScriptedTransport;
let sink: RecordingSink;
let backend: BackendConnection;

beforeEach(() => {
  transport = new ScriptedTransport(64);
  sink = new RecordingSink();
  backend = transport.backend(sink);
});

describe('the reason of a cancellation', () => {
  test('takes the place of the error, between what stands around it', () => {
    backend.query('UPDATE', PASS);
    backend.cancel(reason);
    const notice = replies.notice('before');
    transport.deliver(Buffer.concat([notice, canceled, replies.ready('E')]));
    expect(sink.passed).toBe(
      Buffer.concat([notice, reason, replies.ready('E')]).toString('latin1'),
    );
    expect(sink.failures).toEqual(['40P01']);
  });

  test('is what an operation hears', () => {
    backend.query('UPDATE', CAPTURE);
    backend.cancel(reason);
    transport.deliver(Buffer.concat([canceled, replies.ready('E')]));
    expect(sink.passed).toBe('');
    expect(sink.failures).toEqual(['40P01']);
    expect(sink.capturedTypes).toBe('E');
  });

  test('is not told of another error, nor of a later statement', () => {
    backend.query('UPDATE', PASS);
    backend.cancel(reason);
    transport.deliver(Buffer.concat([replies.error('23505'), replies.ready('E')]));
    backend.query('ROLLBACK', PASS);
    transport.deliver(Buffer.concat([canceled, replies.ready('I')]));
    expect(sink.failures).toEqual(['23505', '57014']);
  });

  test('gives way to that of a client who cancels too', () => {
    backend.query('UPDATE', PASS);
    backend.cancel(reason);
    backend.cancel();
    transport.deliver(Buffer.concat([canceled, replies.ready('E')]));
    expect(sink.failures).toEqual(['57014']);
  });
});
