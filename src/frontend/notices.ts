import { writeNotice } from '../protocol/backend-messages.js';
import { Writer } from '../protocol/writer.js';
import { CUT_NAME_CODE, cutNameMessage, type CutName } from '../sql/cut-names.js';
import { settingOf } from './setting-effects.js';
import type { Session } from './session.js';

/** Values of client_min_messages under which clients do not hear of it (PostgreSQL 18, 19.8.2). */
const SILENT = {
  NOTICE: new Set(['warning', 'error']),
  WARNING: new Set(['error']),
} as const;

function hears(session: Session, severity: keyof typeof SILENT): boolean {
  const level = settingOf(session, 'client_min_messages') ?? 'notice';
  return !SILENT[severity].has(level.toLowerCase());
}

/**
 * A NOTICE of our own, at once, unless the session's client_min_messages keeps such away. Not between the rows of an
 * answer.
 */
export function tellNotice(session: Session, message: string, hint?: string): void {
  if (!hears(session, 'NOTICE')) return;
  const writer = new Writer(256);
  writeNotice(writer, 'NOTICE', '00000', message, { hint });
  const bytes = writer.take();
  session.passToClient(null, bytes, 0, bytes.length);
}

/** A WARNING of our own, likewise, with what is sent next. */
export function tellWarning(session: Session, code: string, message: string): void {
  if (hears(session, 'WARNING')) writeNotice(session.local, 'WARNING', code, message);
}

/** What PostgreSQL's lexer says of names that it cuts. */
export function tellCutNames(
  session: Session,
  names: readonly CutName[],
  writer: Writer = session.local,
): void {
  if (names.length === 0 || !hears(session, 'NOTICE')) return;
  for (const name of names) writeNotice(writer, 'NOTICE', CUT_NAME_CODE, cutNameMessage(name));
}
