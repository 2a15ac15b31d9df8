/**
 * Goal: no bytes of a client or a shard make a reader throw anything but its own error, read beyond the message, or
 * take long. Method: valid messages with bytes changed, cut, doubled and lengths falsified, and plain noise; what is
 * read must lie within the message. The seed is printed by fast-check with a failure; SHARDGATE_FUZZ_RUNS raises the
 * number of runs.
 */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { SqlError } from '../../../src/errors/sql-error.js';
import {
  readDataRow,
  readErrorFields,
  readParameterStatus,
  readSqlState,
  readTag,
} from '../../../src/protocol/backend-messages.js';
import {
  BindLayout,
  queryTextEnd,
  readExecute,
  readParse,
  readTarget,
  resultFormats,
} from '../../../src/protocol/frontend-messages.js';
import { ScramClient, ScramError, ScramServer } from '../../../src/protocol/scram.js';
import { readOptions, readStartup } from '../../../src/protocol/startup.js';

const numRuns = Number(process.env['SHARDGATE_FUZZ_RUNS'] ?? 1500);

const piece = fc.oneof(
  fc.constantFrom('\0', 's1\0', 'select $1\0', 'S', 'P', '\0\0', '\0\x01', '\0\x02', '\xff\xff'),
  fc.constantFrom('\0\0\0\0', '\0\0\0\x01', '\0\0\0\x02ab', '\xff\xff\xff\xff', '\x7f\xff\xff\xff'),
  fc.string({ maxLength: 4 }),
);

/** A message with a header, mostly built of what messages are built of. */
const messageBytes = fc
  .oneof(
    fc.array(piece, { maxLength: 12 }).map((pieces) => Buffer.from(pieces.join(''), 'latin1')),
    fc.uint8Array({ maxLength: 60 }).map((bytes) => Buffer.from(bytes)),
  )
  .map((content) => Buffer.concat([Buffer.from('?\0\0\0\0'), content]));

/** What lies behind the message in the read buffer: bytes that would complete a message which is cut off. */
const BEHIND = Buffer.from('\0\0\0\0\0\0\0\x01a\0\0\0\0\0\0', 'latin1');
const FRONT = Buffer.from('abc');

/** Runs the reader on every message; nothing but the errors it may throw comes out. */
function fuzz(
  read: (buffer: Buffer, start: number, end: number) => void,
  mayThrow: (error: unknown) => boolean = () => false,
): void {
  fc.assert(
    fc.property(messageBytes, (bytes) => {
      const buffer = Buffer.concat([FRONT, bytes, BEHIND]);
      try {
        read(buffer, FRONT.length, FRONT.length + bytes.length);
      } catch (error) {
        if (!mayThrow(error)) throw error;
      }
    }),
    { numRuns },
  );
}

const isProtocolError = (error: unknown): boolean =>
  error instanceof SqlError && (error.code === '08P01' || error.code === '22023');

function within(end: number, ...offsets: readonly number[]): void {
  for (const offset of offsets) expect(offset).toBeLessThanOrEqual(end);
}

describe('messages of clients', () => {
  test('Parse', () => {
    fuzz((buffer, start, end) => {
      const parse = readParse(buffer, start, end);
      within(end, parse.textStart, parse.textEnd, parse.textEnd + 3 + 4 * parse.paramTypes.length);
    }, isProtocolError);
  });

  test('Bind', () => {
    const layout = new BindLayout();
    fuzz((buffer, start, end) => {
      layout.read(buffer, start, end);
      within(end, layout.portalEnd, layout.statementEnd, layout.restStart);
      if (layout.fault !== null) throw layout.fault;
      for (let i = 0; i < layout.valueCount; i++) {
        within(end, layout.valueStart[i]!, layout.valueEnd[i]!);
        expect(layout.valueStart[i]).toBeLessThanOrEqual(layout.valueEnd[i]!);
        expect(layout.isBinary(buffer, i)).toBeTypeOf('boolean');
      }
      expect(resultFormats(Buffer.from(buffer.subarray(layout.restStart, end)))(0)).toBeTypeOf(
        'boolean',
      );
    }, isProtocolError);
  });

  test('Describe, Close, Execute, Query', () => {
    fuzz((buffer, start, end) => {
      within(end - start, readTarget(buffer, start, end).name.length);
    }, isProtocolError);
    fuzz((buffer, start, end) => {
      const execute = readExecute(buffer, start, end);
      within(end - start, execute.portal.length);
      expect(execute.rowsMax).toBeGreaterThanOrEqual(0);
    }, isProtocolError);
    fuzz((buffer, start, end) => {
      within(end - 1, queryTextEnd(buffer, start, end));
    }, isProtocolError);
  });

  test('startup packets and their options', () => {
    fc.assert(
      fc.property(
        fc.constantFrom(0x30000, 0x30002, 80877102, 80877103, 80877104, 0x20000),
        messageBytes,
        (code, bytes) => {
          const header = Buffer.alloc(8);
          header.writeInt32BE(code, 4);
          const buffer = Buffer.concat([FRONT, header, bytes, BEHIND]);
          const packet = readStartup(buffer, FRONT.length, buffer.length - BEHIND.length);
          if (packet.kind === 'refused') expect(packet.error.severity).toBe('FATAL');
        },
      ),
      { numRuns },
    );
    fc.assert(
      fc.property(fc.string({ unit: fc.constantFrom('-c', '--', '=', ' ', '\\', 'a') }), (text) => {
        readOptions(text);
      }),
      { numRuns },
    );
  });

  test('SCRAM', () => {
    const verifier = {
      iterations: 1,
      salt: Buffer.alloc(16),
      storedKey: Buffer.alloc(32),
      serverKey: Buffer.alloc(32),
    };
    const word = fc.constantFrom(
      'n,,',
      'n=',
      'r=',
      'c=biws',
      ',',
      'p=',
      'AAAA',
      '=',
      'x',
      'é',
      '\0',
    );
    fc.assert(
      fc.property(fc.string({ unit: word }), fc.string({ unit: word }), (first, final) => {
        const server = new ScramServer(verifier);
        for (const step of [() => server.first(first), () => server.final(final)]) {
          try {
            step();
          } catch (error) {
            if (!(error instanceof ScramError)) throw error;
          }
        }
      }),
      { numRuns },
    );
  });
});

describe('messages of shards', () => {
  test('errors, parameters, tags', () => {
    fuzz((buffer, start, end) => {
      for (const [letter, value] of readErrorFields(buffer, start, end)) {
        expect(letter).toHaveLength(1);
        within(end - start, value.length);
      }
      within(end - start, readSqlState(buffer, start, end).length);
      const status = readParameterStatus(buffer, start, end);
      if (status !== null) within(end - start, status.name.length + status.value.length);
      within(end - start, readTag(buffer, start, end).length);
    });
  });

  test('rows', () => {
    fuzz(
      (buffer, start, end) => {
        for (const value of readDataRow(buffer, start, end))
          within(end - start, value?.length ?? 0);
      },
      (error) => error instanceof RangeError,
    );
  });

  test('SCRAM', async () => {
    const word = fc.constantFrom('r=', 's=', 'i=1', ',', 'AAAA', 'v=', '9', '=', 'é', '\0');
    await fc.assert(
      fc.asyncProperty(fc.string({ unit: word }), fc.boolean(), async (rest, nonce) => {
        const client = new ScramClient('x');
        const own = nonce ? client.first().slice('n,,n=*,'.length) : '';
        try {
          await client.final(own + rest);
          client.verify(rest);
        } catch (error) {
          if (!(error instanceof ScramError)) throw error;
        }
      }),
      { numRuns: numRuns / 5 },
    );
  });
});
