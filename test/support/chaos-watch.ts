import { setTimeout as sleep } from 'node:timers/promises';
import type { Proxy } from './proxy.js';

/** What a proxy says of itself at /metrics: the sum over the labels of a family. */
export async function metric(proxy: Proxy, name: string): Promise<number> {
  const response = await fetch(`http://127.0.0.1:${proxy.httpPort}/metrics`);
  const line = new RegExp(`^${name}(?:\\{[^}]*\\})? (\\S+)$`, 'gm');
  let sum = NaN;
  for (const [, value] of (await response.text()).matchAll(line)) {
    sum = (Number.isNaN(sum) ? 0 : sum) + Number(value);
  }
  if (Number.isNaN(sum)) throw new Error(`no metric ${name}`);
  return sum;
}

/** Resident memory of the proxy process, in megabytes. */
export async function residentMb(proxy: Proxy): Promise<number> {
  return (await metric(proxy, 'process_resident_memory_bytes')) / 2 ** 20;
}

/** Samples the proxy's memory until `stop`, which tells the peak in megabytes. */
export function watchMemory(proxy: Proxy): { stop(): Promise<number> } {
  let peak = 0;
  let over = false;
  const sampling = (async () => {
    while (!over) {
      peak = Math.max(peak, await residentMb(proxy));
      await sleep(50);
    }
  })();
  return {
    stop: async () => {
      over = true;
      await sampling;
      return peak;
    },
  };
}

/** Runs SQL past the proxy on one server. */
export type ShardQuery = (sql: string) => Promise<unknown[][]>;

/** Backends that work, or hold a transaction open, though nobody should: one line each. */
const BUSY_BACKENDS = `
  SELECT format('pid %s %s for %s: %s', pid, state, now() - state_change, left(query, 120))
    FROM pg_stat_activity
   WHERE backend_type = 'client backend' AND datname = current_database()
     AND pid <> pg_backend_pid() AND (state <> 'idle' OR xact_start IS NOT NULL)`;

const PREPARED = `SELECT format('prepared %s', gid) FROM pg_prepared_xacts
                   WHERE database = current_database()`;

/**
 * Waits until nothing is left of what clients did: no backend leased or waited for, none busy or in a transaction on a
 * server, nothing prepared. Fails, telling what is left, where that takes longer.
 */
export async function untilAtRest(
  proxy: Proxy,
  servers: Readonly<Record<string, ShardQuery>>,
  timeoutMs: number,
): Promise<void> {
  const deadline = Date.now() + timeoutMs;
  for (;;) {
    const left = await leftovers(proxy, servers);
    if (left.length === 0) return;
    if (Date.now() > deadline) {
      throw new Error(`still busy after ${timeoutMs} ms:\n  ${left.join('\n  ')}`);
    }
    await sleep(100);
  }
}

async function leftovers(
  proxy: Proxy,
  servers: Readonly<Record<string, ShardQuery>>,
): Promise<string[]> {
  const left: string[] = [];
  for (const name of ['shardgate_pool_active', 'shardgate_pool_waiting']) {
    const count = await metric(proxy, name);
    if (count > 0) left.push(`${name} is ${count}`);
  }
  for (const [name, query] of Object.entries(servers)) {
    for (const sql of [BUSY_BACKENDS, PREPARED]) {
      for (const [line] of await query(sql)) left.push(`${name}: ${String(line)}`);
    }
  }
  return left;
}
