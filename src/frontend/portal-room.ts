import type { SqlError } from '../errors/sql-error.js';
import type { Plan } from '../planner/plan.js';
import type { ExtendedQuery } from './extended-query.js';
import type { PortalRunner } from './portal-runner.js';
import { duplicatePortal } from './portals.js';
import type { Session } from './session.js';

/** Makes room for the portal that a Bind is about to make. */
export class PortalRoom {
  private readonly session: Session;
  private readonly extended: ExtendedQuery;
  private readonly runner: PortalRunner;

  constructor(session: Session, extended: ExtendedQuery, runner: PortalRunner) {
    this.session = session;
    this.extended = extended;
    this.runner = runner;
  }

  /**
   * What a portal of this name has open on shards is closed first; false: wait. Throws SqlError 42P03, or what becomes
   * of the plan in a failed transaction.
   * @param plan of the statement that is bound; null: none is
   */
  make(name: string, plan: Plan | null): boolean {
    const { session, extended } = this;
    const { portals } = extended;
    const taken = portals.find(name);
    if (taken === null) {
      portals.assertRoom(name, session.context.config.limits.portalsPerClient);
      return true;
    }
    if (name !== '') {
      if (plan !== null) session.control.refuseBind(plan);
      throw duplicatePortal(name);
    }
    if (taken.result?.kind !== 'open') return true;
    extended.enter();
    return this.runner.close(taken);
  }

  /** Throws the SqlError of a Bind that brings no sound values, or what a server would find before it reads them. */
  refuseFault(fault: SqlError, plan: Plan, portal: string): never {
    this.session.control.refuseBind(plan);
    if (portal !== '') this.make(portal, plan);
    throw fault;
  }
}
