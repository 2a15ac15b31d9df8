import { afterEach, expect, test, vi } from 'vitest';
import { crashHook, noCrash } from '../../../src/transaction/crash-points.js';

afterEach(() => {
  vi.restoreAllMocks();
});

test('nobody crashes unasked', () => {
  expect(crashHook({})).toBe(noCrash);
  expect(crashHook({ SHARDGATE_CRASH_POINT: '' })).toBe(noCrash);
});

test('the process is killed where it was asked to be, and nowhere else', () => {
  const kill = vi.spyOn(process, 'kill').mockReturnValue(true);
  const crash = crashHook({ SHARDGATE_CRASH_POINT: 'decided' });
  crash('prepared');
  expect(kill).not.toHaveBeenCalled();
  crash('decided');
  expect(kill).toHaveBeenCalledExactlyOnceWith(process.pid, 'SIGKILL');
});

test('or for the n-th time that it gets there', () => {
  const kill = vi.spyOn(process, 'kill').mockReturnValue(true);
  const crash = crashHook({ SHARDGATE_CRASH_POINT: 'decided:2' });
  crash('decided');
  crash('prepared');
  expect(kill).not.toHaveBeenCalled();
  crash('decided');
  crash('decided');
  expect(kill).toHaveBeenCalledTimes(1);
});

test('a misspelt point is an error at the start, not a test that tests nothing', () => {
  expect(() => crashHook({ SHARDGATE_CRASH_POINT: 'decidde' })).toThrow('none of');
});
