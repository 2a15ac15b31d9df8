/**
 * Settings of sessions that are Shardgate's own: by name, the values that they may have; null: any. The shards keep
 * them for us, so that SHOW and RESET know them.
 */
export const ownSettings = {
  'shardgate.cross_shard': ['two_phase', 'best_effort', 'refuse'],
  'shardgate.shard': null,
  'shardgate.key': null,
  'shardgate.keyspace': null,
  'shardgate.role': ['primary'],
  'shardgate.scatter': ['on', 'off'],
} as const satisfies Readonly<Record<string, readonly string[] | null>>;

export type OwnSetting = keyof typeof ownSettings;

export function isOwnSetting(name: string): name is OwnSetting {
  return Object.hasOwn(ownSettings, name);
}
