import type { PreparedText } from '../backend/postgres/prepared-text.js';
import type { BackendConnection } from '../backend/postgres/connection.js';
import { CAPTURE, DROP, Expect } from '../backend/postgres/expected-replies.js';
import { sqlError, SqlError } from '../errors/sql-error.js';
import { CopyConcat } from '../executor/copy/copy-concat.js';
import { CopySplitter, type CopySink } from '../executor/copy/copy-splitter.js';
import { CountSums } from '../executor/count-sums.js';
import { FanOut, type Merge } from '../executor/fan-out.js';
import { splitRows, textOfRows } from '../executor/insert-split.js';
import type { Shard } from '../keyspace/topology.js';
import type {
  BroadcastPlan,
  CopyFromPlan,
  InsertSplitPlan,
  Plan,
  Refusal,
  RoutePlan,
  SettingEffect,
} from '../planner/plan.js';
import { Frontend } from '../protocol/codes.js';
import { resultFormats } from '../protocol/frontend-messages.js';
import { errorBytes } from '../protocol/error-bytes.js';
import type { Literals } from '../sql/literals.js';
import type { Outcome } from '../transaction/operation.js';
import type { Session } from './session.js';
import { refusedSetting } from './session-settings.js';

/** Plans that may need several shards. */
export type ShardPlan = RoutePlan | InsertSplitPlan | CopyFromPlan | BroadcastPlan;

/** Where a statement runs and what each shard gets. */
export interface Placement {
  readonly plan: ShardPlan;
  readonly shards: readonly Shard[];
  /** The text of each shard; one entry where all get the same. */
  readonly texts: readonly Buffer[];
}

/** Copy data is collected per shard up to this before it is written: one system call for many rows. */
const COPY_WRITE_BYTES = 32 * 1024;

export function isShardPlan(plan: Plan): plan is ShardPlan {
  return (
    plan.kind === 'route' ||
    plan.kind === 'insertSplit' ||
    plan.kind === 'copyFrom' ||
    plan.kind === 'broadcast'
  );
}

export function refusalError(refusal: Refusal): SqlError {
  return sqlError(refusal.state, refusal.message, { detail: refusal.detail, hint: refusal.hint });
}

/**
 * The shards of a plan with the values of `session.source`, in order of their index. Throws SqlError: the refusal for
 * several shards, or a key that cannot be read. The array is reused by the next call.
 */
export function shardsOf(session: Session, plan: ShardPlan): readonly Shard[] {
  const { topology } = session.context.config;
  switch (plan.kind) {
    case 'route': {
      const { effect } = plan;
      if (effect !== null) assertMaySet(session, effect);
      return shardsOfRoute(session, plan);
    }
    case 'insertSplit': {
      const { shards } = splitRows(plan, session.source, session.targets);
      if (shards.length > 1 && plan.manyRefusal !== null) throw refusalError(plan.manyRefusal);
      return shards;
    }
    case 'copyFrom':
      return plan.keyspace.shards;
    case 'broadcast':
      return plan.keyspace === null ? topology.shards : plan.keyspace.shards;
  }
}

/** A setting that a SELECT makes is known on the shard that runs it, and told to those that join later. */
function assertMaySet({ work }: Session, effect: SettingEffect): void {
  const refusal = refusedSetting(effect.name, effect.value);
  if (refusal !== null) throw refusal;
  if (!work.explicit || work.participants.length < 2) return;
  throw sqlError(
    'feature_not_supported',
    'set_config is not supported in a transaction that uses several shards',
    { hint: effect.local ? 'Use SET LOCAL.' : 'Use SET.' },
  );
}

function shardsOfRoute(session: Session, plan: RoutePlan): readonly Shard[] {
  const { shards: selector } = plan;
  const { targets, work, context } = session;
  let shards: readonly Shard[];
  if (selector.kind === 'keys') {
    const agreed = targets.resolve(selector.keyspace, selector.groups, session.source);
    shards = targets.shards;
    if (!agreed && plan.many.kind !== 'refuse') {
      throw sqlError(
        'feature_not_supported',
        'the tables of this statement are bound to different shards',
        {
          hint: 'Compare their shard keys with the same value.',
        },
      );
    }
  } else if (selector.kind === 'all') {
    shards = selector.keyspace.shards;
  } else if (selector.kind === 'nowhere') {
    shards = [];
  } else {
    if (selector.kind === 'shard') targets.setOne(selector.shard);
    else if (selector.kind === 'catalog') targets.setOne(context.config.topology.catalogShard);
    else {
      const candidates = selector.keyspace?.shards ?? context.config.topology.shards;
      // A backend that is held already costs nothing.
      const held = work.participants.find((backend) => candidates.includes(backend.shard));
      targets.setOne(held?.shard ?? context.cluster.pickAny(candidates));
    }
    shards = targets.shards;
  }
  if (shards.length > 1 && plan.many.kind === 'refuse') throw refusalError(plan.many.refusal);
  return shards;
}

/** The placement of a statement that needs several shards; texts are cut by row where rows differ. */
export function place(
  session: Session,
  plan: ShardPlan,
  shards: readonly Shard[],
  text: Buffer,
  literals: Literals,
  from = 0,
  to = text.length,
): Placement {
  if (plan.kind !== 'insertSplit' || shards.length === 1) {
    return { plan, shards: [...shards], texts: [text.subarray(from, to)] };
  }
  const split = splitRows(plan, session.source, session.targets);
  const texts = split.rows.map((rows) => textOfRows(plan, text, from, to, literals, rows));
  return { plan, shards: split.shards, texts };
}

export interface MultiRunOptions {
  /** A Bind message from behind the statement's name; null: no parameters, results as text. */
  readonly bind: Buffer | null;
  readonly paramTypes: readonly number[];
  /** The client is owed a RowDescription where there are rows. */
  readonly describe: boolean;
  /** End each shard's part with Sync at once (a simple query outside a transaction that only reads). */
  readonly endsWithSync: boolean;
}

/**
 * Runs a placed statement on all its backends through the extended protocol: without Sync nothing is committed before
 * every shard has succeeded.
 */
export function startMultiRun(
  session: Session,
  placement: Placement,
  backends: readonly BackendConnection[],
  options: MultiRunOptions,
  onDone: (outcome: Outcome, succeeded: readonly BackendConnection[]) => void,
): void {
  const { plan, texts } = placement;
  const prepared = texts.map((text) => preparedOf(text, options.paramTypes));
  const send = (backend: BackendConnection, position: number): void => {
    backend.statements.parseUnnamed(prepared[prepared.length === 1 ? 0 : position]!, DROP);
    backend.out
      .begin(Frontend.bind)
      .byte(0)
      .byte(0)
      .bytes(options.bind ?? NO_VALUES)
      .end();
    backend.expect(Expect.bind, DROP);
    if (options.describe) {
      backend.out.begin(Frontend.describe).byte(0x50).byte(0).end();
      backend.expect(Expect.describePortal, CAPTURE);
    }
    backend.out.begin(Frontend.execute).byte(0).int32(0).end();
    backend.expect(Expect.execute, CAPTURE);
    if (options.endsWithSync) backend.sync(CAPTURE);
    else backend.requestFlush();
  };
  const copyIn = plan.kind === 'copyFrom' ? plan : null;
  const fanOut = new FanOut(
    session,
    backends,
    {
      merge: mergeOf(plan, backends.length, options.bind),
      send,
      firstLeads: plan.kind === 'broadcast' && plan.writes,
      endsWithSync: options.endsWithSync,
      onDone: (outcome, succeeded) => {
        // What the client still sends is data of a COPY that has failed.
        if (copyIn !== null) session.copyTarget = null;
        onDone(outcome, succeeded);
      },
    },
    copyIn === null ? null : () => receiveCopy(session, copyIn, fanOut, backends),
  );
  session.operation = fanOut;
  session.busy = true;
  session.flushLocal();
  fanOut.start();
}

/** Runs a statement without rows on backends as part of what is open there, without Sync. */
export function runInPipeline(
  session: Session,
  sql: string,
  backends: readonly BackendConnection[],
  onDone: (outcome: Outcome) => void,
): void {
  const plan: ShardPlan = {
    kind: 'broadcast',
    verb: 'utility',
    writes: false,
    keyspace: null,
    ddl: false,
    transactional: true,
  };
  const shards = backends.map((backend) => backend.shard);
  const placement = { plan, shards, texts: [Buffer.from(sql)] };
  const options = { bind: null, paramTypes: [], describe: false, endsWithSync: false };
  session.touch(backends);
  startMultiRun(session, placement, backends, options, onDone);
}

function mergeOf(plan: ShardPlan, shardCount: number, bind: Buffer | null): Merge {
  if (plan.kind === 'broadcast') return { kind: 'first' };
  if (plan.kind === 'copyFrom') return { kind: plan.key === null ? 'first' : 'concat' };
  if (plan.kind === 'route' && plan.many.kind === 'counts') {
    return { kind: 'counts', sums: new CountSums(resultFormats(bind ?? NO_VALUES)) };
  }
  if (plan.kind === 'route' && plan.many.kind === 'copyConcat') {
    const { format, header } = plan.many;
    return { kind: 'copy', concat: new CopyConcat(format, header, shardCount) };
  }
  return { kind: 'concat' };
}

/** A text that is used once, under no name. */
function preparedOf(text: Buffer, paramTypes: readonly number[]): PreparedText {
  const rest = Buffer.alloc(text.length + 3 + 4 * paramTypes.length);
  text.copy(rest);
  rest.writeUInt16BE(paramTypes.length, text.length + 1);
  paramTypes.forEach((oid, i) => rest.writeUInt32BE(oid, text.length + 3 + 4 * i));
  return { name: NO_NAME, parseRest: rest, validated: false };
}

const NO_NAME = Buffer.alloc(0);
/** No parameter formats, no parameters, no result formats. */
const NO_VALUES = Buffer.alloc(6);

function serverMajor(session: Session): number {
  return Number.parseInt(session.context.serverParameters().get('server_version') ?? '', 10);
}

/** Every shard waits for data: the client's rows go to where they belong. */
function receiveCopy(
  session: Session,
  plan: CopyFromPlan,
  fanOut: FanOut,
  backends: readonly BackendConnection[],
): void {
  const splitter = new CopySplitter(plan, serverMajor(session) < 18);
  const byShard = new Map(plan.keyspace.shards.map((shard, i) => [shard, backends[i]!]));
  const write = (backend: BackendConnection, bytes: Uint8Array, from: number, to: number): void => {
    backend.out.begin(Frontend.copyData).bytes(bytes, from, to).end();
    if (backend.out.size >= COPY_WRITE_BYTES) backend.flush();
  };
  const sink: CopySink = {
    toShard: (shard, bytes, from, to) => {
      write(byShard.get(shard)!, bytes, from, to);
    },
    toAll: (bytes, from, to) => {
      for (const backend of backends) write(backend, bytes, from, to);
    },
  };
  const guarded = (step: () => void): void => {
    try {
      step();
    } catch (error) {
      if (!(error instanceof SqlError)) throw error;
      session.copyTarget = null;
      session.busy = true;
      fanOut.abort(errorBytes(error));
    }
  };
  session.copyTarget = {
    raw: false,
    data: (buffer, start, end) => {
      guarded(() => splitter.push(buffer, start, end, sink));
    },
    done: () => {
      session.busy = true;
      guarded(() => {
        splitter.finish(sink);
        for (const backend of backends) {
          backend.out.begin(Frontend.copyDone).end();
          backend.copyingIn = false;
          backend.requestFlush();
          backend.flush();
        }
      });
    },
    fail: (reason) => {
      session.busy = true;
      const message = `COPY from stdin failed: ${reason}`;
      fanOut.abort(errorBytes(sqlError('query_canceled', message)));
    },
    abort: () => {
      fanOut.abort(errorBytes(sqlError('query_canceled', 'COPY was broken off')));
    },
    cutOff: () => {
      // Shards get whole messages only.
    },
  };
  session.busy = false;
  session.pump();
}
