import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { Commits, type CommitServices } from '../../../src/transaction/commits.js';
import { noCrash } from '../../../src/transaction/crash-points.js';
import type { Decision } from '../../../src/transaction/decisions.js';
import type { Outcome } from '../../../src/transaction/operation.js';
import { CommitKind } from '../../../src/metrics/metrics.js';
import { createLogger } from '../../../src/util/logger.js';
import { replies } from '../backend/postgres/replies.js';
import { ScriptedHost, ScriptedParticipant, told } from './scripted-participants.js';

let decider: ScriptedParticipant;
let leg: ScriptedParticipant;
let other: ScriptedParticipant;
let reader: ScriptedParticipant;
let all: ScriptedParticipant[];
let host: ScriptedHost;
let outcome: Outcome | undefined;
let learnt: Decision | null;
let elsewhere: string[];
let services: CommitServices;

beforeEach(() => {
  decider = new ScriptedParticipant('s1', 1);
  leg = new ScriptedParticipant('s0', 0);
  other = new ScriptedParticipant('s2', 2);
  reader = new ScriptedParticipant('s3', 3);
  all = [decider, leg, other, reader];
  host = new ScriptedHost([decider, leg, other], [reader]);
  outcome = undefined;
  learnt = null;
  elsewhere = [];
  services = {
    problem: () => null,
    doubt: () => undefined,
    want: () => undefined,
    logger: createLogger('silent'),
    crashPoint: noCrash,
    learn: () => Promise.resolve(learnt),
    finishElsewhere: (shard, gid, decision) => {
      elsewhere.push(`${decision} ${shard.name} ${gid.slice(-2)}`);
      return Promise.resolve();
    },
  };
});
afterEach(() => {
  vi.restoreAllMocks();
});

function commit(): void {
  new Commits(services).commit(host, (result) => {
    if (outcome !== undefined) throw new Error('done twice');
    outcome = result;
  });
}

/** Verbs of what each participant was asked: decider, legs, reader. */
function asked(): string[] {
  return all.map((participant) =>
    participant
      .asked()
      .map((sql) => /[A-Z]+( PREPARED| TRANSACTION)?(?= '|$| INTO)|INSERT/.exec(last(sql))![0])
      .join(),
  );
}

function last(sql: string): string {
  return sql.split(';').at(-1)!;
}

function vote(): void {
  decider.answers('INSERT 0 1', 'T');
  leg.answers('PREPARE TRANSACTION');
  other.answers('PREPARE TRANSACTION');
}

async function settle(): Promise<void> {
  for (let i = 0; i < 10; i++) await Promise.resolve();
}

describe('two-phase commit', () => {
  test('votes, decides, finishes, and not one step before all of the last', async () => {
    commit();
    expect(asked()).toEqual(['INSERT', 'PREPARE TRANSACTION', 'PREPARE TRANSACTION', '']);
    decider.answers('INSERT 0 1', 'T');
    leg.answers('PREPARE TRANSACTION');
    expect(asked()).toEqual(['', '', '', '']);
    other.answers('PREPARE TRANSACTION');
    expect(asked()).toEqual(['COMMIT', '', '', '']);
    decider.answers('COMMIT');
    expect(asked()).toEqual(['', 'COMMIT PREPARED', 'COMMIT PREPARED', 'COMMIT']);
    leg.answers('COMMIT PREPARED');
    other.answers('COMMIT PREPARED');
    await settle();
    expect(outcome).toBeUndefined();
    reader.answers('COMMIT');
    await settle();
    expect(told(outcome)).toBe('COMMIT');
    for (const { backend } of all) expect(backend.sink).toBe(host);
  });

  test('gives every leg a name of its own and one decision to all', () => {
    commit();
    const row = /VALUES \('(.*)', 'commit'\)$/.exec(decider.asked()[0]!)![1]!;
    expect(row).toMatch(/^shardgate:shop\/s1:[0-9a-f-]{36}$/);
    expect(last(leg.asked()[0]!)).toBe(`PREPARE TRANSACTION '${row}:1'`);
    expect(last(other.asked()[0]!)).toBe(`PREPARE TRANSACTION '${row}:2'`);
  });

  test('a vote that fails rolls back what is prepared and what is not, by its own means', async () => {
    commit();
    asked();
    leg.answers('PREPARE TRANSACTION');
    other.fails('23505', 'E');
    expect(asked()).toEqual(['', '', '', '']);
    decider.answers('INSERT 0 1', 'T');
    expect(asked()).toEqual(['ROLLBACK', 'ROLLBACK PREPARED', 'ROLLBACK', 'ROLLBACK']);
    for (const participant of all) participant.answers('ROLLBACK');
    await settle();
    expect(told(outcome)).toMatchObject({ code: '23505' });
    expect(elsewhere).toEqual([]);
  });

  test('a participant whose PREPARE was a ROLLBACK has not voted', async () => {
    commit();
    asked();
    leg.answers('ROLLBACK');
    other.answers('PREPARE TRANSACTION');
    decider.answers('INSERT 0 1', 'T');
    expect(asked()).toEqual(['ROLLBACK', '', 'ROLLBACK PREPARED', 'ROLLBACK']);
    for (const participant of [decider, other, reader]) participant.answers('ROLLBACK');
    await settle();
    expect(told(outcome)).toMatchObject({ code: '25P02' });
  });

  test('a leg that is lost while it votes is rolled back elsewhere: it may be prepared', async () => {
    commit();
    asked();
    leg.breaksOff();
    other.answers('PREPARE TRANSACTION');
    decider.answers('INSERT 0 1', 'T');
    for (const participant of [decider, other, reader]) participant.answers('ROLLBACK');
    await settle();
    expect(told(outcome)).toMatchObject({ code: '08006' });
    expect(elsewhere).toEqual(['abort s0 :1']);
    expect(leg.owner.calls).toContain('lost');
    expect(host.work.participants).not.toContain(leg.backend);
  });

  test('votes that took longer than recovery remembers are void', async () => {
    const now = performance.now();
    commit();
    asked();
    vi.spyOn(performance, 'now').mockReturnValue(now + 11 * 60 * 1000);
    vote();
    expect(asked()).toEqual(['ROLLBACK', 'ROLLBACK PREPARED', 'ROLLBACK PREPARED', 'ROLLBACK']);
    for (const participant of all) participant.answers('ROLLBACK');
    await settle();
    expect(told(outcome)).toMatchObject({ code: '57014' });
  });

  test('the clock of the machine counts too: it goes on while the machine sleeps', () => {
    const now = Date.now();
    commit();
    asked();
    vi.spyOn(Date, 'now').mockReturnValue(now + 11 * 60 * 1000);
    vote();
    expect(asked()[0]).toBe('ROLLBACK');
  });

  test('a decision that fails rolls all of it back', async () => {
    commit();
    vote();
    asked();
    decider.fails('40001');
    expect(asked()).toEqual(['', 'ROLLBACK PREPARED', 'ROLLBACK PREPARED', 'ROLLBACK']);
    for (const participant of [leg, other, reader]) participant.answers('ROLLBACK');
    await settle();
    expect(told(outcome)).toMatchObject({ code: '40001' });
  });

  test.each([
    ['commit', ['', 'COMMIT PREPARED', 'COMMIT PREPARED', 'COMMIT']],
    ['abort', ['', 'ROLLBACK PREPARED', 'ROLLBACK PREPARED', 'ROLLBACK']],
  ] as const)('a lost decider that is learnt to have said %s is obeyed', async (word, steps) => {
    learnt = word;
    commit();
    vote();
    asked();
    decider.breaksOff();
    await settle();
    expect(asked()).toEqual(steps);
    for (const participant of [leg, other, reader]) participant.answers('done');
    await settle();
    if (word === 'commit') expect(told(outcome)).toBe('COMMIT');
    else expect(told(outcome)).toMatchObject({ code: '08006' });
  });

  test('an error before the connection ends is no answer: FATAL may come behind the commit', async () => {
    learnt = 'commit';
    commit();
    vote();
    asked();
    decider.says(replies.error('57P01'));
    expect(asked()).toEqual(['', '', '', '']);
    decider.breaksOff();
    await settle();
    expect(asked()[1]).toBe('COMMIT PREPARED');
  });

  test('a decision that cannot be learnt leaves the legs prepared and says so', async () => {
    commit();
    vote();
    asked();
    decider.breaksOff();
    await settle();
    expect(asked()).toEqual(['', '', '', 'ROLLBACK']);
    reader.answers('ROLLBACK');
    await settle();
    expect(told(outcome)).toMatchObject({ code: '08007' });
    expect(elsewhere).toEqual([]);
  });

  test('once it is decided, the client hears COMMIT whatever else fails', async () => {
    commit();
    vote();
    decider.answers('COMMIT');
    leg.breaksOff();
    other.fails('57014');
    reader.breaksOff();
    await settle();
    expect(told(outcome)).toBe('COMMIT');
    expect(elsewhere.sort()).toEqual(['commit s0 :1', 'commit s2 :2']);
    // Nobody knows its settings any more.
    expect(other.backend.settingsKey).toBeNull();
  });

  test('goes on without its client and gives the backends back to their pools', async () => {
    commit();
    host.vanish();
    vote();
    decider.answers('COMMIT');
    for (const participant of [leg, other]) participant.answers('COMMIT PREPARED');
    reader.answers('COMMIT');
    await settle();
    for (const participant of all) expect(participant.owner.calls).toEqual(['release']);
  });

  test('a session under another role takes it off to finish, and puts it on again', () => {
    leg.backend.settings = new Map([['role', "o'neil"]]);
    commit();
    vote();
    leg.asked();
    decider.answers('COMMIT');
    expect(leg.asked()).toEqual([
      'RESET ROLE',
      expect.stringMatching(/^COMMIT PREPARED '/),
      "SELECT pg_catalog.set_config('role','o''neil',false)",
    ]);
  });

  test('an answer to the BEGIN of a participant that joined last is not taken for its vote', () => {
    leg.backend.query('BEGIN', 0x10);
    commit();
    asked();
    leg.answers('BEGIN', 'T');
    decider.answers('INSERT 0 1', 'T');
    other.answers('PREPARE TRANSACTION');
    expect(asked()).toEqual(['', '', '', '']);
    leg.answers('PREPARE TRANSACTION');
    expect(asked()[0]).toBe('COMMIT');
  });

  test('notices of all, parameters of the first reach the client', () => {
    commit();
    decider.says(replies.notice('a'), replies.parameter('TimeZone', 'UTC'));
    leg.says(replies.notice('b'), replies.parameter('TimeZone', 'UTC'));
    expect(host.heard).toBe('NSN');
  });
});

describe('what ran outside BEGIN', () => {
  test('is made a transaction block first, on whoever is asked', async () => {
    host.work.end();
    host.work.writers.add(decider.backend).add(leg.backend);
    commit();
    expect(decider.asked()[0]).toMatch(/^BEGIN;.*INSERT/);
    expect(leg.asked()[0]).toMatch(/^BEGIN;.*PREPARE TRANSACTION/);
    decider.answers('INSERT 0 1', 'T');
    leg.answers('PREPARE TRANSACTION');
    expect(decider.asked()).toEqual(['COMMIT']);
    decider.answers('COMMIT');
    expect(leg.asked()[0]).toMatch(/^COMMIT PREPARED/);
    expect(other.asked()).toEqual(['BEGIN;COMMIT']);
    expect(reader.asked()).toEqual(['BEGIN;COMMIT']);
    for (const participant of [leg, other, reader]) participant.answers('COMMIT');
    await settle();
    expect(told(outcome)).toBe('COMMIT');
  });
});

describe('readers that may refuse to commit', () => {
  beforeEach(() => {
    host.readersDecide = true;
  });

  test('are asked before anybody votes', async () => {
    commit();
    expect(asked()).toEqual(['', '', '', 'COMMIT']);
    reader.answers('COMMIT');
    expect(asked()).toEqual(['INSERT', 'PREPARE TRANSACTION', 'PREPARE TRANSACTION', '']);
    vote();
    decider.answers('COMMIT');
    asked();
    leg.answers('COMMIT PREPARED');
    other.answers('COMMIT PREPARED');
    await settle();
    expect(told(outcome)).toBe('COMMIT');
    for (const { backend } of all) expect(backend.sink).toBe(host);
  });

  test('undo all of it', async () => {
    commit();
    asked();
    reader.fails('40001');
    expect(asked()).toEqual(['ROLLBACK', 'ROLLBACK', 'ROLLBACK', '']);
    for (const writer of [decider, leg, other]) writer.answers('ROLLBACK');
    await settle();
    expect(told(outcome)).toMatchObject({ code: '40001' });
  });
});

describe('how a transaction commits', () => {
  test('depends on how many wrote, and on the policy', () => {
    const commits = new Commits(services);
    expect(commits.kindOf(host)).toBe(CommitKind.twoPhase);
    expect(commits.kindOf(new ScriptedHost([leg], [reader]))).toBe(CommitKind.oneShard);
    host.crossShard = 'best_effort';
    expect(commits.kindOf(host)).toBe(CommitKind.bestEffort);
  });

  test('is shard by shard for what must go everywhere though two phases are impossible', () => {
    const problem = { message: 'max_prepared_transactions is 0 there', hint: 'Set it.' };
    const commits = new Commits({ ...services, problem: () => problem });
    expect(commits.kindOf(host)).toBe(CommitKind.bestEffort);
    host.crossShard = 'refuse';
    expect(commits.kindOf(host)).toBe(CommitKind.bestEffort);
  });

  test('is refused where a shard cannot take part, with what to do about it', () => {
    const problem = { message: 'max_prepared_transactions is 0 there', hint: 'Set it.' };
    const commits = new Commits({
      ...services,
      problem: (shard) => (shard.name === 's2' ? problem : null),
    });
    const one = new Set([other.backend.shard]);
    const two = new Set([leg.backend.shard, other.backend.shard]);
    expect(commits.possible(one, 'two_phase')).toBe(true);
    expect(commits.possible(new Set([leg.backend.shard, decider.backend.shard]), 'two_phase')).toBe(
      true,
    );
    expect(commits.possible(two, 'two_phase')).toBe(false);
    expect(commits.refusal(two, 'two_phase')).toMatchObject({
      code: '0A000',
      detail:
        'Shard "s2" cannot take part in two-phase commit: max_prepared_transactions is 0 there.',
      hint: 'Set it.',
    });
  });

  test('is refused by policy', () => {
    const commits = new Commits(services);
    const two = new Set([leg.backend.shard, other.backend.shard]);
    expect(commits.possible(two, 'refuse')).toBe(false);
    expect(commits.refusal(two, 'refuse').hint).toContain('transactions.cross_shard: two_phase');
  });
});

describe('commits in order', () => {
  beforeEach(() => {
    host.crossShard = 'best_effort';
  });

  test('one writer first, then its readers: what it says is the outcome', async () => {
    host = new ScriptedHost([leg], [reader, other]);
    commit();
    expect(asked()).toEqual(['', 'COMMIT', '', '']);
    leg.answers('COMMIT');
    expect(asked()).toEqual(['', '', 'COMMIT', 'COMMIT']);
    other.breaksOff();
    reader.answers('COMMIT');
    await settle();
    expect(told(outcome)).toBe('COMMIT');
  });

  test('one writer that fails rolls its readers back', async () => {
    host = new ScriptedHost([leg], [reader]);
    commit();
    asked();
    leg.fails('23503');
    expect(asked()).toEqual(['', '', '', 'ROLLBACK']);
    reader.answers('ROLLBACK');
    await settle();
    expect(told(outcome)).toMatchObject({ code: '23503' });
  });

  test('a writer that is lost in its COMMIT leaves the outcome open', async () => {
    host = new ScriptedHost([leg], []);
    commit();
    leg.breaksOff();
    await settle();
    expect(told(outcome)).toMatchObject({
      code: '08007',
      detail: 'Committed on shards: none. Unknown on shard "s0". Rolled back on shards: none.',
    });
  });

  test('several writers: the first failure rolls everything back', async () => {
    commit();
    expect(asked()).toEqual(['COMMIT', '', '', '']);
    decider.fails('23503');
    expect(asked()).toEqual(['', 'ROLLBACK', 'ROLLBACK', 'ROLLBACK']);
    for (const participant of [leg, other, reader]) participant.answers('ROLLBACK');
    await settle();
    expect(told(outcome)).toMatchObject({ code: '23503' });
  });

  test('several writers: a later failure names who has committed', async () => {
    commit();
    decider.answers('COMMIT');
    leg.fails('23503');
    asked();
    for (const participant of [other, reader]) participant.answers('ROLLBACK');
    await settle();
    expect(told(outcome)).toEqual({
      code: '08007',
      message: 'shard "s0" failed while the transaction was committed: no',
      detail: 'Committed on shards: "s1". Rolled back on shard "s0". Rolled back on shards: "s2".',
    });
  });

  test('nobody wrote: all at once, and an error is an error', async () => {
    host = new ScriptedHost([], [leg, reader]);
    commit();
    expect(asked()).toEqual(['', 'COMMIT', '', 'COMMIT']);
    leg.answers('COMMIT');
    reader.fails('40001');
    await settle();
    expect(told(outcome)).toMatchObject({ code: '40001' });
  });
});
