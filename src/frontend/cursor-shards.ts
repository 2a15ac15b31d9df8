import type { BackendConnection } from '../backend/postgres/connection.js';
import { sqlError } from '../errors/sql-error.js';
import { byIndex, type Shard } from '../keyspace/topology.js';
import type { CursorUse, RoutePlan } from '../planner/plan.js';
import { duplicatePortal } from './portals.js';
import type { Session } from './session.js';

/**
 * The shards of a statement about a cursor; none: it is open on several, and the session reads it. Throws SqlError
 * 42P03 where the name is taken on another server than the one that would say so.
 * @param select the shards of the statement's own plan
 */
export function cursorShards(
  session: Session,
  cursor: CursorUse,
  select: () => readonly Shard[],
): readonly Shard[] {
  const { targets, work, extended } = session;
  if (cursor.action === 'close' && cursor.name === null) {
    const backends = new Set([...work.participants, ...extended.portals.holders]);
    const shards = [...backends].map(({ shard }) => shard).sort(byIndex);
    return shards.length > 0 ? shards : select();
  }
  const portal = extended.portals.find(cursor.name!);
  if (cursor.action === 'declare') {
    const shards = select();
    const judged = shards.length === 1 && shards[0] === portal?.backend?.shard;
    if (portal !== null && !judged) throw duplicatePortal(cursor.name);
    return shards;
  }
  // A server says that there is none.
  if (portal === null) return select();
  if (portal.backend !== null) {
    targets.setOne(portal.backend.shard);
    return targets.shards;
  }
  if (cursor.action !== 'use' && portal.result?.kind === 'open') return NONE;
  throw sqlError(
    'feature_not_supported',
    cursor.action === 'use'
      ? 'WHERE CURRENT OF a cursor over several shards is not supported'
      : `portal "${portal.name}" over several shards has not been executed with a row limit`,
    { hint: 'Change rows by their keys; DECLARE what is to be fetched from.' },
  );
}

/**
 * A statement about a cursor is about to run on this backend, as it stands. Throws SqlError 53000, 0A000 where a cursor
 * WITH HOLD cannot be kept there.
 */
export function noteCursor(
  { extended, pins, work }: Session,
  plan: RoutePlan,
  cursor: CursorUse,
  backend: BackendConnection,
): void {
  const { portals } = extended;
  if (cursor.action === 'declare') {
    // Where the name is taken, its server refuses the statement.
    if (portals.find(cursor.name) !== null) return;
    if (cursor.hold) pins.keepCursor(backend);
    portals.addDeclared(cursor, plan, backend, work.savepointDepth);
  } else if (cursor.action === 'close') {
    pins.noteEnd(backend);
    if (cursor.name === null) portals.clear();
    else portals.remove(cursor.name);
  }
}

const NONE: readonly Shard[] = [];
