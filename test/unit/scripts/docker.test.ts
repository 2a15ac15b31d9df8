import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { parse } from 'yaml';
import { projectRoot } from '../../../scripts/lib/project.mjs';
import { loadConfigText } from '../../../src/config/load.js';

const read = (file: string): string => readFileSync(`${projectRoot}${file}`, 'utf8');

test('the configuration for containers is sound and fits docker-compose.yml', () => {
  const config = loadConfigText(read('docker/shardgate.yaml'), {
    file: 'docker/shardgate.yaml',
    env: { APP_PASSWORD: 'app' },
    readFile: (path) => {
      throw new Error(`the file must not need ${path}`);
    },
  });
  const compose = parse(read('docker-compose.yml'), { merge: true });
  for (const { primary } of config.servers) {
    const { environment } = compose.services[primary.host];
    expect(environment).toMatchObject({
      POSTGRES_USER: primary.user,
      POSTGRES_DB: primary.database,
    });
  }
  const ports: string[] = compose.services.shardgate.ports;
  expect(ports.map((port) => Number(port.split(':').at(-1)))).toEqual([
    config.listen.port,
    config.http?.port,
  ]);
  const graceMs = Number.parseInt(compose.services.shardgate.stop_grace_period) * 1000;
  expect(graceMs).toBeGreaterThan(config.drainTimeoutMs);
});
