import type { Vindex } from '../keyspace/vindex.js';
import { makeComputed } from './computed.js';
import { digestSinks } from './digest-sinks.js';
import type { KeyFamily } from './key-sinks.js';
import { md5Start } from './md5-digest.js';

const sinks = digestSinks(md5Start);

/**
 * The first 64 bits of the MD5 digest of the value's text: what Vitess's `binary_md5` begins with. PostgreSQL and MySQL
 * both compute it: conv(left(md5(x), 16), 16, 10).
 */
export function makeMd5Vindex(name: string): Vindex {
  return makeComputed({ name, type: 'md5', mapping: 'md5', sinks, sql });
}

function sql(column: string, family: KeyFamily): string {
  // md5 takes text or bytea; the casts change nothing but domains.
  const type = { int: 'int8::pg_catalog.text', uuid: 'uuid::pg_catalog.text', bytea: 'bytea' };
  const text = family === 'int' || family === 'uuid' || family === 'bytea' ? type[family] : 'text';
  const digest = `pg_catalog.md5(${column}::pg_catalog.${text})`;
  return `('x' || pg_catalog.substr(${digest}, 1, 16))::bit(64)::int8`;
}
