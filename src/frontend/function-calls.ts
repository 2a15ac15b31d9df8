import { performance } from 'node:perf_hooks';
import type { CatalogRow } from '../backend/catalog-loader.js';
import { Expect, PASS } from '../backend/postgres/expected-replies.js';
import { sqlError } from '../errors/sql-error.js';
import type { RoutePlan } from '../planner/plan.js';
import { functionOid } from '../protocol/frontend-messages.js';
import { Literals } from '../sql/literals.js';
import { askBackend } from './ask-backend.js';
import { onlyPlan } from './parse-queue.js';
import { countRoute } from './route-metrics.js';
import type { Session } from './session.js';
import { isAwayFromBegin, passesThrough, refusalError } from './shard-choice.js';
import { assertMayUse } from './shard-use.js';

/** What the catalog shard says of the function that a message names. */
type Found = { readonly rows: readonly CatalogRow[] } | { readonly error: unknown };

/**
 * FunctionCall messages. The catalog shard, whose OIDs clients see, tells which function is meant; what a SELECT of it
 * would do is planned, and where the catalog shard can do that the message goes there as it is.
 */
export class FunctionCalls {
  private readonly session: Session;
  /** Of the message that is being handled; null: not asked yet. */
  private found: Found | null = null;
  private readonly literals = new Literals();

  constructor(session: Session) {
    this.session = session;
  }

  /** False: wait, the message is handed in again. Throws SqlError: 25P02, 08P01, 42883, 0A000. */
  call(buffer: Buffer, start: number, end: number): boolean {
    const { session, found } = this;
    session.control.refuseFailed();
    const oid = functionOid(buffer, start, end);
    const { catalogShard } = session.context.config.topology;
    if (found === null) {
      const asked = session.lease(catalogShard);
      if (asked !== null) this.ask(askBackend(session, asked, [question(oid)]));
      return false;
    }
    let sent = true;
    try {
      sent = this.send(found, oid, buffer, start, end);
      return sent;
    } finally {
      if (sent) this.found = null;
    }
  }

  private ask(answer: Promise<readonly (readonly CatalogRow[])[]>): void {
    answer
      .then(
        ([rows]) => {
          this.found = { rows: rows! };
        },
        (error: unknown) => {
          this.found = { error };
        },
      )
      .finally(() => {
        this.session.resumeSoon();
      });
  }

  private send(found: Found, oid: number, buffer: Buffer, start: number, end: number): boolean {
    const { session } = this;
    if ('error' in found) throw found.error;
    const [row] = found.rows;
    if (row === undefined) {
      throw sqlError('undefined_function', `function with OID ${oid} does not exist`);
    }
    const text = Buffer.from(row[0]!);
    const planned = session.planning.plan(text, 0, text.length, [], this.literals);
    if (planned === null) return false;
    const plan = onlyPlan(planned);
    if (plan.kind === 'refuse') throw refusalError(plan.refusal);
    const shards = [session.context.config.topology.catalogShard];
    const isServed = plan.kind === 'route' && isForCatalogShard(session, plan);
    if (!isServed || isAwayFromBegin(session, plan, shards)) throw notServed();
    assertMayUse(session, shards, plan);
    const backend = session.lease(shards[0]!);
    if (backend === null) return false;
    session.pins.noteUse(backend, plan, plan.writes);
    countRoute(session.context.metrics, plan, 1);
    backend.out.bytes(buffer, start, end);
    backend.expect(Expect.query, PASS);
    backend.startedAt = performance.now();
    backend.timed = null;
    session.busy = true;
    return true;
  }
}

/** Whether the catalog shard's answer is all there is to do. */
function isForCatalogShard(session: Session, plan: RoutePlan): boolean {
  // Settings would have to be read from the arguments; notifications are heard before ReadyForQuery.
  if (plan.effects !== null || plan.touches?.includes('notify') === true) return false;
  if (!passesThrough(plan)) return false;
  const { shards: selector } = plan;
  const { catalogShard } = session.context.config.topology;
  if (selector.kind === 'catalog') return true;
  if (selector.kind === 'shard') return selector.shard === catalogShard;
  return selector.kind === 'any' && selector.keyspace?.shards.includes(catalogShard) !== false;
}

/** A SELECT of the function, with parameters for arguments; no row: there is none. */
function question(oid: number): string {
  return `SELECT 'SELECT ' OPERATOR(pg_catalog.||) pg_catalog.quote_ident(n.nspname)
      OPERATOR(pg_catalog.||) '.' OPERATOR(pg_catalog.||) pg_catalog.quote_ident(p.proname)
      OPERATOR(pg_catalog.||) '(' OPERATOR(pg_catalog.||) pg_catalog.concat((
        SELECT pg_catalog.string_agg('$' OPERATOR(pg_catalog.||) i::pg_catalog.text, ', ' ORDER BY i)
        FROM pg_catalog.generate_series(1, p.pronargs::pg_catalog.int4) i
      )) OPERATOR(pg_catalog.||) ')'
    FROM pg_catalog.pg_proc p JOIN pg_catalog.pg_namespace n
      ON n.oid OPERATOR(pg_catalog.=) p.pronamespace
    WHERE p.oid OPERATOR(pg_catalog.=) ${oid}::pg_catalog.oid`;
}

function notServed(): Error {
  return sqlError('feature_not_supported', 'this fast-path function call is not supported', {
    hint: 'Call the function with SELECT.',
  });
}
