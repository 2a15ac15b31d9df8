import type { SourceQuery } from '../planner/plan.js';
import type { Session } from './session.js';

/** Does something for which key values are those of a source's text, with the client's parameters. */
export function withSourceText<T>(
  session: Session,
  { sql, literals }: Pick<SourceQuery, 'sql' | 'literals'>,
  act: () => T,
): T {
  const { source } = session;
  const { text, textStart, literals: own } = source;
  Object.assign(source, { text: sql, textStart: 0, literals });
  try {
    return act();
  } finally {
    Object.assign(source, { text, textStart, literals: own });
  }
}
