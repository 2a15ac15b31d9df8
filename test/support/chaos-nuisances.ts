import { setTimeout as sleep } from 'node:timers/promises';
import { NEVER } from './chaos-writers.js';
import { cancelRequest } from './chaos-sessions.js';
import type { MortalServer } from './chaos-servers.js';
import type { Stage } from './chaos-stage.js';
import { WireClient } from './wire-client.js';
import { errorFields, frame, rowTexts, type WireMessage } from './wire-messages.js';

/** Kills, restarts, shuts down and freezes servers, one at a time; ends with all of them running. */
export async function monkey(stage: Stage, servers: readonly MortalServer[]): Promise<string[]> {
  const done: string[] = [];
  for (let round = 0; !stage.over; round++) {
    await sleep(stage.dice.between(200, 700));
    const server = stage.dice.pick(servers);
    const how = (['kill', 'freeze', 'shut down'] as const)[round % 3]!;
    done.push(`${how} ${server.name}`);
    if (how === 'freeze') {
      const { thaw } = await server.freeze();
      await sleep(stage.dice.between(100, 600));
      thaw();
      continue;
    }
    await (how === 'kill' ? server.kill() : server.shutDown());
    await sleep(stage.dice.between(0, 500));
    await server.restart();
  }
  return done;
}

function login(stage: Stage): Promise<WireClient> {
  return WireClient.login({ port: stage.proxy.port, database: stage.database });
}

/** Gone in the middle of whatever a client can be in the middle of; nothing it did not commit may stay. */
export async function vanishingClients(stage: Stage): Promise<void> {
  await stage.repeat(
    'vanishing',
    async () => {
      const client = await login(stage);
      const id = stage.dice.pick(stage.ledger.ids);
      const spoil = `UPDATE counters SET n = n + ${NEVER} WHERE id = ${id}`;
      stage.dice.pick([
        () => client.send(frame('Q', spoil).subarray(0, -4)),
        () => {
          client.query(`SELECT id, repeat('x', 100000) FROM counters`);
        },
        () => {
          client.query('BEGIN');
          client.query(spoil);
        },
        () => {
          client.query('BEGIN');
          client.query('COPY marks FROM STDIN');
          client.copyData(`${id}\tvanished\n`);
        },
        () => {
          client.query('COPY marks FROM STDIN');
          client.copyData(`${id}\tvanished\n${id}\tvani`);
        },
        () => {
          client.query('BEGIN');
          client.parse('UPDATE counters SET n = n + $1 WHERE id = $2', 'spoil', [23, 23]);
          client.bind({ statement: 'spoil', values: [String(NEVER), String(id)] });
          client.execute();
          client.flush();
        },
        () => {
          client.query(`SELECT pg_sleep(30) FROM counters WHERE id = ${id}`);
        },
      ])();
      await sleep(stage.dice.below(80));
      client.destroy();
    },
    20,
  );
}

/** Asks for a lot, stops reading in the middle of it, and reads the rest later. */
export async function slowReader(stage: Stage): Promise<void> {
  await stage.repeat('slow reading', async () => {
    const client = await login(stage);
    client.query(`SELECT id, repeat('x', 500000) FROM counters`);
    await sleep(30);
    client.socket.pause();
    await sleep(stage.dice.between(300, 1200));
    client.socket.resume();
    const messages: WireMessage[] = [];
    try {
      messages.push(...(await client.until('Z', 8000)));
    } catch (error) {
      // Cut off in the middle of a row, which is the only way to end such an answer, when a shard dies.
      if (!String(error).includes('closed the connection')) throw error;
      client.destroy();
      return;
    }
    const error = messages.find((message) => message.type === 'E');
    const rows = messages.filter((message) => message.type === 'D');
    if (error !== undefined) meetMessage(stage, error, 'slow read');
    else if (rows.length !== stage.ledger.ids.length) {
      stage.problem(`a slow reader got ${rows.length} rows of ${stage.ledger.ids.length}`);
    }
    client.terminate();
  });
}

/** How long a cancel may take; one that overtakes its statement does nothing, as on any Postgres, and is sent again. */
const CANCEL_MS = 1500;
const CANCELS_MAX = 4;

/** Runs what takes long and cancels it; sends a wrong key first, which must do nothing. */
export async function cancellingClient(stage: Stage): Promise<void> {
  const { port } = stage.proxy;
  const client = await WireClient.open({ port });
  client.startup({ port, database: stage.database });
  const key = (await client.until('Z')).find((message) => message.type === 'K')!.body;
  const pid = key.readInt32BE(0);
  const secret = key.subarray(4);
  const wrong = Buffer.from(secret);
  wrong[0] = wrong[0]! ^ 1;
  await stage.repeat('cancelling', async () => {
    const id = stage.dice.pick(stage.ledger.ids);
    client.query(`SELECT pg_sleep(20) FROM counters WHERE id = ${id}`);
    await sleep(stage.dice.between(0, 150));
    await sendCancel(port, pid, wrong);
    for (let sent = 1; ; sent++) {
      await sendCancel(port, pid, secret);
      if (sent === CANCELS_MAX || !(await client.silentFor(CANCEL_MS))) break;
    }
    const error = (await client.until('Z')).find((message) => message.type === 'E');
    if (error !== undefined) meetMessage(stage, error, 'cancelled statement');
    else stage.problem('a statement of 20 s ended without an error');
  });
  client.terminate();
}

async function sendCancel(port: number, pid: number, secret: Buffer): Promise<void> {
  const client = await WireClient.open({ port });
  client.send(cancelRequest(pid, secret));
  await client.closed();
}

function meetMessage(stage: Stage, message: WireMessage, what: string): void {
  const { C, M } = errorFields(message);
  stage.meet(Object.assign(new Error(M), { code: C }), what);
}

/** Clients that do nothing; at the end each of them is still there. */
export async function idleClients(
  stage: Stage,
  count: number,
): Promise<{ check(): Promise<void> }> {
  const clients = await Promise.all(Array.from({ length: count }, () => login(stage)));
  return {
    check: async () => {
      await Promise.all(
        clients.map(async (client) => {
          client.query('SELECT 1');
          const row = (await client.until('Z')).find((message) => message.type === 'D');
          if (row === undefined || rowTexts(row)[0] !== '1')
            stage.problem('an idle client is deaf');
          client.terminate();
        }),
      );
    },
  };
}
