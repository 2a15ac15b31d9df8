import pg from 'pg';
import { expect } from 'vitest';

/** What a client can see of one statement, in a form that two servers can be compared by. */
export interface Outcome {
  readonly results: readonly StatementOutcome[];
  readonly error: ErrorOutcome | null;
}

export interface StatementOutcome {
  /** The command tag's parts. */
  readonly command: string | null;
  readonly rowCount: number | null;
  readonly fields: readonly string[];
  /** Values as text, as the server sent them. */
  readonly rows: readonly (readonly (string | null)[])[];
}

export interface ErrorOutcome {
  readonly code: string | undefined;
  readonly message: string;
  readonly detail: string | undefined;
  readonly hint: string | undefined;
  readonly position: string | undefined;
  readonly constraint: string | undefined;
}

export interface CompareOptions {
  /**
   * Compare rows in the order they came. Left out: exactly where the statement says ORDER BY, since one Postgres
   * promises no order elsewhere.
   */
  readonly ordered?: boolean;
}

/** Types made by users have other OIDs on each server (FirstNormalObjectId). */
const FIRST_USER_OID = 16384;

/**
 * A client session on the proxy and one on a plain Postgres, given the same statements.
 * Sessions last, so transactions, settings and temporary objects are compared too.
 */
export class Comparison {
  readonly #proxy: pg.Client;
  readonly #oracle: pg.Client;

  private constructor(proxy: pg.Client, oracle: pg.Client) {
    this.#proxy = proxy;
    this.#oracle = oracle;
  }

  static async open(proxyUrl: string, oracleUrl: string): Promise<Comparison> {
    const [proxy, oracle] = [proxyUrl, oracleUrl].map((url) => {
      const client = new pg.Client({ connectionString: url });
      // A session that the server ends is reported by the statement that runs into it.
      client.on('error', () => undefined);
      return client;
    }) as [pg.Client, pg.Client];
    await Promise.all([proxy.connect(), oracle.connect()]);
    return new Comparison(proxy, oracle);
  }

  async close(): Promise<void> {
    await Promise.all([this.#proxy.end(), this.#oracle.end()]);
  }

  /**
   * The proxy's answer must be the oracle's: rows, names and type OIDs of columns, command tag,
   * SQLSTATE and texts of an error. With parameters the extended protocol is used.
   */
  async expectSame(
    sql: string,
    params?: readonly unknown[],
    options: CompareOptions = {},
  ): Promise<Outcome> {
    const [proxy, oracle] = await Promise.all([
      runStatement(this.#proxy, sql, params),
      runStatement(this.#oracle, sql, params),
    ]);
    const ordered = options.ordered ?? /\border\s+by\b/i.test(sql);
    expect(comparable(proxy, ordered), sql).toEqual(comparable(oracle, ordered));
    return proxy;
  }

  /** The proxy refuses what it could not answer exactly, with a hint; the oracle does not see it. */
  async expectRefused(
    sql: string,
    params?: readonly unknown[],
    message?: string | RegExp,
  ): Promise<ErrorOutcome> {
    const { error } = await runStatement(this.#proxy, sql, params);
    expect(error?.code, sql).toBe('0A000');
    expect(error?.hint, `a hint for: ${sql}`).toBeTruthy();
    if (message !== undefined) expect(error?.message, sql).toMatch(message);
    return error!;
  }

  /** Runs SQL on both sides, where both must succeed: the setting of a test's scene. */
  async both(sql: string, params?: readonly unknown[]): Promise<void> {
    for (const client of [this.#proxy, this.#oracle]) {
      await client.query(sql, params === undefined ? undefined : [...params]);
    }
  }
}

/** Runs one text and keeps what came back, errors included. */
export async function runStatement(
  client: pg.Client,
  sql: string,
  params?: readonly unknown[],
): Promise<Outcome> {
  const config: pg.QueryArrayConfig = {
    text: sql,
    rowMode: 'array',
    // Everything stays the text that the server sent.
    types: { getTypeParser: () => (value: string) => value },
    ...(params === undefined ? {} : { values: [...params] }),
  };
  try {
    const answer: unknown = await client.query(config);
    const results = (Array.isArray(answer) ? answer : [answer]) as pg.QueryArrayResult[];
    return { results: results.map(statementOutcome), error: null };
  } catch (error) {
    if (!(error instanceof pg.DatabaseError)) throw error;
    const { code, message, detail, hint, position, constraint } = error;
    return { results: [], error: { code, message, detail, hint, position, constraint } };
  }
}

function statementOutcome(result: pg.QueryArrayResult): StatementOutcome {
  return {
    command: result.command,
    rowCount: result.rowCount,
    fields: result.fields.map((field) => {
      const type = field.dataTypeID >= FIRST_USER_OID ? 'user type' : field.dataTypeID;
      return `${field.name}: ${type} ${field.dataTypeModifier} ${field.dataTypeSize}`;
    }),
    rows: result.rows as (string | null)[][],
  };
}

function comparable(outcome: Outcome, ordered: boolean): Outcome {
  if (ordered) return outcome;
  const results = outcome.results.map((result) => ({
    ...result,
    rows: [...result.rows].sort((a, b) => compareText(JSON.stringify(a), JSON.stringify(b))),
  }));
  return { ...outcome, results };
}

function compareText(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}
