/*
 * What reads PgBouncer's console reads this one: its columns and types, compared with a PgBouncer that runs, and
 * Debian's exporter for Prometheus. Both are left out where they are not installed.
 */
import { spawn, type ChildProcess } from 'node:child_process';
import { chmodSync, existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { anyFreePort } from '../../scripts/lib/ports.mjs';
import { removeAtEnd, watch } from '../../scripts/lib/watchdog-client.mjs';
import { connectPg, openScene, type Scene } from '../support/scene.js';

const PGBOUNCER = '/usr/sbin/pgbouncer';
const EXPORTER = '/usr/bin/prometheus-pgbouncer-exporter';

const LISTS = [
  'POOLS',
  'CLIENTS',
  'SERVERS',
  'STATS',
  'STATS_TOTALS',
  'STATS_AVERAGES',
  'TOTALS',
  'DATABASES',
  'USERS',
  'CONFIG',
  'LISTS',
  'MEM',
  'VERSION',
];

let scene: Scene;
let folder: string;
const children: ChildProcess[] = [];

beforeAll(async () => {
  scene = await openScene('console_pgbouncer', {}, ['CREATE TABLE t (a int)']);
  folder = mkdtempSync(join(tmpdir(), 'shardgate-pgbouncer-'));
  removeAtEnd(folder);
  chmodSync(folder, 0o777);
});

afterAll(async () => {
  for (const child of children) child.kill();
  rmSync(folder, { recursive: true, force: true });
  await scene.close();
});

function start(command: string, args: readonly string[]): void {
  const child = spawn(command, args, { stdio: 'ignore', cwd: '/' });
  watch(child.pid!);
  children.push(child);
}

async function untilWorks<T>(work: () => Promise<T>): Promise<T> {
  for (let attempt = 0; ; attempt++) {
    try {
      return await work();
    } catch (error) {
      if (attempt === 100) throw error;
      await sleep(100);
    }
  }
}

/** Columns of a list, as `name:type`. */
async function columnsOf(url: string, list: string): Promise<string[]> {
  const client = await connectPg(url);
  try {
    const { fields } = await client.query(`SHOW ${list}`);
    return fields.map(({ name, dataTypeID }) => `${name}:${dataTypeID}`);
  } finally {
    await client.end();
  }
}

describe.skipIf(!existsSync(PGBOUNCER))('the lists', () => {
  let bouncer: string;

  beforeAll(async () => {
    const port = await anyFreePort();
    const file = join(folder, 'pgbouncer.ini');
    writeFileSync(
      file,
      `[databases]\n[pgbouncer]\nlisten_addr=127.0.0.1\nlisten_port=${port}\nauth_type=any\nunix_socket_dir=\n`,
      { mode: 0o644 },
    );
    // It refuses to run as root.
    if (process.getuid?.() === 0) start(PGBOUNCER, ['-q', '-u', 'nobody', file]);
    else start(PGBOUNCER, ['-q', file]);
    bouncer = `postgres://pgbouncer@127.0.0.1:${port}/pgbouncer`;
    await untilWorks(() => columnsOf(bouncer, 'VERSION'));
  });

  test.each(LISTS)("SHOW %s has PgBouncer's columns and types", async (list) => {
    const address = new URL(scene.proxy.url);
    address.pathname = '/shardgate';
    const ours = await columnsOf(address.href, list);
    // Of the process's memory a whole number of four bytes would be too small.
    const theirs = (await columnsOf(bouncer, list)).map((column) =>
      column === 'memtotal:23' ? 'memtotal:20' : column,
    );
    expect(theirs.filter((column) => !ours.includes(column))).toEqual([]);
  });
});

describe.skipIf(!existsSync(EXPORTER))('the exporter', () => {
  test('finds every figure', async () => {
    const port = await anyFreePort();
    const { port: ours } = scene.proxy;
    start(EXPORTER, [
      '--host=127.0.0.1',
      `--port=${port}`,
      '--pgbouncer-host=127.0.0.1',
      `--pgbouncer-port=${ours}`,
      '--pgbouncer-user=postgres',
    ]);
    const text = await untilWorks(async () => {
      const answer = await fetch(`http://127.0.0.1:${port}/metrics`);
      expect(answer.status).toBe(200);
      return answer.text();
    });
    expect(text).toMatch(/pgbouncer_active_clients\{database="s0",user="postgres"\} 0/);
    expect(text).toContain(`pgbouncer_requests_total{database="${scene.databases.name}"}`);
  });
});
