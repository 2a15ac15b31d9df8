import { describe, expect, test } from 'vitest';
import { TxStatus } from '../../../src/protocol/codes.js';
import { UnitOfWork } from '../../../src/transaction/unit-of-work.js';
import { RecordingSink } from '../backend/postgres/recording-sink.js';
import { ScriptedTransport } from '../backend/postgres/scripted-transport.js';

const settings = (...entries: [string, string][]): ReadonlyMap<string, string> => new Map(entries);

function begun(): UnitOfWork {
  const work = new UnitOfWork();
  work.begin('BEGIN ISOLATION LEVEL SERIALIZABLE', 'serializable');
  return work;
}

describe('status', () => {
  test('idle, in a transaction, failed, idle again', () => {
    const work = new UnitOfWork();
    expect(work.status).toBe(TxStatus.idle);
    // Without BEGIN an error leaves nothing behind.
    work.failed = true;
    expect(work.status).toBe(TxStatus.idle);
    work.begin('BEGIN', null);
    expect(work.status).toBe(TxStatus.inTransaction);
    work.failed = true;
    expect(work.status).toBe(TxStatus.failed);
    work.end();
    expect(work.status).toBe(TxStatus.idle);
    expect(work.failed).toBe(false);
  });

  test('the end forgets isolation, preamble and writers', () => {
    const work = begun();
    const backend = new ScriptedTransport(8).backend(new RecordingSink());
    work.participants.push(backend);
    work.writers.add(backend);
    work.rememberSavepoint('SAVEPOINT a', 'a', { settings: settings(), told: settings() });
    work.end();
    expect(work.isolation).toBeNull();
    expect(work.writers.size).toBe(0);
    expect(work.hasSavepoint('a')).toBe(false);
    work.begin('BEGIN', null);
    expect(work.joinSql()).toBe('BEGIN');
  });
});

test('participants are found by shard and can be dropped', () => {
  const work = begun();
  const backend = new ScriptedTransport(8).backend(new RecordingSink());
  work.participants.push(backend);
  work.writers.add(backend);
  expect(work.participant(backend.shard)).toBe(backend);
  expect(work.participant({ ...backend.shard, name: 's9' })).toBeNull();
  work.drop(backend);
  work.drop(backend);
  expect(work.participant(backend.shard)).toBeNull();
  expect(work.writers.size).toBe(0);
});

describe('what a shard that joins later must run', () => {
  test('BEGIN as it was written, then everything remembered, in order', () => {
    const work = begun();
    work.remember("SET LOCAL lock_timeout = '1s'");
    work.rememberSavepoint('SAVEPOINT a', 'a', { settings: settings(), told: settings() });
    work.remember('SET CONSTRAINTS ALL DEFERRED');
    expect(work.joinSql()).toBe(
      "BEGIN ISOLATION LEVEL SERIALIZABLE;SET LOCAL lock_timeout = '1s';SAVEPOINT a;SET CONSTRAINTS ALL DEFERRED",
    );
  });

  test('ROLLBACK TO voids what came behind the savepoint, which stays', () => {
    const work = begun();
    work.remember('one');
    work.rememberSavepoint('SAVEPOINT a', 'a', {
      settings: settings(['x', '1']),
      told: settings(),
    });
    work.remember('two');
    work.rememberSavepoint('SAVEPOINT b', 'b', {
      settings: settings(['x', '2']),
      told: settings(),
    });
    work.remember('three');
    expect(work.rollBackTo('a')?.settings).toEqual(settings(['x', '1']));
    expect(work.joinSql()).toBe('BEGIN ISOLATION LEVEL SERIALIZABLE;one;SAVEPOINT a');
    expect(work.hasSavepoint('b')).toBe(false);
    // And again.
    expect(work.rollBackTo('a')?.settings).toEqual(settings(['x', '1']));
  });

  test('RELEASE forgets the savepoint and later ones, not what was set behind them', () => {
    const work = begun();
    work.rememberSavepoint('SAVEPOINT a', 'a', { settings: settings(), told: settings() });
    work.remember('one');
    work.rememberSavepoint('SAVEPOINT b', 'b', { settings: settings(), told: settings() });
    work.remember('two');
    work.rememberSavepoint('SAVEPOINT c', 'c', { settings: settings(), told: settings() });
    work.release('b');
    expect(work.joinSql()).toBe('BEGIN ISOLATION LEVEL SERIALIZABLE;SAVEPOINT a;one;two');
    expect([work.hasSavepoint('a'), work.hasSavepoint('b'), work.hasSavepoint('c')]).toEqual([
      true,
      false,
      false,
    ]);
  });

  test('of two savepoints of one name the later one counts, until it is released', () => {
    const work = begun();
    work.rememberSavepoint('SAVEPOINT a', 'a', {
      settings: settings(['x', '1']),
      told: settings(),
    });
    work.rememberSavepoint('SAVEPOINT a', 'a', {
      settings: settings(['x', '2']),
      told: settings(),
    });
    expect(work.rollBackTo('a')?.settings).toEqual(settings(['x', '2']));
    work.release('a');
    expect(work.rollBackTo('a')?.settings).toEqual(settings(['x', '1']));
  });

  test('a savepoint that does not exist changes nothing', () => {
    const work = begun();
    work.remember('one');
    expect(work.rollBackTo('a')).toBeNull();
    work.release('a');
    expect(work.joinSql()).toBe('BEGIN ISOLATION LEVEL SERIALIZABLE;one');
  });
});
