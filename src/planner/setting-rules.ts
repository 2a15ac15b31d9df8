import type { SettingEffect } from './plan.js';
import { refuse } from './refusals.js';

/** What SET TRANSACTION sets: each transaction begins with its default. */
export const TRANSACTION_SETTINGS: ReadonlySet<string> = new Set([
  'transaction_isolation',
  'transaction_read_only',
  'transaction_deferrable',
]);

/** Whether PostgreSQL takes the text for true. */
export function isTrue(text: string): boolean {
  return /^\s*(on|t|tr|tru|true|y|ye|yes|1)\s*$/i.test(text);
}

/** Encodings in which text keeps the bytes that Shardgate and the shards see alike. */
const clientEncodings = new Set(['utf8', 'unicode', 'sqlascii']);

/**
 * Refuses settings under which the proxy would read statements or keys in another way than the
 * shards.
 */
export function checkSetting(effect: SettingEffect): void {
  const { name, value } = effect;
  if (name === 'session_authorization') {
    refuse(
      'SET SESSION AUTHORIZATION is not supported: clients share server sessions',
      'Use SET ROLE, or connect as the other user.',
    );
  }
  if (value === null) return;
  if (name === 'seed') {
    refuse(
      'setting "seed" is not supported: it belongs to a server session, which clients share',
      'Generate repeatable random numbers in the client.',
    );
  }
  if (name === 'standard_conforming_strings' && !isTrue(value)) {
    refuse(
      'standard_conforming_strings = off is not supported: strings would end elsewhere than Shardgate reads',
      "Write backslash escapes as E'...'.",
    );
  }
  if (name === 'client_encoding' && !isReadEncoding(value)) {
    refuse(
      `client_encoding "${value}" is not supported: shard keys are mapped by their UTF-8 bytes`,
      'Use client_encoding UTF8.',
    );
  }
}

/** Whether clients may name this encoding: UTF-8, or none at all. */
export function isReadEncoding(name: string): boolean {
  return clientEncodings.has(plainEncoding(name));
}

/** Whether the name of an encoding stands for UTF-8. */
export function isUtf8(name: string): boolean {
  return /^(utf8|unicode)$/.test(plainEncoding(name));
}

/**
 * Encoding names compare without case and punctuation (PostgreSQL 18, encnames.c
 * clean_encoding_name).
 */
function plainEncoding(name: string): string {
  return name.toLowerCase().replace(/[^a-z0-9]/g, '');
}
