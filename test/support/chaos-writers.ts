import { setTimeout as sleep } from 'node:timers/promises';
import { from as copyFrom } from 'pg-copy-streams';
import { inTime, type ChaosClient, type Stage } from './chaos-stage.js';
import type { Fate } from './chaos-ledger.js';

/** Added by transactions that are rolled back or left alone: a counter that has one shows a lost rollback. */
export const NEVER = 1_000_000;

const MARKED_ROWS = 24;

/** Raises counters of any shard, in every way there is to write one row, and counts what was acknowledged. */
export async function countingClient(stage: Stage): Promise<void> {
  const client = await stage.connect();
  await stage.repeatOn(client, 'counting', async () => {
    const id = stage.dice.pick(stage.ledger.ids);
    if (stage.dice.chance(0.2)) await rolledBack(stage, client, id);
    else if (stage.dice.chance(0.3)) {
      await stage.ledger.raise(id, () => inTransaction(stage, client, raiseTwice(id)));
    } else await stage.ledger.raise(id, () => alone(stage, client, id));
  });
  await client.end();
}

async function alone(stage: Stage, client: ChaosClient, id: number): Promise<Fate> {
  try {
    const { rowCount } = await stage.dice.pick([
      () => client.query(`UPDATE counters SET n = n + 1 WHERE id = ${id}`),
      () => client.query('UPDATE counters SET n = n + 1 WHERE id = $1', [id]),
      () => client.query('UPDATE counters SET n = n + 1 WHERE id = $1 RETURNING n', [id], 'raise'),
    ])();
    if (rowCount !== 1) stage.problem(`UPDATE of counter ${id} changed ${rowCount} rows`);
    return 'done';
  } catch (error) {
    return stage.meet(error, 'UPDATE');
  }
}

/** One up, and one more that is taken back by a savepoint. */
function raiseTwice(id: number): readonly string[] {
  const raise = `UPDATE counters SET n = n + 1 WHERE id = ${id}`;
  return [raise, 'SAVEPOINT one', raise, 'ROLLBACK TO one'];
}

/** The fate of a transaction: an error before COMMIT means that nothing has happened. */
async function inTransaction(
  stage: Stage,
  client: ChaosClient,
  statements: readonly string[],
): Promise<Fate> {
  try {
    for (const sql of ['BEGIN', ...statements]) await client.query(sql);
  } catch (error) {
    stage.meet(error, 'statement in a transaction');
    await client.query('ROLLBACK').catch((after: unknown) => stage.meet(after, 'ROLLBACK'));
    return 'not done';
  }
  try {
    const { command } = await client.query('COMMIT');
    return command === 'COMMIT' ? 'done' : 'not done';
  } catch (error) {
    return stage.meet(error, 'COMMIT');
  }
}

async function rolledBack(stage: Stage, client: ChaosClient, id: number): Promise<void> {
  try {
    await client.query('BEGIN');
    await client.query('UPDATE counters SET n = n + $1 WHERE id = $2', [NEVER, id]);
  } catch (error) {
    stage.meet(error, 'statement in a transaction');
  }
  await client.query('ROLLBACK').catch((error: unknown) => stage.meet(error, 'ROLLBACK'));
}

/** Writes the same tag on several shards in one transaction: all or nothing. */
export async function markingClient(stage: Stage, name: string): Promise<void> {
  const client = await stage.connect();
  let round = 0;
  await stage.repeatOn(client, 'marking', async () => {
    const tag = `${name} ${++round}`;
    const ids = new Set(Array.from({ length: 4 }, () => stage.dice.pick(stage.ledger.ids)));
    const inserts = [...ids].map((id) => `INSERT INTO marks VALUES (${id}, '${tag}')`);
    await stage.ledger.mark(tag, ids.size, () => inTransaction(stage, client, inserts));
  });
  await client.end();
}

/** Writes many rows by COPY, split over the shards inside one transaction: all or nothing. */
export async function copyingClient(stage: Stage, name: string): Promise<void> {
  const client = await stage.connect();
  let round = 0;
  await stage.repeatOn(client, 'copying', async () => {
    const tag = `${name} ${++round}`;
    await stage.ledger.mark(tag, MARKED_ROWS, async () => {
      try {
        await client.query('BEGIN');
        await inTime(copyRows(stage, client, tag), 'COPY');
      } catch (error) {
        stage.meet(error, 'COPY');
        await client.query('ROLLBACK').catch((after: unknown) => stage.meet(after, 'ROLLBACK'));
        return 'not done';
      }
      return inTransactionEnd(stage, client);
    });
    await sleep(20);
  });
  await client.end();
}

async function inTransactionEnd(stage: Stage, client: ChaosClient): Promise<Fate> {
  try {
    const { command } = await client.query('COMMIT');
    return command === 'COMMIT' ? 'done' : 'not done';
  } catch (error) {
    return stage.meet(error, 'COMMIT behind COPY');
  }
}

async function copyRows(stage: Stage, client: ChaosClient, tag: string): Promise<void> {
  const stream = client.raw.query(copyFrom('COPY marks FROM STDIN'));
  let failed = false;
  const finished = new Promise<void>((resolve, reject) => {
    stream.once('finish', resolve);
    stream.once('error', (error) => {
      failed = true;
      reject(error);
    });
  });
  // Whoever waits for the end hears of it; a failure before that is no unhandled one.
  finished.catch(() => undefined);
  for (let row = 0; row < MARKED_ROWS && !hasFailed(); row++) {
    stream.write(`${stage.dice.pick(stage.ledger.ids)}\t${tag}\n`);
    if (row % 8 === 0) await sleep(2);
  }
  if (!hasFailed()) stream.end();
  await finished;

  function hasFailed(): boolean {
    return failed;
  }
}

/** Reads all counters over all shards: each exactly once, with every increment that was acknowledged before. */
export async function scatterReader(stage: Stage): Promise<void> {
  const client = await stage.connect();
  await stage.repeat(
    'reading',
    async () => {
      const floor = stage.ledger.floor();
      // A shard that breaks off in the middle of a row takes the client's connection with it.
      if ((await client.revive()) !== null) stage.meetLostConnection();
      try {
        const { rows } = await client.query('SELECT id, n FROM counters');
        const ids = new Set(rows.map((row) => row['id']));
        if (rows.length !== floor.size || ids.size !== floor.size) {
          stage.problem(`${rows.length} rows of ${ids.size} counters, ${floor.size} exist`);
        }
        for (const row of rows) {
          const wrong = stage.ledger.wrong(row['id'] as number, row['n'] as number, floor);
          if (wrong !== null) stage.problem(wrong);
        }
      } catch (error) {
        if ((error as { code?: string }).code !== undefined) stage.meet(error, 'scatter read');
      }
    },
    10,
  );
  await client.end();
}

/** Lives on a shard that nobody kills: whatever happens elsewhere, no statement fails or takes long. */
export async function bystander(stage: Stage, name: string, id: number): Promise<void> {
  const client = await stage.connect();
  let slowestMs = 0;
  const raise = name === 'main' ? 'plain' : 'bystanders';
  let expected = 0;
  await stage.repeat(
    `bystander on ${name}`,
    async () => {
      const started = performance.now();
      await client.query(`UPDATE ${raise} SET n = n + 1 WHERE id = $1`, [id], `raise ${raise}`);
      expected++;
      const { rows } = await client.query(`SELECT n FROM ${raise} WHERE id = ${id}`);
      if (rows[0]?.['n'] !== expected) {
        stage.problem(`bystander on ${name} read ${String(rows[0]?.['n'])}, not ${expected}`);
      }
      slowestMs = Math.max(slowestMs, performance.now() - started);
    },
    5,
  );
  if (slowestMs > 2000) stage.problem(`bystander on ${name} waited ${Math.round(slowestMs)} ms`);
  if (expected === 0) stage.problem(`bystander on ${name} did nothing`);
  await client.end();
}
