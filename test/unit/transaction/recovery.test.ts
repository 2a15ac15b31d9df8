import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { BackendError } from '../../../src/backend/backend-error.js';
import type { Shard, Topology } from '../../../src/keyspace/topology.js';
import { noCrash } from '../../../src/transaction/crash-points.js';
import { Recovery } from '../../../src/transaction/recovery.js';
import { TwoPhaseShards } from '../../../src/transaction/two-phase-shards.js';
import { createLogger } from '../../../src/util/logger.js';
import { shardNamed } from './scripted-participants.js';

/** A server as recovery sees it: what is prepared there, what was decided there. */
class FakeServer {
  reachable = true;
  preparedMax = '100';
  hasTable = true;
  usable = true;
  mayCreate = true;
  /** Name, and whether it is old. */
  readonly prepared = new Map<string, boolean>();
  readonly decisions = new Map<string, string>();
  readonly oldDecisions = new Set<string>();
  /** Keys whose decider is still in flight. */
  readonly inFlight = new Set<string>();
  readonly finished: string[] = [];

  run(sql: string): (string | null)[][] {
    if (!this.reachable) throw new Error('connection refused');
    if (sql.includes('max_prepared_transactions')) {
      return [[this.preparedMax, flag(this.hasTable), flag(this.usable)]];
    }
    if (sql.includes('CREATE TABLE')) {
      if (!this.mayCreate) throw new Error('permission denied for database shop');
      this.hasTable = true;
      return [];
    }
    if (sql.includes('FROM pg_prepared_xacts')) {
      return [...this.prepared].map(([gid, old]) => [gid, flag(old), old ? '6000' : '10']);
    }
    const key = /'(shardgate:[^']*)'/.exec(sql)?.[1] ?? '';
    if (sql.startsWith('SET TRANSACTION')) {
      if (this.inFlight.has(key)) throw new Error('canceling statement due to statement timeout');
      if (!this.decisions.has(key)) this.decisions.set(key, 'abort');
      return [[this.decisions.get(key)!]];
    }
    if (sql.startsWith('SELECT gid FROM shardgate.decisions')) {
      return [...this.oldDecisions].map((gid) => [gid]);
    }
    if (sql.startsWith('DELETE')) {
      for (const [, gid] of sql.matchAll(/'(shardgate:[^']*)'/g)) {
        this.decisions.delete(gid!);
        this.oldDecisions.delete(gid!);
      }
      return [];
    }
    if (!this.prepared.delete(key)) {
      const fields = new Map([['C', '42704']]);
      throw new BackendError('s', 'internal_error', 'does not exist', fields);
    }
    this.finished.push(sql);
    return [];
  }
}

function flag(value: boolean): string {
  return value ? 't' : 'f';
}

const shards = ['s0', 's1', 's2'].map((name, index) => shardNamed(name, index));
const topology = { shards } as unknown as Topology;
const id = (shard: string, n: number): string =>
  `shardgate:shop/${shard}:00000000-0000-4000-8000-00000000000${n}`;
let servers: FakeServer[];
let twoPhaseShards: TwoPhaseShards;
let recovery: Recovery;
let logged: string;

beforeEach(() => {
  servers = shards.map(() => new FakeServer());
  logged = '';
  const logger = createLogger('debug', { write: (line: string) => (logged += line) });
  const query = async (shard: Shard, sql: string): Promise<(string | null)[][]> => {
    await Promise.resolve();
    return servers[shard.index]!.run(sql);
  };
  twoPhaseShards = new TwoPhaseShards(query, logger);
  recovery = new Recovery({
    topology: () => topology,
    enabled: () => true,
    query,
    shards: twoPhaseShards,
    logger,
    crashPoint: noCrash,
  });
});
afterEach(() => {
  recovery.stop();
  vi.restoreAllMocks();
});

describe('a pass', () => {
  test('commits what was decided and aborts what was not, on every shard', async () => {
    servers[0]!.decisions.set(id('s0', 1), 'commit');
    servers[1]!.prepared.set(`${id('s0', 1)}:1`, true);
    servers[2]!.prepared.set(`${id('s0', 1)}:2`, true);
    servers[2]!.prepared.set(`${id('s1', 2)}:1`, true);
    await recovery.pass();
    expect(servers[1]!.finished).toEqual([`COMMIT PREPARED '${id('s0', 1)}:1'`]);
    expect(servers[2]!.finished).toEqual([
      `COMMIT PREPARED '${id('s0', 1)}:2'`,
      `ROLLBACK PREPARED '${id('s1', 2)}:1'`,
    ]);
    // So that a decider that comes late is refused.
    expect(servers[1]!.decisions.get(id('s1', 2))).toBe('abort');
  });

  test('leaves young ones to the proxy that runs them', async () => {
    servers[1]!.prepared.set(`${id('s0', 1)}:1`, false);
    await recovery.pass();
    expect(servers[0]!.decisions.size).toBe(0);
    expect(servers[1]!.prepared.size).toBe(1);
  });

  test('counts the transactions that somebody has left, until they are ended', async () => {
    servers[0]!.inFlight.add(id('s0', 1));
    servers[1]!.prepared.set(`${id('s0', 1)}:1`, true);
    servers[2]!.prepared.set(`${id('s0', 1)}:2`, true);
    servers[2]!.prepared.set(`${id('s0', 2)}:1`, false);
    await recovery.pass();
    expect(recovery.leftBehind).toEqual({ transactions: 1, oldestMs: 6000 });
    servers[0]!.inFlight.clear();
    await recovery.pass();
    await recovery.pass();
    expect(recovery.leftBehind).toEqual({ transactions: 0, oldestMs: 0 });
  });

  test('waits for a decider in flight and for a shard that is away', async () => {
    servers[0]!.inFlight.add(id('s0', 1));
    servers[1]!.prepared.set(`${id('s0', 1)}:1`, true);
    servers[1]!.prepared.set(`${id('s2', 2)}:1`, true);
    servers[2]!.reachable = false;
    await recovery.pass();
    expect(servers[1]!.finished).toEqual([]);
    servers[0]!.inFlight.clear();
    servers[0]!.decisions.set(id('s0', 1), 'commit');
    servers[2]!.reachable = true;
    await recovery.pass();
    expect(servers[1]!.finished).toEqual([
      `COMMIT PREPARED '${id('s0', 1)}:1'`,
      `ROLLBACK PREPARED '${id('s2', 2)}:1'`,
    ]);
  });

  test('leaves strangers alone and says so once', async () => {
    servers[0]!.prepared.set(`${id('s9', 1)}:1`, true);
    servers[0]!.prepared.set('shardgate:by hand', true);
    await recovery.pass();
    await recovery.pass();
    expect(servers[0]!.prepared.size).toBe(2);
    expect(logged.match(/must be ended by hand/g)).toHaveLength(2);
  });

  test('is content where another proxy was faster', async () => {
    expect(await recovery.finish(shards[0]!, `${id('s1', 1)}:1`, 'commit')).toBe(true);
    servers[0]!.reachable = false;
    expect(await recovery.finish(shards[0]!, `${id('s1', 1)}:1`, 'commit')).toBe(false);
  });
});

describe('old decisions', () => {
  const decide = (n: number): void => {
    servers[0]!.decisions.set(id('s0', n), 'commit');
    servers[0]!.oldDecisions.add(id('s0', n));
  };

  test('are forgotten when no leg waits for them, young legs included', async () => {
    decide(1);
    decide(2);
    servers[2]!.prepared.set(`${id('s0', 2)}:1`, false);
    await recovery.pass();
    expect([...servers[0]!.decisions.keys()]).toEqual([id('s0', 2)]);
  });

  test('are kept while any shard is away: it may have a leg', async () => {
    decide(1);
    servers[2]!.reachable = false;
    await recovery.pass();
    expect(servers[0]!.decisions.size).toBe(1);
    servers[2]!.reachable = true;
    await recovery.pass();
    expect(servers[0]!.decisions.size).toBe(0);
  });
});

describe('learning an outcome', () => {
  test('tries again until the shard answers', async () => {
    servers[0]!.decisions.set(id('s0', 1), 'commit');
    servers[0]!.reachable = false;
    const outcome = recovery.learn(shards[0]!, id('s0', 1));
    setTimeout(() => (servers[0]!.reachable = true), 100);
    expect(await outcome).toBe('commit');
  });

  test('makes it an abort where nothing was decided', async () => {
    expect(await recovery.learn(shards[0]!, id('s0', 1))).toBe('abort');
    expect(servers[0]!.decisions.get(id('s0', 1))).toBe('abort');
  });

  test('ends without an outcome when the shard stays away', async () => {
    servers[0]!.reachable = false;
    const started = performance.now();
    const outcome = recovery.learn(shards[0]!, id('s0', 1));
    vi.spyOn(performance, 'now').mockReturnValue(started + 60_000);
    expect(await outcome).toBeNull();
  });
});

describe('whether a shard can take part', () => {
  test('is not known before it was asked', () => {
    expect(twoPhaseShards.problem(shards[0]!)?.message).toBe('it has not been reached yet');
  });

  test('the table is made where it is missing', async () => {
    servers[0]!.hasTable = false;
    await twoPhaseShards.setUp(topology);
    expect(servers[0]!.hasTable).toBe(true);
    expect(shards.map((shard) => twoPhaseShards.problem(shard))).toEqual([null, null, null]);
  });

  test('what stands in the way is told with its cure, logged once, and looked at again', async () => {
    servers[0]!.preparedMax = '0';
    servers[1]!.hasTable = false;
    servers[1]!.mayCreate = false;
    servers[2]!.usable = false;
    await twoPhaseShards.setUp(topology);
    await twoPhaseShards.setUp(topology);
    const problems = shards.map((shard) => twoPhaseShards.problem(shard));
    expect(problems.map((problem) => problem?.message)).toEqual([
      'max_prepared_transactions is 0 there',
      'permission denied for database shop',
      'the table shardgate.decisions cannot be used there',
    ]);
    expect(problems[0]!.hint).toContain('Set max_prepared_transactions');
    expect(problems[1]!.hint).toContain('create shardgate.decisions');
    expect(logged.match(/cannot take part/g)).toHaveLength(3);
    servers[0]!.preparedMax = '10';
    await twoPhaseShards.setUp(topology);
    expect(twoPhaseShards.problem(shards[0]!)).toBeNull();
  });
});
