import { describe, expect, test } from 'vitest';
import { Writer } from '../../../src/protocol/writer.js';

describe('Writer', () => {
  test('messages back to back, lengths filled in', () => {
    const writer = new Writer(4);
    writer.begin(0x51).cstring('hé').end().begin(0x53).end();
    expect(writer.take().toString('latin1')).toBe('Q\0\0\0\x08h\xc3\xa9\0S\0\0\0\x04');
    expect(writer.size).toBe(0);
  });

  test('a message without type byte', () => {
    const bytes = new Writer(1).beginUntyped().int32(-2).int16(0x1ff).byte(7).end().take();
    expect(bytes.toString('hex')).toBe('0000000bfffffffe01ff07');
  });

  test('an unsigned OID and a negative number are the same four bytes', () => {
    expect(new Writer().int32(0xffffffff).take()).toEqual(new Writer().int32(-1).take());
  });

  test('grows while a message is open, whatever the step', () => {
    for (const size of [1, 63, 64, 65, 5000]) {
      const chunk = Buffer.alloc(size, 0x61);
      const writer = new Writer(8).begin(0x64);
      for (let i = 0; i < 10; i++) writer.bytes(chunk);
      const message = writer.end().take();
      expect(message.readInt32BE(1)).toBe(4 + 10 * size);
      expect(message.subarray(5).equals(Buffer.alloc(10 * size, 0x61))).toBe(true);
    }
  });

  test('parts of a buffer, short and long', () => {
    const source = Buffer.from('0123456789'.repeat(20));
    expect(new Writer(1).bytes(source, 3, 7).take().toString()).toBe('3456');
    expect(new Writer(1).bytes(source, 5, 195).take()).toEqual(source.subarray(5, 195));
    expect(new Writer(1).bytes(source, 4, 4).take().length).toBe(0);
  });

  test('a zero byte ends a string, so that it cannot forge a field', () => {
    expect(new Writer().cstring('a\0Cxx').take().toString('latin1')).toBe('a\0');
  });

  test('text of three and four bytes a character', () => {
    const text = '日本𝄞'.repeat(1000);
    expect(new Writer(1).cstring(text).take()).toEqual(Buffer.from(`${text}\0`));
  });

  test('a buffer that the transport still reads is left to it', () => {
    const writer = new Writer(64).cstring('first');
    const inFlight = writer.view();
    writer.sent(false);
    writer.cstring('other');
    expect(inFlight.toString()).toBe('first\0');
    expect(writer.view().toString()).toBe('other\0');
  });

  test('a buffer that has left is used again, a huge one is given back', () => {
    const writer = new Writer(64).cstring('first');
    const { buffer } = writer.view();
    writer.sent(true);
    expect(writer.cstring('x').view().buffer).toBe(buffer);
    writer.bytes(Buffer.alloc(1_000_000));
    writer.sent(true);
    expect(writer.cstring('x').view().buffer.byteLength).toBe(64);
  });

  test('what was taken is a copy', () => {
    const writer = new Writer().cstring('a');
    const copy = writer.take();
    writer.cstring('b');
    expect(copy.toString()).toBe('a\0');
  });
});

describe('a writer that borrows', () => {
  const large = Buffer.alloc(3 * 2 ** 20, 'x');

  function sent(writer: Writer): Buffer {
    const { size } = writer;
    const bytes = Buffer.concat([...writer.takePieces(), writer.view()]);
    expect(bytes.length).toBe(size);
    writer.sent(true);
    expect(writer.size).toBe(0);
    return bytes;
  }

  function write(writer: Writer): Writer {
    writer.begin(0x51).cstring('first').end();
    writer.begin(0x42).cstring('').int32(large.length).bytes(large).int16(7);
    writer
      .bytes(large, 5, 2 ** 20 + 5)
      .bytes(Buffer.alloc(100, 'y'))
      .end();
    writer.begin(0x53).end();
    return writer.bytes(large).begin(0x45).int32(5).end();
  }

  test('sends what one sends that copies', () => {
    expect(sent(write(new Writer(64, true))).equals(write(new Writer(64)).view())).toBe(true);
  });

  test('does not copy what is large', () => {
    const writer = new Writer(64, true).begin(0x42).bytes(large).end();
    expect(writer.takePieces().some(({ buffer }) => buffer === large.buffer)).toBe(true);
  });

  test('may be used again', () => {
    const writer = new Writer(64, true);
    const first = sent(write(writer));
    expect(sent(write(writer)).equals(first)).toBe(true);
    writer.begin(0x51).cstring('small').end();
    expect(writer.hasPieces).toBe(false);
    expect(sent(writer).toString('latin1')).toBe('Q\0\0\0\x0asmall\0');
  });
});
