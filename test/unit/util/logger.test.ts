import { describe, expect, test } from 'vitest';
import {
  backendLogger,
  connectionLogger,
  createLogger,
  errorField,
} from '../../../src/util/logger.js';

function collecting(level: 'info' | 'debug'): {
  lines: () => Record<string, unknown>[];
  log: ReturnType<typeof createLogger>;
} {
  const written: string[] = [];
  const log = createLogger(level, { write: (line: string) => void written.push(line) });
  return { log, lines: () => written.map((line) => JSON.parse(line) as Record<string, unknown>) };
}

describe('the logger', () => {
  test('writes one JSON object a line with level, time and the ids of its child', () => {
    const { log, lines } = collecting('info');
    connectionLogger(log, 17).warn({ reason: 'slow' }, 'paused');
    backendLogger(log, 's1', 'primary').info('opened');
    expect(lines()).toMatchObject([
      { level: 'warn', connection: 17, reason: 'slow', msg: 'paused', pid: process.pid },
      { level: 'info', shard: 's1', role: 'primary', msg: 'opened' },
    ]);
    expect(lines()[0]!.time).toMatch(/^\d{4}-\d\d-\d\dT/);
  });

  test('writes nothing below its level', () => {
    const { log, lines } = collecting('info');
    log.debug('unseen');
    expect(lines()).toEqual([]);
    expect(log.isLevelEnabled('debug')).toBe(false);
  });

  test('hides secrets, also below other fields', () => {
    const { log, lines } = collecting('info');
    const server = { host: 'db', password: 'hunter2' };
    log.info({ password: 'hunter2', server, servers: { primary: server } }, 'x');
    connectionLogger(log, 1).info({ server }, 'y');
    expect(JSON.stringify(lines())).not.toContain('hunter2');
    expect(lines()[0]).toMatchObject({ password: '[secret]', server: { host: 'db' } });
  });

  test('prints errors with their stack, and whatever else was thrown as an error', () => {
    const { log, lines } = collecting('info');
    log.error(errorField(new TypeError('bad')), 'failed');
    log.error(errorField('text'), 'failed');
    expect(lines()).toMatchObject([
      { err: { type: 'TypeError', message: 'bad', stack: expect.stringContaining('logger.test') } },
      { err: { message: 'text' } },
    ]);
  });
});
