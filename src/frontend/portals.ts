import type { BackendConnection } from '../backend/postgres/connection.js';
import { sqlError } from '../errors/sql-error.js';
import type { Portal } from './client-statement.js';

/** The portals of one client. */
export class Portals {
  /** Apart from the others: a map that gains and loses one entry a statement is made anew every so often. */
  private unnamed: Portal | null = null;
  private readonly byName = new Map<string, Portal>();

  /** Throws SqlError 34000 where there is none. */
  named(name: string): Portal {
    const portal = this.find(name);
    if (portal !== null) return portal;
    throw sqlError('invalid_cursor_name', `portal "${name}" does not exist`);
  }

  /** A portal that the session runs itself. Throws SqlError 42P03 where the name is taken. */
  addLocal(portal: Portal): void {
    if (portal.name !== '' && this.byName.has(portal.name)) {
      throw sqlError('duplicate_cursor', `cursor "${portal.name}" already exists`);
    }
    this.put(portal);
  }

  /** A portal of a backend, which checks the name itself. */
  addRemote(portal: Portal): void {
    this.put(portal);
  }

  /** Removes a portal; answers the backend that holds it, if one does. */
  close(name: string): BackendConnection | null {
    const portal = this.find(name);
    if (name === '') this.unnamed = null;
    else this.byName.delete(name);
    return portal?.backend ?? null;
  }

  backendOf(name: string): BackendConnection | null {
    return this.find(name)?.backend ?? null;
  }

  dropAllOf(backend: BackendConnection): void {
    if (this.unnamed?.backend === backend) this.unnamed = null;
    for (const [name, portal] of this.byName) {
      if (portal.backend === backend) this.byName.delete(name);
    }
  }

  /** Portals die with their transaction. */
  end(transactionOver: boolean): void {
    if (!transactionOver) return;
    this.unnamed = null;
    // Clearing a map makes a new table.
    if (this.byName.size > 0) this.byName.clear();
  }

  private find(name: string): Portal | null {
    return name === '' ? this.unnamed : (this.byName.get(name) ?? null);
  }

  private put(portal: Portal): void {
    if (portal.name === '') this.unnamed = portal;
    else this.byName.set(portal.name, portal);
  }
}
