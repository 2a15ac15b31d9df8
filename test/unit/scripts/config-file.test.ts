import { describe, expect, test } from 'vitest';
import { newConfig, retarget, wantedPorts } from '../../../scripts/lib/start/config-file.mjs';
import { loadConfigText } from '../../../src/config/load.js';

const shardPorts = new Map([
  ['main', 15432],
  ['s0', 15433],
  ['s1', 15434],
  ['s2', 15435],
  ['s3', 15436],
]);
const endpoints = { listenPort: 6432, httpPort: 9400, shardPorts };
const noFile = (path: string): never => {
  throw new Error(`the file must not need ${path}`);
};
const fresh = newConfig(endpoints, 'secret-1_A');

describe('the configuration of the first start', () => {
  test('is a sound one, with the ports and the password that were given', () => {
    const config = loadConfigText(fresh, { file: 'shardgate.yaml', env: {}, readFile: noFile });
    expect(config.listen.port).toBe(6432);
    expect(config.http?.port).toBe(9400);
    expect(config.servers.map(({ primary }) => primary.port)).toEqual([...shardPorts.values()]);
    expect(new Set(config.servers.map(({ primary }) => primary.password))).toEqual(
      new Set(['secret-1_A']),
    );
    expect(config.topology.defaultKeyspace?.name).toBe('main');
  });

  test('asks for the ports that were given', () => {
    expect(wantedPorts(fresh)).toEqual({ listenPort: 6432, httpPort: 9400 });
  });
});

describe('moving to other ports', () => {
  const moved = {
    listenPort: 7000,
    httpPort: 7001,
    shardPorts: new Map([...shardPorts].map(([name, port]) => [name, port + 1000])),
  };

  test('gives the file that a first start on those ports would have given', () => {
    expect(retarget(fresh, moved)).toBe(newConfig(moved, 'secret-1_A'));
  });

  test('leaves a file alone whose ports are right', () => {
    expect(retarget(fresh, endpoints)).toBe(fresh);
  });

  test('keeps what the user wrote: comments, layout, tables, servers elsewhere', () => {
    const edited = `
listen:
    port:   6432      # mine
keyspaces: # two
  shop:
    tables: { a:   {shard_key: b} }
    shards:
    - {name: s0, range: "-80", primary: 'postgres://app@127.0.0.1:15433/shop'} # near
    - name: s1
      range: "80-"
      primary: postgres://app@10.0.0.1:15434/shop # far
    - { name: other, primary: "postgres://app@127.0.0.1:15432/shop" }
`;
    expect(retarget(edited, moved)).toBe(
      edited.replace('6432 ', '7000 ').replace('15433', '16433'),
    );
  });

  test('says plainly that the file is not YAML', () => {
    expect(() => retarget('listen: { port: 1', moved)).toThrow('not valid YAML');
  });
});

test('a file without an HTTP listener asks for none, one without a port for the usual one', () => {
  expect(wantedPorts('database: shop')).toEqual({ listenPort: 6432, httpPort: null });
});
