/** What is amiss with live shards. A `problem` will lead to errors; a `note` is worth a look. */
export interface Finding {
  readonly kind: 'problem' | 'note';
  /** Null: it is not about one shard. */
  readonly shard: string | null;
  readonly message: string;
  /** What to do about it. */
  readonly cure: string;
}

export function problem(shard: string | null, message: string, cure: string): Finding {
  return { kind: 'problem', shard, message, cure };
}

export function note(shard: string | null, message: string, cure: string): Finding {
  return { kind: 'note', shard, message, cure };
}

/** One line for people. */
export function formatFinding({ kind, shard, message, cure }: Finding): string {
  const where = shard === null ? '' : `shard "${shard}": `;
  return `${kind}: ${where}${message}; ${cure}\n`;
}
