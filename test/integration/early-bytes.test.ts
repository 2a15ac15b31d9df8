import { createHash } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { createDatabaseSet, type DatabaseSet } from '../support/cluster.js';
import { clusterConfig } from '../support/proxy-config.js';
import { startProxy, type Proxy } from '../support/proxy.js';
import { WireClient } from '../support/wire-client.js';
import { errorFields, frame, int32, rowTexts, type WireMessage } from '../support/wire-messages.js';

/** The user's name too, which is the database where a client names none. */
const NAME = 'early_bytes';
let databases: DatabaseSet;
let proxies: { readonly trust: Proxy; readonly md5: Proxy };

beforeAll(async () => {
  databases = await createDatabaseSet(NAME);
  const start = (method: string): Promise<Proxy> =>
    startProxy({
      config: clusterConfig(
        databases,
        {},
        { auth: { method, users: [{ name: NAME, password: 'secret' }] } },
      ),
    });
  const [trust, md5] = await Promise.all([start('trust'), start('md5')]);
  proxies = { trust, md5 };
});
afterAll(async () => {
  await Promise.all([proxies.trust.stop(), proxies.md5.stop()]);
  await databases.drop();
});

function startup(...parameters: readonly string[]): Buffer {
  return frame('', int32(3 << 16), ...parameters, Buffer.from([0]));
}

/** Two queries, of which the second is cut in the middle. */
const queries = Buffer.concat([frame('Q', 'SELECT 1'), frame('Q', "SELECT 'two'")]);
const CUT = queries.length - 5;

/** Values of the rows that two queries are answered with. */
async function answers(client: WireClient): Promise<(string | null)[]> {
  const messages: WireMessage[] = [];
  for (let i = 0; i < 3; i++) messages.push(...(await client.until('Z')));
  client.terminate();
  return messages.filter((message) => message.type === 'D').flatMap(rowTexts);
}

describe('what a client sends before it knows that it is in is answered in order', () => {
  test('behind the startup message', async () => {
    const client = await WireClient.open({ port: proxies.trust.port });
    client.send(startup('user', NAME), queries.subarray(0, CUT));
    client.send(queries.subarray(CUT));
    expect(await answers(client)).toEqual(['1', 'two']);
  });

  test('with a setting that a shard must judge first', async () => {
    const client = await WireClient.open({ port: proxies.trust.port });
    client.send(startup('user', NAME, 'work_mem', '5MB'), frame('Q', 'SHOW work_mem'), queries);
    expect(await answers(client)).toEqual(['5MB', '1']);
  });

  test('behind the password', async () => {
    const client = await WireClient.open({ port: proxies.md5.port });
    client.send(startup('user', NAME));
    const salt = (await client.next()).body.subarray(4);
    const md5 = (...parts: readonly (string | Buffer)[]): string => {
      const hash = createHash('md5');
      for (const part of parts) hash.update(part);
      return hash.digest('hex');
    };
    const password = frame('p', `md5${md5(md5('secret', NAME), salt)}`);
    client.send(password, queries.subarray(0, CUT));
    client.send(queries.subarray(CUT));
    expect(await answers(client)).toEqual(['1', 'two']);
  });

  test('unless the password is wrong: then it is dropped', async () => {
    const client = await WireClient.open({ port: proxies.md5.port });
    client.send(startup('user', NAME));
    await client.next();
    client.send(frame('p', 'md5nothing'), queries);
    const messages = await client.closed();
    expect(messages.map((message) => message.type)).toEqual(['E']);
    expect(errorFields(messages[0]!)['C']).toBe('28P01');
  });
});

test.each([[[]], [['database', '']], [['database', NAME]]])(
  'the database is that of the name of the user where none is named: %j',
  async (parameters) => {
    const client = await WireClient.open({ port: proxies.trust.port });
    client.send(startup('user', NAME, ...parameters), queries);
    expect(await answers(client)).toEqual(['1', 'two']);
  },
);
