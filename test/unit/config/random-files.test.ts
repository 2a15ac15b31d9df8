// Goal: whatever a file holds, reading it gives a configuration or the problems error, in bounded
// time, and never shows a secret. Method: random trees of the file's own keys and of nonsense,
// printed as YAML; sound files with random edits; random text. Failures print the seed and the
// smallest file (fast-check).
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { stringify } from 'yaml';
import { ConfigError, formatProblem } from '../../../src/config/problems.js';
import { KEYSPACES, load } from './fixtures.js';

const SECRET = 'hunter2';
const ENV = { S: SECRET };
const KEYS = [
  'listen', 'http', 'auth', 'pool', 'limits', 'keyspaces', 'shards', 'tables', 'vindexes', 'name',
  'range', 'ranges', 'primary', 'replicas', 'type', 'shard_key', 'vindex', 'users', 'password',
  'method', 'tls', 'mode', 'port', 'host', 'workers', 'size', 'default_keyspace', 'k', 's0', '<<',
  '__proto__', 'constructor', 'toString',
]; // prettier-ignore
const SCALARS = [
  '-40', '40-', '-', 'hash', 'trust', 'md5', 'reference', 'postgres://u:x@h/d', '${S}', '${', '5s',
  '64MB', 'file:x', '\ud800', 'postgres://u:${S}@h/d', '%', '[::1]',
]; // prettier-ignore

function settles(text: string): void {
  try {
    load(text, ENV);
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    expect(error.problems.length).toBeGreaterThan(0);
    const lines = text.split(/\r\n|\n|\r/).length;
    for (const problem of error.problems) {
      expect(problem.line).toBeGreaterThanOrEqual(1);
      expect(problem.line).toBeLessThanOrEqual(lines);
      expect(problem.column).toBeGreaterThanOrEqual(1);
      expect(formatProblem(problem)).not.toContain(SECRET);
      expect(formatProblem(problem)).not.toMatch(/undefined|\[object|\n/);
    }
  }
}

const leaf = fc.oneof(
  fc.constantFrom(...SCALARS),
  fc.integer(),
  fc.double(),
  fc.boolean(),
  fc.constant(null),
  fc.string({ unit: 'binary' }),
);
const { tree } = fc.letrec<{ tree: unknown }>((tie) => ({
  tree: fc.oneof(
    { depthSize: 'medium', withCrossShrink: true },
    leaf,
    fc.array(tie('tree'), { maxLength: 3 }),
    fc
      .array(fc.tuple(fc.constantFrom(...KEYS), tie('tree')), { maxLength: 6 })
      .map((entries) => new Map(entries)),
  ),
}));

describe('any file', () => {
  test('of the configuration’s own words', () => {
    const top = fc
      .array(fc.tuple(fc.constantFrom(...KEYS), tree), { maxLength: 6 })
      .map((entries) => new Map(entries));
    fc.assert(
      fc.property(top, (value) => settles(stringify(value))),
      { numRuns: 1500 },
    );
  });

  test('of random text', () => {
    const text = fc.oneof(
      fc.string({ unit: 'binary', maxLength: 200 }),
      fc.string({ unit: fc.constantFrom(...'{}[]:-,#&*!|>\'"%@` \t\n\rab1$'), maxLength: 60 }),
    );
    fc.assert(fc.property(text, settles), { numRuns: 3000 });
  });

  test('that is a sound one with a few characters changed', () => {
    const sound = `auth: { method: md5, users: [{ name: a, password: "\${S}" }] }
limits: { gather_memory: 64MB }
${KEYSPACES}`;
    const edit = fc.tuple(fc.nat(sound.length), fc.nat(4), fc.string({ maxLength: 3 }));
    fc.assert(
      fc.property(fc.array(edit, { minLength: 1, maxLength: 4 }), (edits) => {
        let text = sound;
        for (const [at, drop, insert] of edits)
          text = text.slice(0, at) + insert + text.slice(at + drop);
        settles(text);
      }),
      { numRuns: 1500 },
    );
  });

  test('of hostile structure, soon', () => {
    const start = process.cpuUsage();
    settles('{a: '.repeat(20_000));
    settles(`a: ${'- '.repeat(20_000)}`);
    settles(`${'x: &a [*a]\n'}keyspaces: *a`);
    settles(`keyspaces: &k { k: *k }`);
    settles(
      `a: &a [x,x,x,x]\nb: &b [*a,*a,*a,*a]\nkeyspaces: { k: { vindexes: { v: { type: hash, o: *b } } } }`,
    );
    settles(`# ${'x'.repeat(5_000_000)}`);
    settles(Array.from({ length: 5_000 }, (_, i) => `unknown${i}: 1`).join('\n'));
    // CPU time: what else runs on the machine does not count.
    expect(process.cpuUsage(start).user / 1000).toBeLessThan(5_000);
  });
});
