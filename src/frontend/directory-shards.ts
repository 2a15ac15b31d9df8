import { SqlError } from '../errors/sql-error.js';
import { isDirectoryMiss } from '../executor/directories/directory-miss.js';
import type { ValueSource } from '../executor/shard-targets.js';
import { collectedKeys, type KeyDirectory } from '../keyspace/key-directory.js';
import { askDirectories, thrownBy, type AskedKeys, type FoundKeys } from './asked-directories.js';
import type { Shard } from '../keyspace/topology.js';
import { shardsOf, type ShardPlan } from './shard-choice.js';
import type { Session } from './session.js';

/** Asks directories for the shards of a session's statements, before these run. */
export class DirectoryShards {
  private readonly session: Session;
  /** For the message that is handled again; used once. */
  private found: FoundKeys | SqlError | null = null;

  constructor(session: Session) {
    this.session = session;
  }

  /** Puts what was asked for this message in its place, until `clear`. Throws SqlError where it could not be had. */
  install(): void {
    if (this.directories.length === 0) return;
    const { found } = this;
    this.clear();
    if (found instanceof SqlError) throw found;
    for (const [directory, answers] of found ?? []) directory.answers = answers;
    // Nobody else may see them, whatever becomes of the message.
    if (found !== null) queueMicrotask(() => this.forget(found));
  }

  /** The message has its shards: the next one asks again. */
  clear(): void {
    this.found = null;
    for (const directory of this.directories) directory.answers = null;
  }

  /**
   * Whether all keys of a plan have their places, with these values; false: wait, the message is handled again.
   */
  ready(plan: ShardPlan, values: ValueSource): boolean {
    if (this.directories.length === 0) return true;
    this.install();
    try {
      return this.shardsFor(plan, values) !== null;
    } catch (error) {
      // Whoever runs the plan meets it again.
      if (error instanceof SqlError) return true;
      throw error;
    }
  }

  /**
   * The shards of a plan, with what was installed; null: wait, the message is handled again. Throws SqlError as
   * `shardsOf` does.
   */
  shardsFor(plan: ShardPlan, values: ValueSource): readonly Shard[] | null {
    const { directories } = this;
    for (const directory of directories) directory.unasked = false;
    try {
      const shards = shardsOf(this.session, plan, values);
      // There may be fewer, once directories are asked for all periods that the statement is about.
      if (!directories.some(({ unasked }) => unasked)) return shards;
    } catch (error) {
      if (!isDirectoryMiss(error)) throw error;
    }
    this.fetch(plan, values);
    return null;
  }

  /** Asks for all keys of a plan, and handles the message again. */
  private fetch(plan: ShardPlan, values: ValueSource): void {
    const { session } = this;
    const asked = this.collect(plan, values);
    const stores = plan.kind === 'insertSplit' || (plan.kind === 'route' && plan.verb === 'insert');
    const turn = ++session.turn;
    session.busy = true;
    void this.ask(asked, stores ? asked : this.newKeys(plan, values)).then((found) => {
      // The message may have become void by an error of an earlier one.
      if (session.over || turn !== session.turn) return;
      this.found = found;
      session.busy = false;
      session.operation = null;
      session.pump();
      // Used at once, or too old.
      this.found = null;
    });
  }

  /** `stored`: those of them that are new get shards. */
  private async ask(asked: AskedKeys, stored: AskedKeys): Promise<FoundKeys | SqlError> {
    const { session } = this;
    if (stored === asked) return askDirectories(session, asked, true);
    const made = stored.size === 0 ? null : await askDirectories(session, stored, true);
    return made instanceof SqlError ? made : askDirectories(session, asked, false);
  }

  /** Those that the statement gives to rows. */
  private newKeys(plan: ShardPlan, values: ValueSource): AskedKeys {
    const { targets } = this.session;
    if (plan.kind !== 'route' || plan.shards.kind !== 'keys') return new Map();
    const { keyspace, groups } = plan.shards;
    const stored = groups.flat().filter((term) => term.columns === undefined && term.stored);
    return collectedKeys(this.directories, () => {
      for (const term of stored) thrownBy(() => void targets.forStoring(keyspace, term, values));
    });
  }

  private collect(plan: ShardPlan, values: ValueSource): AskedKeys {
    // Whoever runs the plan meets errors again.
    return collectedKeys(this.directories, () => {
      thrownBy(() => void shardsOf(this.session, plan, values));
    });
  }

  private forget(found: FoundKeys): void {
    for (const [directory, answers] of found) {
      if (directory.answers === answers) directory.answers = null;
    }
  }

  private get directories(): readonly KeyDirectory[] {
    return this.session.context.config.topology.directories;
  }
}
