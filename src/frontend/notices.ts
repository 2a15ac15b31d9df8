import { writeNotice } from '../protocol/backend-messages.js';
import { Writer } from '../protocol/writer.js';
import { settingOf } from './setting-effects.js';
import type { Session } from './session.js';

/** Values of client_min_messages under which clients hear no NOTICE (PostgreSQL 18, 19.8.2). */
const SILENT = new Set(['warning', 'error']);

/** A NOTICE of our own, unless the session's client_min_messages keeps such away. Not between the rows of an answer. */
export function tellNotice(session: Session, message: string, hint?: string): void {
  const level = settingOf(session, 'client_min_messages') ?? 'notice';
  if (SILENT.has(level.toLowerCase())) return;
  const writer = new Writer(256);
  writeNotice(writer, 'NOTICE', '00000', message, { hint });
  const bytes = writer.take();
  session.passToClient(null, bytes, 0, bytes.length);
}
