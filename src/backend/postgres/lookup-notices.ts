import { readErrorFields } from '../../protocol/backend-messages.js';

/**
 * SQLSTATE of the notices by which triggers tell what a statement has changed in columns with
 * lookups; never the client's business.
 */
export const LOOKUP_CHANGES = 'SG001';

/**
 * The setting by which backends say which lookups they keep up (their keys, with commas): the triggers
 * let nobody else write.
 */
export const LOOKUPS_SETTING = 'shardgate.lookups';

/** Takes such notices. */
export interface LookupNotices {
  take(message: string): void;
}

/**
 * Hands a NoticeResponse in `[start, end)` to whoever keeps the lookups up. 'lost': nobody does, so
 * that what the statement has changed must not be committed.
 */
export function lookupNotice(
  notices: LookupNotices | null,
  buffer: Buffer,
  start: number,
  end: number,
): 'other' | 'taken' | 'lost' {
  const fields = readErrorFields(buffer, start, end);
  if (fields.get('C') !== LOOKUP_CHANGES) return 'other';
  if (notices === null) return 'lost';
  notices.take(fields.get('M') ?? '{}');
  return 'taken';
}
