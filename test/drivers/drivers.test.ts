/*
 * The drivers and object mappers that applications use, each with a script of its own: migrations,
 * reads and writes with parameters, bulk writes, transactions, errors, values of many types,
 * cursors, COPY, cancels. What a script prints over the proxy must be what it prints over one
 * Postgres, while neighbours with other settings, statements and mishaps share the few backends.
 */
import { spawn } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { openScene, type Scene } from '../support/scene.js';
import { drivers, refusedSteps, type Command } from './matrix.js';
import { NEIGHBOURS_SCHEMA, startNeighbours } from './neighbours.js';

const SCRIPT_MS = 120_000;
/** What `npm run test:drivers` has installed must be there. */
const allMustRun = process.env['SHARDGATE_DRIVERS'] === 'all';

let scene: Scene;
const scratch = mkdtempSync(join(tmpdir(), 'shardgate-drivers-'));

beforeAll(async () => {
  scene = await openScene(
    'driver_matrix',
    {
      shop: {
        customers: { shard_key: 'id' },
        orders: { shard_key: 'customer_id' },
        countries: { type: 'reference' },
        neighbours: { shard_key: 'id' },
      },
    },
    NEIGHBOURS_SCHEMA,
    { pool: { size: 2 } },
  );
});
afterAll(async () => {
  await scene.close();
  rmSync(scratch, { recursive: true, force: true });
});

interface Transcript {
  readonly code: number | null;
  readonly lines: readonly string[];
  readonly errors: string;
}

function run(command: Command, url: string, refused: readonly string[]): Promise<Transcript> {
  const { hostname, port, pathname, username } = new URL(url);
  const environment = {
    DATABASE_URL: url,
    PGHOST: hostname,
    PGPORT: port,
    PGDATABASE: pathname.slice(1),
    PGUSER: username,
    PGSSLMODE: 'disable',
    SKIPPED_STEPS: refused.join(','),
    JDBC_URL: `jdbc:postgresql://${hostname}:${port}${pathname}?user=${username}&sslmode=disable`,
    PYTHONDONTWRITEBYTECODE: '1',
    NO_COLOR: '1',
  };
  const env = { ...process.env, ...environment };
  const child = spawn(command.file, [...command.args], { env, timeout: SCRIPT_MS });
  let [output, errors] = ['', ''];
  child.stdout.setEncoding('utf8').on('data', (text: string) => (output += text));
  child.stderr.setEncoding('utf8').on('data', (text: string) => (errors += text));
  return new Promise((resolve, reject) => {
    child.on('error', reject);
    child.on('close', (code) => resolve({ code, lines: output.split('\n'), errors }));
  });
}

for (const { name, command: find, keepsBackend } of drivers) {
  test(name, { timeout: 2 * SCRIPT_MS }, async ({ skip }) => {
    const command = await find(mkdtempSync(join(scratch, 'build-')));
    if (command === null) {
      expect(allMustRun, `${name} is not installed`).toBe(false);
      console.log(`${name} is not on this machine: skipped (npm run test:drivers installs it)`);
      return skip();
    }
    const refused = refusedSteps[name] ?? [];
    const neighbours = startNeighbours(scene.proxy.url, keepsBackend === true);
    const [ours, theirs] = await Promise.all([
      run(command, scene.proxy.url, refused),
      run(command, scene.databases.urls.oracle, refused),
    ]);
    expect(await neighbours.stop()).toEqual([]);
    expect({ ...theirs, lines: [] }).toMatchObject({ code: 0 });
    expect(ours.lines).toEqual(theirs.lines);
    expect(ours.code).toBe(0);
  });
}
