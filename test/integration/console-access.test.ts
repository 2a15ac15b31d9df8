/* Who may use the console, and for what. */
import { afterAll, beforeAll, expect, test } from 'vitest';
import { connectPg, openScene, type Scene } from '../support/scene.js';

let scene: Scene;

beforeAll(async () => {
  scene = await openScene('console_access', {}, [], {
    auth: {
      method: 'trust',
      users: [
        { name: 'postgres', role: 'admin' },
        { name: 'watcher', role: 'monitor' },
        { name: 'app', role: 'app' },
        { name: 'elsewhere', role: 'admin', databases: ['other'] },
      ],
    },
    limits: { max_clients: 4 },
  });
});

afterAll(async () => {
  await scene.close();
});

function urlOf(user: string): string {
  const address = new URL(scene.proxy.url);
  address.username = user;
  address.pathname = '/shardgate';
  return address.href;
}

test('admins act, monitors look, others stay outside', async () => {
  const admin = await connectPg(urlOf('postgres'));
  await admin.query('RELOAD');
  await admin.end();
  const watcher = await connectPg(urlOf('watcher'));
  await expect(watcher.query('RELOAD')).rejects.toMatchObject({ code: '42501' });
  expect((await watcher.query('SHOW CLIENTS')).rows).toHaveLength(2);
  await watcher.end();
  await expect(connectPg(urlOf('app'))).rejects.toMatchObject({ code: '42501' });
  await expect(connectPg(urlOf('elsewhere'))).rejects.toMatchObject({ code: '42501' });
});

test('a console gets in when there are too many clients', async () => {
  const clients = [];
  try {
    for (let i = 0; i < 3; i++) clients.push(await connectPg(scene.proxy.url));
    await expect(connectPg(scene.proxy.url)).rejects.toMatchObject({ code: '53300' });
    clients.push(await connectPg(urlOf('postgres')));
  } finally {
    for (const client of clients) await client.end();
  }
});
