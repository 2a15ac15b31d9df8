import { sqlError, type SqlError } from '../errors/sql-error.js';
import { afterCString, readInt32 } from './framing.js';
import { CANCEL_REQUEST, GSSENC_REQUEST, LATEST_MINOR, SSL_REQUEST } from './codes.js';
import { Writer } from './writer.js';

/** MAX_STARTUP_PACKET_LENGTH of PostgreSQL, and the length itself. */
export const STARTUP_BYTES_MAX = 10_004;

export type StartupPacket =
  | { readonly kind: 'ssl' | 'gssenc' }
  | { readonly kind: 'cancel'; readonly pid: number; readonly secret: Buffer }
  /** A cancel request that cannot be one: closed without an answer, as every cancel request. */
  | { readonly kind: 'noise' }
  | {
      readonly kind: 'startup';
      readonly minor: number;
      readonly parameters: ReadonlyMap<string, string>;
      /** `_pq_.` options, none of which is known. */
      readonly unknownOptions: readonly string[];
    }
  /** Refused; `legacy`: the client speaks protocol 2 and reads errors as plain text. */
  | { readonly kind: 'refused'; readonly error: SqlError; readonly legacy: boolean };

/** Reads a whole packet, length included (PostgreSQL 18, 54.2.1). */
export function readStartup(buffer: Buffer, start: number, end: number): StartupPacket {
  const code = readInt32(buffer, start + 4);
  if (code === SSL_REQUEST) return { kind: 'ssl' };
  if (code === GSSENC_REQUEST) return { kind: 'gssenc' };
  if (code === CANCEL_REQUEST) {
    // Protocol 3.0 has keys of 4 bytes, 3.2 of up to 256.
    if (end - start < 16 || end - start > 12 + 256) {
      return { kind: 'noise' };
    }
    return {
      kind: 'cancel',
      pid: readInt32(buffer, start + 8),
      secret: Buffer.from(buffer.subarray(start + 12, end)),
    };
  }
  const major = (code >> 16) & 0xffff;
  const minor = code & 0xffff;
  if (major !== 3) {
    return {
      kind: 'refused',
      error: unsupportedProtocol(major, minor),
      legacy: major === 1 || major === 2,
    };
  }
  const parameters = new Map<string, string>();
  const unknownOptions: string[] = [];
  let at = start + 8;
  while (at < end && buffer[at] !== 0) {
    const nameEnd = afterCString(buffer, at, end);
    const valueEnd = nameEnd < 0 ? -1 : afterCString(buffer, nameEnd, end);
    if (valueEnd < 0)
      return malformed('invalid startup packet layout: expected terminator as last byte');
    const name = buffer.toString('utf8', at, nameEnd - 1);
    if (name.startsWith('_pq_.')) unknownOptions.push(name);
    else parameters.set(name, buffer.toString('utf8', nameEnd, valueEnd - 1));
    at = valueEnd;
  }
  if (at !== end - 1) {
    return malformed('invalid startup packet layout: expected terminator as last byte');
  }
  return { kind: 'startup', minor, parameters, unknownOptions };
}

/** The error that every version but 3 gets, and minor ones below the oldest. */
export function unsupportedProtocol(major: number, minor: number, oldest = 0): SqlError {
  return sqlError(
    'feature_not_supported',
    `unsupported frontend protocol ${major}.${minor}: server supports 3.${oldest} to 3.${LATEST_MINOR}`,
    { severity: 'FATAL' },
  );
}

function malformed(message: string): StartupPacket {
  const error = sqlError('protocol_violation', message, { severity: 'FATAL' });
  return { kind: 'refused', error, legacy: false };
}

/** NegotiateProtocolVersion, or null where the client asked for nothing that is not spoken. */
export function negotiation(minor: number, unknownOptions: readonly string[]): Buffer | null {
  if (minor <= LATEST_MINOR && unknownOptions.length === 0) return null;
  const writer = new Writer(64).begin(0x76);
  writer.int32((3 << 16) | Math.min(minor, LATEST_MINOR)).int32(unknownOptions.length);
  for (const option of unknownOptions) writer.cstring(option);
  return writer.end().take();
}

/** Splits `options` (`-c a=b --c=d`, backslash escapes) into settings; an error where it holds anything else. */
export function readOptions(text: string): ReadonlyMap<string, string> | SqlError {
  const words = optionWords(text);
  const settings = new Map<string, string>();
  for (let i = 0; i < words.length; i++) {
    const word = words[i]!;
    let setting: string | undefined;
    if (word === '-c') setting = words[++i];
    else if (word.startsWith('-c') || word.startsWith('--')) setting = word.slice(2);
    if (setting === undefined) {
      const message = `invalid command-line argument for server process: ${word}`;
      const hint = 'Only -c name=value and --name=value are taken in options.';
      return sqlError('syntax_error', message, { hint });
    }
    const equals = setting.indexOf('=');
    if (equals < 0) {
      const option = word.startsWith('--') ? word : `-c ${setting}`;
      return sqlError('syntax_error', `${option} requires a value`);
    }
    if (equals === 0) {
      return sqlError('undefined_object', 'unrecognized configuration parameter ""');
    }
    settings.set(
      setting.slice(0, equals).replaceAll('-', '_').toLowerCase(),
      setting.slice(equals + 1),
    );
  }
  return settings;
}

function optionWords(text: string): string[] {
  const words: string[] = [];
  let word = '';
  let inWord = false;
  for (let i = 0; i < text.length; i++) {
    const character = text[i]!;
    if (character === '\\') {
      // A last backslash escapes nothing and vanishes.
      word += text[++i] ?? '';
      inWord = true;
    } else if (' \t\n\v\f\r'.includes(character)) {
      if (inWord) words.push(word);
      word = '';
      inWord = false;
    } else {
      word += character;
      inWord = true;
    }
  }
  if (inWord) words.push(word);
  return words;
}
