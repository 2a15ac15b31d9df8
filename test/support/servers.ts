/** The servers of a test run: one plain PostgreSQL, one unsharded shard, four sharded ones. */
export const serverNames = ['oracle', 'main', 's0', 's1', 's2', 's3'] as const;
export type ServerName = (typeof serverNames)[number];
export type ServerUrls = Readonly<Record<ServerName, string>>;
export const shardNames = ['main', 's0', 's1', 's2', 's3'] as const;
