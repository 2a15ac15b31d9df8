import { SqlError, sqlError } from '../errors/sql-error.js';
import { isDirectoryMiss } from '../executor/directories/directory-miss.js';
import {
  collectedKeys,
  type DirectoryAnswers,
  type KeyDirectory,
} from '../keyspace/key-directory.js';
import type { KeyspaceId } from '../keyspace/keyspace-id.js';
import { errorField } from '../util/logger.js';
import { shardsOf, type ShardPlan } from './shard-choice.js';
import type { Session } from './session.js';

/** Asks directories for the shards of a session's statements, before these run. */
export class DirectoryShards {
  private readonly session: Session;
  /** For the message that is handled again; used once. */
  private found: ReadonlyMap<KeyDirectory, DirectoryAnswers> | SqlError | null = null;

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
   * Whether all keys of a plan have their places, with the values of `session.source`; false: wait, the message is
   * handled again.
   */
  ready(plan: ShardPlan): boolean {
    if (this.directories.length === 0) return true;
    this.install();
    try {
      shardsOf(this.session, plan);
    } catch (error) {
      if (isDirectoryMiss(error)) {
        this.fetch(plan);
        return false;
      }
      // Whoever runs the plan meets it again.
      if (!(error instanceof SqlError)) throw error;
    }
    return true;
  }

  /** Asks for all keys of a plan, and handles the message again. */
  fetch(plan: ShardPlan): void {
    const { session } = this;
    const asked = this.collect(plan);
    const stores = plan.kind === 'insertSplit' || (plan.kind === 'route' && plan.verb === 'insert');
    const turn = ++session.turn;
    session.busy = true;
    void this.askAll(asked, stores).then((found) => {
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

  /** Never rejects. */
  private async askAll(
    asked: ReadonlyMap<KeyDirectory, readonly KeyspaceId[]>,
    stores: boolean,
  ): Promise<ReadonlyMap<KeyDirectory, DirectoryAnswers> | SqlError> {
    const { context, logger } = this.session;
    try {
      return await context.directories.ask(asked, stores);
    } catch (error) {
      if (error instanceof SqlError) return error;
      logger.debug(errorField(error), 'a directory was not read');
      return sqlError('connection_failure', 'the directory of shard keys cannot be read', {
        detail: (error as Error).message,
        hint: 'Try again.',
      });
    }
  }

  private collect(plan: ShardPlan): ReadonlyMap<KeyDirectory, readonly KeyspaceId[]> {
    return collectedKeys(this.directories, () => {
      try {
        shardsOf(this.session, plan);
      } catch (error) {
        // Whoever runs the plan meets it again.
        if (!(error instanceof SqlError)) throw error;
      }
    });
  }

  private forget(found: ReadonlyMap<KeyDirectory, DirectoryAnswers>): void {
    for (const [directory, answers] of found) {
      if (directory.answers === answers) directory.answers = null;
    }
  }

  private get directories(): readonly KeyDirectory[] {
    return this.session.context.config.topology.directories;
  }
}
