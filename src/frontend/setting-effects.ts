import type { BackendConnection } from '../backend/postgres/connection.js';
import type { Plan, SettingEffect } from '../planner/plan.js';
import type { Session } from './session.js';
import { settingStatements } from './session-settings.js';

/** A statement has changed these settings. `backend`: the one that it ran on, of the session's participants. */
export function applyEffects(
  session: Session,
  effects: readonly SettingEffect[],
  backend: BackendConnection | null,
): void {
  session.pendingEffects = null;
  for (const effect of effects) applyEffect(session, effect);
  if (backend !== null) markApplied(session, backend);
}

/** The same for one that ran on every participant. */
export function applyEffectsOf(session: Session, plan: Plan): void {
  if (plan.kind !== 'route' || plan.effects === null) return;
  session.pendingEffects = null;
  applyToAll(session, plan.effects);
}

/** Settings that every participant has made. */
export function applyToAll(session: Session, effects: readonly SettingEffect[]): void {
  for (const effect of effects) applyEffect(session, effect);
  for (const backend of session.work.participants) markApplied(session, backend);
}

export function applyEffect(session: Session, effect: SettingEffect): void {
  const { work, settings } = session;
  // Whoever joins later gets it too; a local one is over already outside a transaction.
  if (work.explicit) {
    work.remember(settingStatements(effect, settings.baseOf(effect)).join(';'), effect);
  } else if (session.inPipeline && (effect.local || work.staysWhereItIs)) {
    work.noteLocal(effect);
  }
  settings.apply(effect);
}

/** A transaction that changed settings has failed or was rolled back: they are what they were. */
export function restoreSettings(session: Session, before: ReadonlyMap<string, string>): void {
  const { settings, work } = session;
  if (before === settings.current) return;
  settings.restore(before);
  // What they ran inside the transaction has been undone there as well, but not what came with the lease.
  for (const backend of work.participants) backend.settingsKey = null;
}

/** A statement that makes settings has failed: what it named stays known there, as on PostgreSQL. */
export function nameOnly(
  session: Session,
  effects: readonly SettingEffect[],
  backend: BackendConnection,
): void {
  const { settings } = session;
  session.pendingEffects = null;
  for (const effect of effects) settings.name(effect);
  settings.noteMade(backend);
  // Its key says which names it knows.
  backend.settingsKey = null;
}

/** The backend has all of the session's settings. */
export function markApplied({ settings }: Session, backend: BackendConnection): void {
  settings.noteMade(backend);
  backend.settings = settings.current;
  backend.settingsKey = settings.key;
}

/** A setting as the session has it now, SET LOCAL included; undefined: it has not said. */
export function settingOf({ work, settings }: Session, name: string): string | undefined {
  const last = work.lastEffect(name);
  // SET LOCAL is the transaction's alone.
  if (last?.local === true) return last.value ?? settings.baseOf(last).get(name);
  return settings.get(name);
}
