import pg from 'pg';

/** Clients that share the backends with whoever is tested, and have settings and statements of their own. */
export interface Neighbours {
  /** Ends them; answers what they found wrong. */
  stop(): Promise<string[]>;
}

const KEYS = [1, 2, 3, 4, 5, 6, 7, 8];

/** Two clients at work until they are stopped; the table `neighbours` is theirs, with all keys in it. */
export function startNeighbours(url: string): Neighbours {
  const found: string[] = [];
  let stopped = false;
  const running = ['DMY', 'YMD'].map(async (order, number) => {
    const client = new pg.Client({ connectionString: url, application_name: `neighbour ${order}` });
    client.on('error', () => undefined);
    await client.connect();
    for (let turn = 0; !stopped; turn++) {
      const wrong = await visit(client, order, number, turn);
      if (wrong !== null) found.push(wrong);
    }
    await client.end();
  });
  return {
    stop: async () => {
      stopped = true;
      const ends = await Promise.allSettled(running);
      for (const end of ends) if (end.status === 'rejected') found.push(String(end.reason));
      return found;
    },
  };
}

/** What one of them does again and again; answers what was not as it must be. */
async function visit(
  client: pg.Client,
  order: string,
  number: number,
  turn: number,
): Promise<string | null> {
  const key = KEYS[turn % KEYS.length]!;
  await client.query(`SET datestyle = 'SQL, ${order}'`);
  await client.query(`SET search_path = public, neighbour_${number}`);
  await client.query('BEGIN');
  for (const id of [key, (key % KEYS.length) + 1]) {
    // Names that drivers give too: each client has its own statements.
    const name = ['__asyncpg_stmt_1__', 'S_1', 'lrupsc_1_0', 'by key'][turn % 4]!;
    const text = `UPDATE neighbours SET n${number} = n${number} + 1 WHERE id = $1`;
    await client.query({ name: `${name}${number}`, text, values: [id] });
  }
  await client.query(turn % 3 === 0 ? 'ROLLBACK' : 'COMMIT');
  const { rows } = await client.query<Record<string, string>>(
    `SELECT current_setting('datestyle') AS style, current_setting('search_path') AS path,
      current_setting('application_name') AS name, count(*) FROM neighbours`,
  );
  const [row] = rows;
  const seen = JSON.stringify([row!['style'], row!['path'], row!['name'], row!['count']]);
  const path = `public, neighbour_${number}`;
  const expected = JSON.stringify([`SQL, ${order}`, path, `neighbour ${order}`, '8']);
  return seen === expected ? null : `a neighbour saw ${seen} in place of ${expected}`;
}
