import { mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { runCheck } from '../../../src/config/check.js';
import { configSchemaText } from '../../../src/config/json-schema.js';
import { loadConfig } from '../../../src/config/load.js';
import { keyName } from '../../../src/keyspace/key-columns.js';

const folder = mkdtempSync(join(tmpdir(), 'shardgate-check-'));
afterAll(() => rmSync(folder, { recursive: true }));

const ENV = { APP_PASSWORD: 'hunter2', OPERATOR_PASSWORD: 'hunter2', SHARD_PASSWORD: 'hunter2@/' };
const example = (name: string): string =>
  new URL(`../../../config/${name}`, import.meta.url).pathname;

async function check(file: string): Promise<{ code: number; output: string }> {
  let output = '';
  const code = await runCheck(file, { write: (text) => (output += text) }, ENV);
  return { code, output };
}

describe('check', () => {
  test('sums up a sound file, without its passwords', async () => {
    const { code, output } = await check(example('shardgate.yaml'));
    expect(code).toBe(0);
    expect(output).toContain('keyspace shop (4 shards)\n');
    expect(output).toMatch(/s1 +40-80 +app@10\.0\.1\.2:5432\/shop\n/);
    expect(output).toContain('sharded by by_customer (hash): customers(id), orders(customer_id)');
    expect(output).toContain('reference: countries\n');
    expect(output).toContain('sequence: order_id_seq\n');
    expect(output).toContain('login        scram-sha-256, 2 users: app, operator\n');
    expect(output).not.toContain('hunter2');
  });

  test('lists every problem of a broken one, a line each, and fails', async () => {
    const file = join(folder, 'broken.yaml');
    writeFileSync(file, 'listen: { prot: 1 }\nkeyspaces: { k: {} }\n');
    const { code, output } = await check(file);
    expect(code).toBe(1);
    expect(output).toBe(
      `${file}:1:11: unknown key "prot"; did you mean "port"?\n` +
        `${file}:2:14: "shards" is missing; write shards: [ { name: NAME, primary: URL } ]\n` +
        '\n2 problems.\n',
    );
  });

  test('fails on a file that is not there', async () => {
    const { code, output } = await check(join(folder, 'none.yaml'));
    expect(code).toBe(1);
    expect(output).toContain('none.yaml:1:1: the configuration file cannot be read (ENOENT); ');
  });

  test('remarks on trust that reaches beyond this machine', async () => {
    const file = join(folder, 'open.yaml');
    writeFileSync(
      file,
      `listen: { host: 0.0.0.0 }\nauth: { method: trust }
keyspaces: { k: { shards: [{ name: a, primary: 'postgres://u@h/d' }] } }\n`,
    );
    const { code, output } = await check(file);
    expect([code, output]).toEqual([0, expect.stringContaining('trust on 0.0.0.0: everybody')]);
  });

  test('reads files named in the configuration beside it', async () => {
    const file = join(folder, 'beside.yaml');
    writeFileSync(join(folder, 'url'), 'postgres://u:hunter2@h/d\n');
    writeFileSync(file, 'keyspaces: { k: { shards: [{ name: a, primary: file:url }] } }\n');
    expect((await loadConfig(file)).servers[0]!.primary.password).toBe('hunter2');
  });
});

describe('the example files', () => {
  const names = readdirSync(example('')).filter((name) => name.endsWith('.yaml'));

  test.each(names)('%s passes', async (name) => {
    const { code, output } = await check(example(name));
    expect([code, output]).toEqual([0, expect.stringContaining('is fine.')]);
  });

  test('shardgate.yaml shows the defaults where it says so', async () => {
    const shown = await loadConfig(example('shardgate.yaml'), { env: ENV });
    const defaults = await loadConfig(example('minimal.yaml'));
    const { pool, limits, transactions, log, workers, drainTimeoutMs, listen } = shown;
    expect({ pool, limits, transactions, log, workers, drainTimeoutMs, listen }).toEqual({
      pool: defaults.pool,
      limits: defaults.limits,
      transactions: defaults.transactions,
      log: defaults.log,
      workers: defaults.workers,
      drainTimeoutMs: defaults.drainTimeoutMs,
      listen: defaults.listen,
    });
  });

  test('pgbench.yaml shards the four tables of pgbench', async () => {
    const { topology } = await loadConfig(example('pgbench.yaml'));
    const keys = [...topology.tables.values()].map((table) =>
      table.type === 'sharded' ? keyName(table) : table.type,
    );
    expect(keys).toEqual([
      'pgbench_accounts.aid',
      'pgbench_tellers.tid',
      'pgbench_branches.bid',
      'pgbench_history.aid',
    ]);
    expect(topology.shards).toHaveLength(4);
  });
});

describe('the published JSON Schema', () => {
  interface Schema {
    readonly properties?: Record<string, Schema>;
    readonly items?: Schema;
    readonly additionalProperties?: Schema | boolean;
    readonly anyOf?: readonly Schema[];
    readonly description?: string;
    readonly required?: readonly string[];
    readonly default?: unknown;
  }
  const schema = JSON.parse(configSchemaText()) as Schema;

  test('is in step with the code (else: shardgate check --schema > config/shardgate.schema.json)', () => {
    const published: unknown = JSON.parse(readFileSync(example('shardgate.schema.json'), 'utf8'));
    expect(published).toEqual(schema);
  });

  test('describes every key', () => {
    const visit = (part: Schema, path: string): void => {
      for (const [name, child] of Object.entries(part.properties ?? {})) {
        expect(child.description, `${path}.${name}`).toMatch(/\w/);
        visit(child, `${path}.${name}`);
      }
      for (const child of [part.items, part.additionalProperties, ...(part.anyOf ?? [])]) {
        if (typeof child === 'object') visit(child, path);
      }
    };
    visit(schema, '');
    expect(schema.required).toEqual(['keyspaces']);
  });

  test('shows defaults that load to what a file without them gets', async () => {
    const lines: string[] = [];
    for (const [section, { properties, default: own }] of Object.entries(schema.properties!)) {
      if (own !== undefined) lines.push(`${section}: ${JSON.stringify(own)}`);
      const inner = Object.entries(properties ?? {}).filter(([, key]) => key.default !== undefined);
      if (section === 'http' || inner.length === 0) continue;
      const written = inner.map(([key, child]) => `${key}: ${JSON.stringify(child.default)}`);
      lines.push(`${section}: { ${written.join(', ')} }`);
    }
    const keyspaces = readFileSync(example('minimal.yaml'), 'utf8');
    const file = join(folder, 'defaults.yaml');
    writeFileSync(file, `${lines.join('\n')}\n${keyspaces}`);
    const settings = async (path: string): Promise<object> => {
      const { topology: _, source: __, ...rest } = await loadConfig(path);
      return rest;
    };
    expect(lines.length).toBeGreaterThan(6);
    expect(await settings(file)).toEqual(await settings(example('minimal.yaml')));
  });
});
