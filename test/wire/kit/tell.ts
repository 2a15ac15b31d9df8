import { afterAll, beforeAll, expect, test } from 'vitest';
import { openScene, type Scene } from '../../support/scene.js';
import { play, type WireServer } from './player.js';
import { ServerNames } from './server-names.js';
import type { Story } from './story.js';
import { contents, schema, tables } from './stage.js';

/** Tells stories to a plain Postgres and to Shardgate, each in all its ways, and compares what came back. */
export function tell(database: string, stories: readonly Story[]): void {
  let scene: Scene;
  let proxy: WireServer;
  let oracle: WireServer;

  beforeAll(async () => {
    scene = await openScene(database, tables, [...schema, ...contents]);
    const server = async (port: number): Promise<WireServer> => ({
      port,
      database,
      names: await ServerNames.open(port, database),
    });
    proxy = await server(scene.proxy.port);
    oracle = await server(scene.oraclePort);
  });
  afterAll(async () => {
    proxy.names.close();
    oracle.names.close();
    await scene.close();
  });

  const cases = stories.flatMap((story) =>
    story.deliveries.map((delivery) => ({ story, delivery, title: story.title })),
  );
  test.each(cases)('$title ($delivery)', async ({ story, delivery }) => {
    const [ours, theirs] = await Promise.all([
      play(story, proxy, delivery),
      play(story, oracle, delivery),
    ]);
    expect(ours).toEqual(theirs);
  });
}
