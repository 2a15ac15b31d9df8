import { sqlError } from '../errors/sql-error.js';
import type { Session } from './session.js';

/**
 * Settings under which text may not give back the value that it was written from, with the values
 * under which it does (PostgreSQL 18, 20.11.2).
 */
const TEXT_SETTINGS: ReadonlyMap<string, RegExp> = new Map([
  // From 1 on, the shortest text that is precise.
  ['extra_float_digits', /^[123]$/],
  ['array_nulls', /^(on|true|yes|1)$/i],
  // Other styles write time zones as abbreviations, which are not those of one place only.
  ['datestyle', /^"?iso"?\s*(,|$)/i],
  ['intervalstyle', /^"?(postgres|iso_8601)"?$/i],
]);

/** Values may travel in their text form. */
export function keepsTexts(session: Session): boolean {
  return changedTextSetting(session) === undefined;
}

function changedTextSetting(session: Session): string | undefined {
  return changedSetting(session, [...TEXT_SETTINGS.keys()], (name, value) =>
    TEXT_SETTINGS.get(name)!.test(value.trim()),
  );
}

/** Throws SqlError 0A000 where they may not. */
export function refuseTextSettings(session: Session): void {
  const changed = changedTextSetting(session);
  if (changed === undefined) return;
  throw sqlError(
    'feature_not_supported',
    `values of a type without a binary form cannot be brought together while ${changed} is set`,
    { hint: `RESET ${changed}, or leave out columns of such types.` },
  );
}

/**
 * One of these settings that the session has set, for itself or for its transaction. `isHarmless`:
 * to a value that does not count; what a transaction has set always counts.
 */
export function changedSetting(
  { settings, work }: Session,
  names: readonly string[],
  isHarmless: (name: string, value: string) => boolean = never,
): string | undefined {
  const joining = work.explicit ? work.joinSql().toLowerCase() : '';
  return names.find((name) => {
    const value = settings.get(name);
    return (value !== undefined && !isHarmless(name, value)) || joining.includes(name);
  });
}

function never(): boolean {
  return false;
}
