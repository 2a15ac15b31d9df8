import { describe, expect, test } from 'vitest';
import type { BackendSink } from '../../../src/backend/postgres/backend-sink.js';
import type { BackendConnection } from '../../../src/backend/postgres/connection.js';
import { Reserve, type LendingPool } from '../../../src/backend/reserve.js';
import { Rank, WaitingLine, type BackendWaiter } from '../../../src/backend/waiting-line.js';

/* Who may have a backend beyond the size of a pool, so that sessions do not wait for each other for ever. */

/** A session: it has backends, and may stand in the line of a pool. */
class Party implements BackendWaiter {
  waitsFor: PoolStub | null = null;
  holdsBackends = false;
  readonly leases = this;
  readonly inTransaction = true;

  onBackend(): void {
    throw new Error('pools of this test hand out nothing by themselves');
  }

  onBackendError(): void {
    throw new Error('pools of this test refuse nobody');
  }
}

class PoolStub implements LendingPool {
  readonly line = new WaitingLine();
  readonly parties: Party[] = [];
  readonly lent: BackendWaiter[] = [];
  private readonly reserve: Reserve;

  constructor(reserve: Reserve) {
    this.reserve = reserve;
  }

  get firstHolder(): WaitingLine['firstHolder'] {
    return this.line.firstHolder;
  }

  get lessees(): Iterable<BackendSink> {
    return this.parties as unknown as BackendSink[];
  }

  lendTo(waiter: BackendWaiter): void {
    this.line.move(waiter, Rank.lent);
    this.lent.push(waiter);
    (waiter as Party).waitsFor = null;
  }

  hasLent(party: Party): void {
    this.parties.push(party);
    party.holdsBackends = true;
  }

  wait(party: Party): void {
    party.waitsFor = this;
    const rank = this.reserve.rankOf(party);
    this.line.add(party, rank);
    if (rank === Rank.holding) this.reserve.wants(this);
  }
}

function ring(reserve: Reserve): { pools: [PoolStub, PoolStub]; a: Party; b: Party } {
  const pools: [PoolStub, PoolStub] = [new PoolStub(reserve), new PoolStub(reserve)];
  const [a, b] = [new Party(), new Party()];
  pools[0].hasLent(a);
  pools[1].hasLent(b);
  return { pools, a, b };
}

describe('a ring of sessions that wait for the backends of each other', () => {
  test('is broken when it closes, by one loan', () => {
    const { pools, a, b } = ring(new Reserve(2));
    pools[1].wait(a);
    expect(pools[1].lent).toEqual([]);
    pools[0].wait(b);
    expect([...pools[0].lent, ...pools[1].lent]).toHaveLength(1);
  });

  test('that goes through a pool with a session that runs is none', () => {
    const { pools, a, b } = ring(new Reserve(2));
    pools[1].hasLent(new Party());
    pools[1].wait(a);
    pools[0].wait(b);
    expect([...pools[0].lent, ...pools[1].lent]).toEqual([]);
  });

  test('stays where as many borrow as may, until one of them has given back', () => {
    const reserve = new Reserve(1);
    const first = ring(reserve);
    first.pools[1].wait(first.a);
    first.pools[0].wait(first.b);
    const borrower = [...first.pools[0].lent, ...first.pools[1].lent][0]!;
    const second = ring(reserve);
    second.pools[1].wait(second.a);
    second.pools[0].wait(second.b);
    const lent = (): number => second.pools[0].lent.length + second.pools[1].lent.length;
    expect(lent()).toBe(0);
    reserve.returned(borrower);
    expect(lent()).toBe(1);
  });

  test('is not looked for where nothing may be lent', () => {
    const { pools, a, b } = ring(new Reserve(0));
    pools[1].wait(a);
    pools[0].wait(b);
    expect([...pools[0].lent, ...pools[1].lent]).toEqual([]);
  });
});

test('a borrower is lent wherever it waits, and borrows until all is back', () => {
  const reserve = new Reserve(1);
  const { pools, a, b } = ring(reserve);
  pools[0].wait(b);
  pools[1].wait(a);
  const borrower = [...pools[0].lent, ...pools[1].lent][0] as Party;
  const third = new PoolStub(reserve);
  third.wait(borrower);
  expect(third.line.lent).toBe(1);
  reserve.returned(borrower);
  expect(reserve.rankOf(borrower)).toBe(Rank.lent);
  reserve.returned(borrower);
  reserve.returned(borrower);
  expect(reserve.rankOf(borrower)).toBe(Rank.holding);
});

/** A backend: which one does not matter here. */
const any = {} as BackendConnection;

describe('a line', () => {
  const [urgent, holder, late, first, second] = [0, 1, 2, 3, 4].map(() => new Party());
  const everybody = (line: WaitingLine): (BackendWaiter | undefined)[] =>
    line.takeAll().map(({ waiter }) => waiter);

  test('is by rank, then by time', () => {
    const line = new WaitingLine();
    line.add(first!, Rank.new);
    line.add(second!, Rank.new);
    line.add(holder!, Rank.holding);
    line.add(urgent!, Rank.urgent);
    expect(line.urgent).toBe(true);
    expect(everybody(line)).toEqual([urgent, holder, first, second]);
    expect(line.take(any)).toBeNull();
  });

  test('knows how many in it are lent what they wait for', () => {
    const line = new WaitingLine();
    holder!.holdsBackends = true;
    late!.holdsBackends = true;
    line.add(first!, Rank.new);
    line.add(holder!, Rank.holding);
    line.add(late!, Rank.holding);
    expect(line.firstHolder?.waiter).toBe(holder);
    line.move(late!, Rank.lent);
    expect(line.lent).toBe(1);
    expect(line.take(any)?.waiter).toBe(late);
    expect(line.lent).toBe(0);
    line.move(holder!, Rank.lent);
    expect(line.remove(holder!)?.waiter).toBe(holder);
    expect(line.lent).toBe(0);
    expect(line.remove(holder!)).toBeNull();
    expect(everybody(line)).toEqual([first]);
  });

  test('gives a backend to the first that can use it', () => {
    const line = new WaitingLine();
    const picky: BackendWaiter = {
      onBackend: () => undefined,
      onBackendError: () => undefined,
      accepts: (backend) => backend !== any,
    };
    line.add(picky, Rank.urgent);
    line.add(first!, Rank.new);
    expect(line.take(any)?.waiter).toBe(first);
    expect(line.take(any)).toBeNull();
    expect(line.take({} as BackendConnection)?.waiter).toBe(picky);
  });

  test('keeps the time since when somebody waits', () => {
    const line = new WaitingLine();
    line.add(first!, Rank.new, 100);
    line.add(second!, Rank.new, 200);
    line.move(first!, Rank.late);
    expect(line.since(150).map(({ waiter }) => waiter)).toEqual([first]);
  });
});
