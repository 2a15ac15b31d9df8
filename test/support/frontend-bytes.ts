import { bindValue, cstring, frame, int16, int32 } from './wire-messages.js';

/** The messages that clients send, as bytes. Source: PostgreSQL 18, "Message Formats" (54.7). */

export interface BindOptions {
  readonly portal?: string;
  readonly statement?: string;
  readonly values?: readonly (string | Buffer | null)[];
  /** 0 text, 1 binary; one for all or one each. */
  readonly formats?: readonly number[];
  readonly resultFormats?: readonly number[];
}

export function query(sql: string): Buffer {
  return frame('Q', sql);
}

export function parse(sql: string, statement = '', typeOids: readonly number[] = []): Buffer {
  return frame('P', statement, sql, int16(typeOids.length), ...typeOids.map(int32));
}

export function bind(options: BindOptions = {}): Buffer {
  const { values = [], formats = [], resultFormats = [] } = options;
  return frame(
    'B',
    cstring(options.portal ?? ''),
    cstring(options.statement ?? ''),
    int16(formats.length),
    ...formats.map(int16),
    int16(values.length),
    ...values.map(bindValue),
    int16(resultFormats.length),
    ...resultFormats.map(int16),
  );
}

export function describe(kind: 'S' | 'P', name = ''): Buffer {
  return frame('D', Buffer.from(kind), name);
}

/** @param rowsMax 0: all */
export function execute(portal = '', rowsMax = 0): Buffer {
  return frame('E', portal, int32(rowsMax));
}

export function close(kind: 'S' | 'P', name = ''): Buffer {
  return frame('C', Buffer.from(kind), name);
}

export function sync(): Buffer {
  return frame('S');
}

export function flush(): Buffer {
  return frame('H');
}

export function copyData(data: string | Buffer): Buffer {
  return frame('d', typeof data === 'string' ? Buffer.from(data) : data);
}

export function copyDone(): Buffer {
  return frame('c');
}

export function copyFail(reason: string): Buffer {
  return frame('f', reason);
}

export function terminate(): Buffer {
  return frame('X');
}

/** StartupMessage; `parameters` are names and values in turns. */
export function startup(version: number, ...parameters: readonly string[]): Buffer {
  return frame('', int32(version), ...parameters, Buffer.from([0]));
}

/** The packets of a connection's start that hold nothing but a code: SSLRequest, GSSENCRequest. */
export function startRequest(code: number): Buffer {
  return frame('', int32(code));
}

/** @param key process id and secret, as BackendKeyData had them */
export function cancelRequest(key: Buffer): Buffer {
  return frame('', int32(80_877_102), key);
}
