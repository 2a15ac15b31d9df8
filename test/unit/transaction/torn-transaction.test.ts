import { expect, test } from 'vitest';
import { sqlError } from '../../../src/errors/sql-error.js';
import { TxStatus } from '../../../src/protocol/codes.js';
import { UnitOfWork } from '../../../src/transaction/unit-of-work.js';

test('a transaction that lost a participant stays failed until its end, whatever else succeeds', () => {
  const work = new UnitOfWork();
  work.begin('BEGIN', null);
  work.tear(null);
  work.failed = false;
  expect([work.failed, work.torn, work.status]).toEqual([true, true, TxStatus.failed]);
  work.end();
  work.begin('BEGIN', null);
  expect([work.failed, work.torn, work.status]).toEqual([false, false, TxStatus.inTransaction]);
});

test('the client is told of the loss once', () => {
  const work = new UnitOfWork();
  const loss = sqlError('connection_failure', 'gone');
  work.begin('BEGIN', null);
  work.tear(loss);
  expect([work.takeUntold(), work.takeUntold()]).toEqual([loss, null]);
});
