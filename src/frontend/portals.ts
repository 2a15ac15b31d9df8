import type { BackendConnection } from '../backend/postgres/connection.js';
import { sqlError } from '../errors/sql-error.js';
import type { Portal } from './client-statement.js';

/** The portals of one client. */
export class Portals {
  private readonly byName = new Map<string, Portal>();

  /** Throws SqlError 34000 where there is none. */
  named(name: string): Portal {
    const portal = this.byName.get(name);
    if (portal !== undefined) return portal;
    throw sqlError('invalid_cursor_name', `portal "${name}" does not exist`);
  }

  /** A portal that the session runs itself. Throws SqlError 42P03 where the name is taken. */
  addLocal(portal: Portal): void {
    if (portal.name !== '' && this.byName.has(portal.name)) {
      throw sqlError('duplicate_cursor', `cursor "${portal.name}" already exists`);
    }
    this.byName.set(portal.name, portal);
  }

  /** A portal of a backend, which checks the name itself. */
  addRemote(portal: Portal): void {
    this.byName.set(portal.name, portal);
  }

  /** Removes a portal; answers the backend that holds it, if one does. */
  close(name: string): BackendConnection | null {
    const portal = this.byName.get(name);
    this.byName.delete(name);
    return portal?.backend ?? null;
  }

  backendOf(name: string): BackendConnection | null {
    return this.byName.get(name)?.backend ?? null;
  }

  dropAllOf(backend: BackendConnection): void {
    for (const [name, portal] of this.byName) {
      if (portal.backend === backend) this.byName.delete(name);
    }
  }

  /** Portals die with their transaction. */
  end(transactionOver: boolean): void {
    if (!transactionOver) return;
    // Most often there is the unnamed one at most, and clearing a map makes a new table.
    this.byName.delete('');
    if (this.byName.size > 0) this.byName.clear();
  }
}
