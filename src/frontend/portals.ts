import type { BackendConnection } from '../backend/postgres/connection.js';
import { sqlError, type SqlError } from '../errors/sql-error.js';
import type { ScatterPortal } from '../executor/portal/scatter-portal.js';
import type { Shard } from '../keyspace/topology.js';
import type { Plan } from '../planner/plan.js';
import { storedName } from '../protocol/stored-name.js';
import type { UnitOfWork } from '../transaction/unit-of-work.js';
import { assert } from '../util/assert.js';
import type { ClientStatement, Portal } from './client-statement.js';

/** The portals of one client. */
export class Portals {
  /** Apart from the others: a map that gains and loses one entry a statement is made anew every so often. */
  private unnamed: Portal | null = null;
  /** The one without a name that a Query has taken the place of, until that has ended. */
  private replaced: Portal | null = null;
  /** By what a server would know them by. */
  private readonly byName = new Map<string, Portal>();

  /** Throws SqlError 34000 where there is none. */
  named(name: string): Portal {
    const portal = this.find(name);
    if (portal !== null) return portal;
    throw sqlError('invalid_cursor_name', `portal "${name}" does not exist`);
  }

  /** Null: there is none. */
  find(name: string): Portal | null {
    return name === '' ? this.unnamed : (this.byName.get(storedName(name)) ?? null);
  }

  /** Throws SqlError 54000 where a portal of this name would be one too many. */
  assertRoom(name: string, max: number): void {
    if (name === '' || this.byName.size < max) return;
    throw sqlError('program_limit_exceeded', `more than ${max} portals in one session`, {
      hint: 'Close portals that are no longer used, or raise limits.portals.',
    });
  }

  /** One that is open on several shards; to be asked for where `find` has such a one. */
  open(name: string): ScatterPortal {
    const result = this.find(name)?.result;
    assert(result?.kind === 'open', 'a cursor is open on several shards');
    return result.portal;
  }

  /** A command of the session. Throws SqlError 42P03 where the name is taken. */
  addLocal(
    name: string,
    statement: ClientStatement,
    plan: Plan,
    { savepointDepth: depth, failed: behindFailure }: UnitOfWork,
  ): void {
    this.add({ ...NOWHERE, madeAt: Date.now(), name, statement, plan, depth, behindFailure });
  }

  /**
   * One whose Execute fails with `error`. `statement`, `plan` and `bind` are for its description only. Throws SqlError
   * 42P03 where the name is taken.
   */
  addFailing(
    name: string,
    statement: ClientStatement,
    plan: Plan,
    bind: Buffer,
    { savepointDepth: depth }: UnitOfWork,
    error: Buffer,
  ): void {
    const own = { name, statement, plan, bind, depth, result: { kind: 'failed', error } as const };
    this.add({ ...NOWHERE, madeAt: Date.now(), ...own });
  }

  /** A portal that the session runs on several shards. Throws SqlError 42P03 where the name is taken. */
  addScattered(
    name: string,
    statement: ClientStatement,
    plan: Plan,
    shards: readonly Shard[],
    bind: Buffer,
    { savepointDepth: depth, writes: writesBefore }: UnitOfWork,
  ): void {
    const own = { name, statement, plan, shards: [...shards], bind, depth, writesBefore };
    this.add({ ...NOWHERE, madeAt: Date.now(), ...own });
  }

  private add(portal: Portal): void {
    if (portal.name !== '' && this.find(portal.name) !== null) throw duplicatePortal(portal.name);
    this.put(portal);
  }

  /** A portal of a backend. `depth`: how many savepoints there are. */
  addRemote(
    name: string,
    statement: ClientStatement,
    plan: Plan,
    backend: BackendConnection,
    depth: number,
    behindFailure: boolean,
  ): void {
    const { shards, bind, hold, writesBefore, result } = NOWHERE;
    const madeAt = name === '' ? 0 : Date.now();
    this.put({
      name,
      statement,
      plan,
      backend,
      shards,
      bind,
      madeAt,
      depth,
      behindFailure,
      hold,
      writesBefore,
      result,
    });
  }

  /** An SQL cursor of one backend. */
  addDeclared(
    { name, hold }: { readonly name: string; readonly hold: boolean },
    plan: Plan,
    backend: BackendConnection,
    depth: number,
  ): void {
    const own = { name, statement: null, plan, backend, depth };
    this.put({ ...NOWHERE, madeAt: Date.now(), ...own, hold: hold ? 'open' : 'no' });
  }

  /** An SQL cursor that is open on several. */
  addOpen(name: string, plan: Plan, portal: ScatterPortal, binary: boolean, depth: number): void {
    portal.binary = binary;
    const result = { kind: 'open', portal } as const;
    this.put({ ...NOWHERE, madeAt: Date.now(), name, statement: null, plan, depth, result });
  }

  remove(name: string): void {
    if (name === '') this.unnamed = null;
    else this.byName.delete(storedName(name));
  }

  /** A Query of so many statements begins. Called again where that waits. */
  onQuery(count: number, failed: boolean): void {
    // A failed transaction runs nothing, so nothing takes its place.
    if (this.unnamed === null || count === 0 || failed) return;
    // Of several the first one, which has run, has taken it away, even where the next one fails.
    if (count === 1) this.replaced = this.unnamed;
    this.unnamed = null;
  }

  dropAllOf(backend: BackendConnection): void {
    if (this.unnamed?.backend === backend) this.unnamed = null;
    if (this.replaced?.backend === backend) this.replaced = null;
    for (const [key, portal] of this.byName) {
      if (portal.backend === backend) this.byName.delete(key);
    }
  }

  /**
   * A savepoint was rolled back to, which ends the portals made behind it, or released: they belong to the one around
   * it. `depth`: how many savepoints there are now.
   */
  endSavepoint(rolledBack: boolean, depth: number): void {
    for (const portal of [this.unnamed, ...this.byName.values()]) {
      if (portal === null || portal.depth < depth) continue;
      if (portal.hold === 'kept') continue;
      if (rolledBack) this.remove(portal.name);
      else portal.depth = depth;
    }
  }

  /**
   * Portals die with their transaction, but for cursors WITH HOLD where it has committed.
   * @param failed the transaction, in a Query perhaps, behind which there still is a portal without a name
   */
  end(transactionOver: boolean, failed: boolean): void {
    const { replaced } = this;
    if (replaced !== null) {
      this.replaced = null;
      // Whatever is rolled back takes it away: it may be that of the Query.
      if (failed) this.unnamed = { ...replaced, depth: Infinity };
    }
    if (!transactionOver) return;
    this.unnamed = null;
    for (const portal of this.byName.values()) {
      if (portal.hold === 'no') this.remove(portal.name);
      else portal.hold = 'kept';
    }
  }

  /** The transaction is rolled back: what it has declared WITH HOLD goes too. */
  rollBack(): void {
    for (const portal of this.byName.values()) {
      if (portal.hold === 'open') this.remove(portal.name);
    }
  }

  /** CLOSE ALL. */
  clear(): void {
    this.unnamed = null;
    this.byName.clear();
  }

  /** Those that have a name. */
  get all(): Iterable<Portal> {
    return this.byName.values();
  }

  /** The backends that have cursors WITH HOLD. */
  get holders(): BackendConnection[] {
    const found = new Set<BackendConnection>();
    for (const { backend, hold } of this.byName.values()) {
      if (backend !== null && hold !== 'no') found.add(backend);
    }
    return [...found];
  }

  /** A backend has said which cursors WITH HOLD there are on it: others have failed, or were rolled back. */
  keepOnly(backend: BackendConnection, names: ReadonlySet<string>): void {
    for (const portal of this.byName.values()) {
      if (portal.backend !== backend || portal.hold === 'no') continue;
      if (!names.has(portal.name)) this.remove(portal.name);
    }
  }

  private put(portal: Portal): void {
    if (portal.name === '') this.unnamed = portal;
    else this.byName.set(storedName(portal.name), portal);
  }
}

/** Of a portal that is not on shards. */
const NOWHERE = {
  backend: null,
  shards: [],
  bind: null,
  madeAt: 0,
  depth: 0,
  behindFailure: false,
  hold: 'no',
  writesBefore: 0,
  result: null,
} as const;

export function duplicatePortal(name: string): SqlError {
  return sqlError('duplicate_cursor', `cursor "${name}" already exists`);
}
