import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { BackendConnection } from '../../../../src/backend/postgres/connection.js';
import {
  CAPTURE,
  DROP,
  Expect,
  PASS,
  type ExpectKind,
  type ReplyAction,
} from '../../../../src/backend/postgres/expected-replies.js';
import { TxStatus } from '../../../../src/protocol/codes.js';
import { PreparedTexts } from '../../../../src/backend/postgres/prepared-text.js';
import { RecordingSink } from './recording-sink.js';
import { replies } from './replies.js';
import { ScriptedTransport } from './scripted-transport.js';

/** One request and what the server answers to it. */
interface Step {
  readonly kind: ExpectKind;
  readonly action: ReplyAction;
  readonly answer: readonly Buffer[];
  /** The server fails here: the rest up to Sync has no answer. */
  readonly fails: boolean;
  /** Bytes of our own that the client gets behind this answer. */
  readonly synthetic: Buffer | null;
}

const texts = new PreparedTexts();

function announce(backend: BackendConnection, step: Step): void {
  if (step.kind === Expect.parse) {
    backend.statements.parse(
      texts.intern(Buffer.from(`select ${Math.random()}\0\0\0`), ''),
      step.action,
    );
  } else backend.expect(step.kind, step.action);
  if (step.synthetic !== null) backend.synthesize(step.synthetic);
}

/** An error in a request of our own is the client's where it awaits an answer behind it in the same batch. */
function concerns(batch: readonly Step[]): ReplyAction {
  const { action } = batch[0]!;
  if (action !== DROP) return action;
  for (const step of batch) {
    if (step.kind === Expect.sync || step.kind === Expect.query) break;
    if (step.action === PASS || step.synthetic !== null) return PASS;
  }
  return DROP;
}

/** What the sink must have been told, by the rules: pass, drop, capture, and an error voids the rest up to Sync. */
function expected(steps: readonly Step[]): {
  stream: Buffer;
  passed: string;
  capturedTypes: string;
  capturedBytes: string;
  statuses: string[];
  failures: string[];
} {
  const stream: Buffer[] = [];
  let passed = '';
  let capturedTypes = '';
  let capturedBytes = '';
  const statuses: string[] = [];
  const failures: string[] = [];
  let failed = false;
  const give = (bytes: Buffer, action: ReplyAction): void => {
    stream.push(bytes);
    const type = String.fromCharCode(bytes[0]!);
    if (type === 'Z') statuses.push(String.fromCharCode(bytes[5]!) + String(action >> 4));
    if (type === 'E') failures.push('22012');
    if (action === PASS) passed += bytes.toString('latin1');
    else if (action === CAPTURE && type === 'D') capturedBytes += bytes.toString('latin1');
    else if (action === CAPTURE && type !== 'Z') capturedTypes += type;
  };
  for (const [index, { kind, action, answer, fails, synthetic }] of steps.entries()) {
    const ends = kind === Expect.sync || kind === Expect.query;
    if (failed && !ends) continue;
    if (kind === Expect.query || !ends) {
      // An error comes in place of the last message.
      for (const bytes of fails ? answer.slice(0, -1) : answer) give(bytes, action);
      if (fails) {
        give(replies.error('22012'), ends ? action : concerns(steps.slice(index)));
        failed = !ends;
      }
    }
    if (ends) {
      give(replies.ready(failed || fails ? 'E' : 'I'), action);
      failed = false;
    }
    if (!failed && synthetic !== null) passed += synthetic.toString('latin1');
  }
  return {
    stream: Buffer.concat(stream),
    passed,
    capturedTypes,
    capturedBytes,
    statuses,
    failures,
  };
}

const row = fc.integer({ min: 0, max: 60 }).map((length) => replies.row('v'.repeat(length)));
const between = fc.constantFrom(
  replies.notice('n'),
  replies.parameter('a', 'b'),
  replies.notification,
);
const complete = fc.constantFrom(replies.complete('SELECT 1'), replies.emptyQuery);
const rows = fc.array(fc.oneof({ weight: 4, arbitrary: row }, between), { maxLength: 6 });
/** Longer than the headroom: assembled apart. */
const large = fc.constant(replies.notice('x'.repeat(100)));

const answers: Record<string, fc.Arbitrary<readonly Buffer[]>> = {
  [Expect.parse]: fc.constant([replies.parseComplete]),
  [Expect.bind]: fc.constant([replies.bindComplete]),
  [Expect.close]: fc.constant([replies.closeComplete]),
  [Expect.describe]: fc.constantFrom(
    [replies.rowDescription],
    [replies.noData],
    [replies.parameterDescription, replies.rowDescription],
    [replies.parameterDescription, replies.noData],
  ),
  [Expect.execute]: fc.tuple(rows, complete).map(([list, end]) => [...list, end]),
  [Expect.sync]: fc.constant([]),
  [Expect.query]: fc
    .tuple(rows, fc.option(large, { nil: null }), complete)
    .map(([list, extra, end]) => [replies.rowDescription, ...list, ...(extra ? [extra] : []), end]),
};

/** Requests under these actions, each batch ended by Sync. */
function batches(actions: readonly ReplyAction[]): fc.Arbitrary<Step[]> {
  const step = (kinds: readonly ExpectKind[]): fc.Arbitrary<Step> =>
    fc.constantFrom(...kinds).chain((kind) =>
      fc.record({
        kind: fc.constant(kind),
        action: fc.constantFrom(...actions),
        answer: answers[kind]!,
        fails:
          kind === Expect.sync
            ? fc.constant(false)
            : fc.integer({ min: 0, max: 4 }).map((dice) => dice === 0),
        synthetic: fc.option(fc.constant(Buffer.from('<own>')), { nil: null, freq: 4 }),
      }),
    );
  const { parse, bind, close, describe: described, execute, sync, query } = Expect;
  const extended = fc.array(step([parse, bind, close, described, execute]), { maxLength: 5 });
  const batch = fc.oneof(
    fc.tuple(extended, step([sync])).map(([steps, end]) => [...steps, end]),
    step([query]).map((one) => [one]),
  );
  return fc.array(batch, { minLength: 1, maxLength: 4 }).map((list) => list.flat());
}

const HEADROOM = 24;

/** Runs the steps over reads of these sizes; `slow` says at which calls the client or merger holds up the backend. */
function run(steps: readonly Step[], sizes: readonly number[], slow: readonly boolean[]): void {
  const sink = new RecordingSink();
  const transport = new ScriptedTransport(HEADROOM);
  const backend = transport.backend(sink);
  let call = 0;
  const takes = (): boolean => slow.length === 0 || !slow[call++ % slow.length]!;
  sink.takes = takes;
  sink.takesData = takes;
  for (const step of steps) announce(backend, step);
  const want = expected(steps);
  const { stream } = want;
  for (let at = 0, i = 0; at < stream.length; i++) {
    const size = sizes[i % sizes.length]!;
    transport.deliver(stream.subarray(at, at + size));
    // Half of those who wait are let go on only after several tries.
    for (let tries = 0; transport.paused; tries++) {
      expect(tries).toBeLessThan(1000);
      if (tries > 500) sink.takes = sink.takesData = () => true;
      backend.resumeReading();
    }
    at += size;
  }
  expect(sink.closes).toEqual([]);
  expect(sink.passed).toBe(want.passed);
  expect(sink.capturedTypes).toBe(want.capturedTypes);
  expect(sink.capturedBytes).toBe(want.capturedBytes);
  expect(sink.statuses).toEqual(want.statuses);
  expect(sink.failures).toEqual(want.failures);
  expect(backend.quiet).toBe(true);
  expect(backend.skipsToSync).toBe(false);
  expect(backend.free).toBe(backend.status === TxStatus.idle);
}

const cuts = fc.array(fc.integer({ min: 1, max: 90 }), { minLength: 1, maxLength: 8 });
const holds = fc.array(fc.boolean(), { maxLength: 6 });

describe('answers go where they were announced to go, however the stream is cut', () => {
  test('passed and dropped: what routed statements use', () => {
    fc.assert(fc.property(batches([PASS, DROP]), cuts, fc.constant([]), run), { numRuns: 400 });
  });

  test('captured: what fan-outs use', () => {
    fc.assert(fc.property(batches([CAPTURE]), cuts, fc.constant([]), run), { numRuns: 300 });
  });

  test('while the client reads slowly', () => {
    fc.assert(fc.property(batches([PASS, DROP]), cuts, holds, run), { numRuns: 400 });
  });

  test('while shards wait for their turn', () => {
    fc.assert(fc.property(batches([CAPTURE, DROP]), cuts, holds, run), { numRuns: 300 });
  });

  test('byte by byte, and all at once', () => {
    fc.assert(
      fc.property(batches([PASS, DROP]), (steps) => {
        run(steps, [1], []);
        run(steps, [1_000_000], []);
      }),
      { numRuns: 100 },
    );
  });

  test('cut at every place', () => {
    const step = (kind: ExpectKind, action: ReplyAction, ...answer: Buffer[]): Step => ({
      kind,
      action,
      answer,
      fails: false,
      synthetic: null,
    });
    const steps = [
      step(Expect.parse, DROP, replies.parseComplete),
      step(Expect.bind, PASS, replies.bindComplete),
      step(
        Expect.execute,
        PASS,
        replies.row('a'),
        replies.notice('x'.repeat(60)),
        replies.row('b'.repeat(70)),
        replies.complete('SELECT 2'),
      ),
      step(Expect.sync, PASS),
    ];
    const { stream } = expected(steps);
    for (let cut = 1; cut < stream.length; cut++) run(steps, [cut, stream.length], []);
  });
});

test('contiguous messages for the client are one write', () => {
  const sink = new RecordingSink();
  const transport = new ScriptedTransport(HEADROOM);
  const backend = transport.backend(sink);
  backend.expect(Expect.query, PASS);
  const bytes = [
    replies.rowDescription,
    replies.row('a'),
    replies.row('b'),
    replies.complete('SELECT 2'),
    replies.ready(),
  ];
  transport.deliver(Buffer.concat(bytes));
  expect(sink.calls).toEqual(['pass', 'ready']);
});

test('ReadyForQuery that the client has not taken is not the end yet', () => {
  const sink = new RecordingSink();
  const transport = new ScriptedTransport(HEADROOM);
  const backend = transport.backend(sink);
  backend.expect(Expect.query, PASS);
  sink.takes = () => false;
  transport.deliver(Buffer.concat([replies.complete('X'), replies.ready()]));
  expect(sink.statuses).toEqual([]);
  expect(backend.quiet).toBe(false);
  sink.takes = () => true;
  backend.resumeReading();
  expect(sink.statuses).toEqual(['I0']);
  expect(transport.paused).toBe(false);
});

test('a row of many megabytes is not kept: every read is passed on at once', () => {
  const sink = new RecordingSink();
  const transport = new ScriptedTransport(HEADROOM);
  const backend = transport.backend(sink);
  backend.expect(Expect.query, PASS);
  const whole = replies.row('x'.repeat(1_000_000));
  for (let at = 0; at < whole.length; at += 10_000) {
    transport.deliver(whole.subarray(at, at + 10_000));
    expect(sink.passed.length).toBe(Math.min(at + 10_000, whole.length));
  }
});

test('settled is told when the answers are there, without ReadyForQuery', () => {
  const sink = new RecordingSink();
  const transport = new ScriptedTransport(HEADROOM);
  const backend = transport.backend(sink);
  backend.expect(Expect.bind, PASS);
  backend.expect(Expect.execute, PASS);
  backend.notifyWhenSettled();
  backend.flush();
  expect(transport.written).toBe('H\0\0\0\x04');
  transport.deliver(replies.bindComplete);
  expect(sink.calls).toEqual(['pass']);
  transport.deliver(replies.complete('SELECT 0'));
  expect(sink.calls).toEqual(['pass', 'pass', 'settled']);
});
