import { setTimeout as sleep } from 'node:timers/promises';
import pg from 'pg';
import type { Dice } from './chaos-random.js';
import type { Fate, Ledger } from './chaos-ledger.js';
import type { Proxy } from './proxy.js';

/** Longer than any wait that the proxy is configured for. */
const STATEMENT_MS = 8000;

/**
 * Errors that a client may see while shards die under it: connection trouble (08), no resources (53), to be repeated
 * (40), shutting down or starting (57P0x), cancelled (57014), what follows an error in a transaction (25P02).
 */
const ALLOWED = /^(08\w{3}|53\w{3}|40\w{3}|57P0\d|57014|25P02)$/;

/** After these a statement may or may not have been carried out: its answer was lost, not its request refused. */
const OPEN_OUTCOME = /^(08000|08003|08006|08007|57P0\d)$/;

/** What all clients of a chaos run share. */
export class Stage {
  readonly proxy: Proxy;
  readonly database: string;
  readonly ledger: Ledger;
  readonly dice: Dice;
  /** Set when clients shall come to an end. */
  over = false;
  readonly #problems = new Map<string, number>();
  /** How often each SQLSTATE was met. */
  readonly errors = new Map<string, number>();

  constructor(proxy: Proxy, database: string, ledger: Ledger, dice: Dice) {
    this.proxy = proxy;
    this.database = database;
    this.ledger = ledger;
    this.dice = dice;
  }

  /** What must not happen has. */
  problem(text: string): void {
    this.#problems.set(text, (this.#problems.get(text) ?? 0) + 1);
  }

  /** Each once, with how often it happened. */
  get problems(): string[] {
    return [...this.#problems].map(([text, times]) => `${text} (${times} x)`);
  }

  /** Notes an error's SQLSTATE, as a problem where no client should see it. Answers what it says of the outcome. */
  meet(error: unknown, what: string): Fate {
    const { code, message } = error as { code?: string; message: string };
    const state = code ?? 'none';
    this.errors.set(state, (this.errors.get(state) ?? 0) + 1);
    if (!ALLOWED.test(state)) this.problem(`${what}: ${state} ${message}`);
    return OPEN_OUTCOME.test(state) || code === undefined ? 'unknown' : 'not done';
  }

  /** Allowed only where an answer was cut in the middle of a row. */
  meetLostConnection(): void {
    this.errors.set('connection cut', (this.errors.get('connection cut') ?? 0) + 1);
  }

  connect(): Promise<ChaosClient> {
    return ChaosClient.connect(this);
  }

  /** Repeats the steps of a client whose connection must survive everything. */
  repeatOn(client: ChaosClient, what: string, step: () => Promise<void>): Promise<void> {
    return this.repeat(what, async () => {
      const lost = await client.revive();
      if (lost !== null) this.problem(`${what}: connection lost: ${lost}`);
      await step();
    });
  }

  /** Repeats a client's step until the run is over. */
  async repeat(what: string, step: () => Promise<void>, pauseMs = 0): Promise<void> {
    while (!this.over) {
      try {
        await step();
      } catch (error) {
        this.problem(`${what}: ${String(error)}`);
      }
      await sleep(pauseMs);
    }
  }
}

/** A client of `pg` whose statements may fail, but not hang. */
export class ChaosClient {
  readonly #url: string;
  #client: pg.Client;
  #lost: string | null = null;

  private constructor(url: string, client: pg.Client) {
    this.#url = url;
    this.#client = client;
  }

  static async connect(stage: Stage): Promise<ChaosClient> {
    const { url } = stage.proxy;
    const client = new ChaosClient(url, new pg.Client({ connectionString: url }));
    await client.#connect();
    return client;
  }

  async #connect(): Promise<void> {
    this.#client.on('error', (error) => (this.#lost = error.message));
    this.#client.on('end', () => (this.#lost ??= 'ended'));
    this.#lost = null;
    await inTime(this.#client.connect(), 'login');
  }

  /** Connects anew where the connection was lost; why it was, or null. Not in the middle of a transaction. */
  async revive(): Promise<string | null> {
    const why = this.#lost;
    if (why === null) return null;
    this.#client = new pg.Client({ connectionString: this.#url });
    await this.#connect();
    return why;
  }

  /** The connection under it, for what is no plain statement. */
  get raw(): pg.Client {
    return this.#client;
  }

  async query(
    text: string,
    values?: readonly unknown[],
    name?: string,
  ): Promise<pg.QueryResult<Record<string, unknown>>> {
    const query = {
      text,
      ...(values === undefined ? {} : { values: [...values] }),
      ...(name === undefined ? {} : { name }),
    };
    return inTime(this.#client.query<Record<string, unknown>>(query), text);
  }

  async end(): Promise<void> {
    if (this.#lost === null) await inTime(this.#client.end(), 'end of the connection');
  }
}

/** Fails where something takes longer than anything may. */
export async function inTime<T>(work: Promise<T>, what: string): Promise<T> {
  const timeout = new AbortController();
  const late = sleep(STATEMENT_MS, null, { signal: timeout.signal }).then(() => {
    throw new Error(`hangs for ${STATEMENT_MS} ms: ${what}`);
  });
  // Where the work wins, the timer is aborted, which is no error of anybody.
  late.catch(() => undefined);
  try {
    return await Promise.race([work, late]);
  } finally {
    timeout.abort();
  }
}
