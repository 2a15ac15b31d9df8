import { BackendError } from '../backend/backend-error.js';
import type { AuditHost } from '../executor/audit/audit-host.js';
import type { RunWatch } from './command.js';
import type { ConsoleContext } from './console-context.js';

/** What an audit or a repair that somebody asks for on the console works with. */
export function auditHost(context: ConsoleContext, watch: RunWatch): AuditHost {
  const { proxy, auditLinks, crash } = context;
  return {
    ...watch,
    crash,
    topology: proxy.config.topology,
    catalog: proxy.planner.catalog,
    directories: proxy.directories,
    links: {
      // What a shard says is for whoever asked.
      session: async (shard, timeoutMs, act) => {
        try {
          return await auditLinks.session(shard, timeoutMs, act);
        } catch (error) {
          throw error instanceof BackendError ? error.toSqlError() : error;
        }
      },
    },
  };
}
