import { destination, pino, stdTimeFunctions, type DestinationStream, type Logger } from 'pino';

export type { Logger } from 'pino';

export type LogLevel = 'trace' | 'debug' | 'info' | 'warn' | 'error' | 'silent';

/** Some 50,000 lines; a collector that is further behind has lost the thread anyway. */
const BUFFER_BYTES_MAX = 16 * 1024 * 1024;

/**
 * Fields that hold secrets wherever they turn up; a safety net, since nothing should log them.
 * Paths of pino's redaction match a fixed depth, so each name is listed at the top, one and two
 * levels below.
 */
const SECRET_FIELDS = ['password', 'secret', 'verifier', 'privateKey', 'cancelKey'];
const redact = SECRET_FIELDS.flatMap((field) => [field, `*.${field}`, `*.*.${field}`]);

/**
 * The root logger: one JSON object a line. Pass values as fields (`log.debug({ shard },
 * 'opened')`): a disabled level then costs 0.01 us, where building a string would cost more than
 * the rest of a statement.
 *
 * `to`: stdout, stderr, or a stream of the caller. Writing never blocks: a reader that hangs must not
 * stop the proxy, so lines are dropped once BUFFER_BYTES_MAX are waiting. What is left is written at
 * exit (pino does that).
 */
export function createLogger(
  level: LogLevel,
  to: 'stdout' | 'stderr' | DestinationStream = 'stdout',
): Logger {
  const stream =
    typeof to === 'string'
      ? destination({ dest: to === 'stdout' ? 1 : 2, sync: false, maxLength: BUFFER_BYTES_MAX })
      : to;
  return pino(
    {
      level,
      // The process id tells workers apart; the host name is known to whoever collects the logs.
      base: { pid: process.pid },
      timestamp: stdTimeFunctions.isoTime,
      formatters: { level: (label) => ({ level: label }) },
      redact: { paths: redact, censor: '[secret]' },
    },
    stream,
  );
}

/**
 * A logger whose lines carry the client connection's id; made once per connection, never per
 * statement.
 */
export function connectionLogger(root: Logger, connectionId: number): Logger {
  return root.child({ connection: connectionId });
}

/** A logger whose lines carry a backend connection's shard and role. */
export function backendLogger(root: Logger, shard: string, role: 'primary' | 'replica'): Logger {
  return root.child({ shard, role });
}

/** Turns an unknown thrown value into the field that pino prints as an error with its stack. */
export function errorField(error: unknown): { readonly err: Error } {
  return { err: error instanceof Error ? error : new Error(String(error)) };
}
