import { expect, test } from 'vitest';
import type { BackendConnection } from '../../../src/backend/postgres/connection.js';
import { DescribeParameters } from '../../../src/executor/describe-parameters.js';
import { frame, int16, int32 } from '../../support/wire-messages.js';

const backend = {} as BackendConnection;

test.each([
  ['rows', frame('T', int16(0))],
  ['no rows', frame('n')],
])('the types are told when the answer is over, of a statement with %s', (_what, last) => {
  const told: unknown[] = [];
  const operation = new DescribeParameters((outcome) => told.push(outcome));
  const types = frame('t', int16(2), int32(23), int32(25));
  operation.captured(backend, types[0]!, types, 0);
  // What comes behind would be taken for the answer to whatever runs next.
  expect(told).toEqual([]);
  operation.captured(backend, last[0]!, last, 0);
  expect(told).toEqual([[23, 25]]);
});
