import type { BackendConnection } from '../backend/postgres/connection.js';
import { sqlError, SqlError } from '../errors/sql-error.js';
import { BindParts, NO_VALUES } from '../executor/bind-parts.js';
import type { DescribedText } from '../executor/describe-texts.js';
import type { ResultColumn } from '../executor/described-columns.js';
import { Gather, PARAMETER_ROWS_MAX } from '../executor/gather.js';
import { finalText } from '../executor/gather-final.js';
import { GatheredSize } from '../executor/gather-limits.js';
import { shardsOfValues } from '../executor/value-shards.js';
import { GatherScript, HASH_JOIN_SETTINGS } from '../executor/gather-script.js';
import type { PortalPart } from '../executor/portal/portal-part.js';
import { ScatterPortal } from '../executor/portal/scatter-portal.js';
import { byIndex, type Shard } from '../keyspace/topology.js';
import { RouteKind } from '../metrics/metrics.js';
import { combineAggregate } from '../planner/aggregates/index.js';
import type { GatherSpec } from '../planner/plan.js';
import { typeSql } from '../planner/type-names.js';
import type { Outcome } from '../transaction/operation.js';
import { refreshCatalog } from './fresh-catalog.js';
import { withinGatherTime } from './gather-time.js';
import type { Session } from './session.js';
import { changedSetting, refuseTextSettings } from './text-settings.js';
import { candidatesOf, chooseShard, readersOf } from './shard-choice.js';
import {
  describeFor,
  startOperation,
  type Opened,
  type RunRequest,
  type StatementRun,
} from './statement-run.js';

/** What was learnt of a gather: the statement's result, and each input's columns. */
interface Learnt {
  readonly result: DescribedText;
  readonly inputs: readonly (readonly ResultColumn[])[];
  /** Its partial results cannot be put together. */
  readonly problem: SqlError | null;
}

/** By the plan's own specification, which is made anew when the schema changes. */
const learntOf = new WeakMap<GatherSpec, Learnt>();

/** Tables of two statements of one transaction must not meet. */
let tablesNamed = 0;

/** A statement whose inputs are brought to one server, which answers it. */
export class GatherRun implements StatementRun {
  readonly shards: readonly Shard[];
  readonly route = RouteKind.gather;
  readonly needsTypes = true;
  private readonly session: Session;
  private readonly request: RunRequest;
  private readonly spec: GatherSpec;
  /** The shards of each input. */
  private readonly inputShards: readonly (readonly Shard[])[];
  /** Where the final statement runs. */
  readonly home: Shard;

  constructor(session: Session, request: RunRequest, spec: GatherSpec) {
    this.session = session;
    this.request = request;
    this.spec = spec;
    if (spec.tellsMoment === true && session.work.explicit) refuseMoment();
    this.inputShards = spec.inputs.map(({ shards }) => readersOf(session, shards, request.values));
    const home = candidatesOf(session, spec.home, request.values);
    this.home = chooseShard(session, home, this.inputShards.flat());
    this.shards = [...new Set([this.home, ...this.inputShards.flat()])].sort(byIndex);
  }

  prepare(
    backends: readonly BackendConnection[],
    paramTypes: readonly number[],
    onFailed: (error: Buffer) => void,
  ): 'ready' | 'wait' {
    const { session, spec, request } = this;
    const learnt = learntOf.get(spec);
    if (learnt !== undefined) {
      if (learnt.problem !== null) throw learnt.problem;
      return 'ready';
    }
    const home = this.backendOf(backends, this.home);
    const made = spec.inputs.map((input) => input.sql);
    describeFor(session, request, home, made, paramTypes, onFailed, ([result, ...rest]) => {
      const inputs = rest.map((input) => input.columns);
      learntOf.set(spec, { result: result!, inputs, problem: combineProblem(spec, inputs) });
    });
    return 'wait';
  }

  start(
    backends: readonly BackendConnection[],
    paramTypes: readonly number[],
    onDone: (outcome: Outcome) => void,
  ): void {
    this.gather(backends, paramTypes, undefined, withinGatherTime(this.session, onDone));
  }

  open(
    backends: readonly BackendConnection[],
    paramTypes: readonly number[],
    partOf: (backend: BackendConnection, position: number) => PortalPart,
    onOpen: (opened: Opened) => void,
  ): void {
    const onOpened = withinGatherTime(this.session, onOpen);
    const part = partOf(this.backendOf(backends, this.home), 0);
    const { message, columns } = learntOf.get(this.spec)!.result;
    this.gather(backends, paramTypes, part, (outcome) => {
      if (!outcome.ok) {
        onOpened(outcome);
        return;
      }
      const bind = new BindParts(this.request.bind ?? NO_VALUES);
      const formats = bind.resultFormats(columns.length);
      const options = { parts: [part], merge: null, description: message!, formats };
      onOpened({ ok: true, portal: new ScatterPortal(options) });
    });
  }

  /** `portal`: where the final statement is left; undefined: it is executed. */
  private gather(
    backends: readonly BackendConnection[],
    paramTypes: readonly number[],
    portal: PortalPart | undefined,
    onDone: (outcome: Outcome) => void,
  ): void {
    const { session, spec, request, inputShards } = this;
    const { work, context } = session;
    const { result, inputs } = learntOf.get(spec)!;
    const home = this.backendOf(backends, this.home);
    const { catalog } = session.planning.planner;
    const { isReadOnly } = this;
    const script = new GatherScript({
      spec,
      columns: inputs,
      bind: request.bind ?? NO_VALUES,
      valuesOf: request.valuesOf,
      paramTypes,
      tables: inputs.map(() => `pg_temp."shardgate input ${++tablesNamed}"`),
      combine,
      textOnlyTypes: catalog.textOnlyTypes,
      typeSql: isReadOnly ? (type) => typeSql(type, catalog) : undefined,
      portal,
    });
    if (script.needsText) refuseTextSettings(session);
    const gather = new Gather(request.host ?? session, {
      script,
      sources: inputShards.map((shards) => shards.map((shard) => this.backendOf(backends, shard))),
      home,
      readersOf: (input, values) =>
        this.readersOf(input, values).map((shard) => this.backendOf(backends, shard)),
      makesTables: !(isReadOnly && script.fitsParameters),
      startsSmall: script.fitsParameters && (this.seemsSmall || isReadOnly),
      result,
      describe: request.describe,
      size: new GatheredSize(context.config.limits),
      endsWithSync: request.endsWithSync,
      readsInPlace: this.readsInPlace(home),
      // Those that an open portal reads live until the transaction ends.
      dropsTables: work.explicit && portal === undefined,
      onTables: () => {
        work.noteScratch(home);
      },
      onChanged: () => {
        learntOf.delete(spec);
        refreshCatalog(session);
      },
      onDone,
    });
    startOperation(session, gather);
  }

  /** Where an input's rows with these values in the column of its link are. */
  private readersOf(input: number, values: readonly Buffer[]): readonly Shard[] {
    const all = this.inputShards[input]!;
    const key = this.spec.inputs[input]!.link?.key ?? null;
    const found = key === null ? null : shardsOfValues(key.keyspace, key.mapper, values);
    if (found === null) return all;
    const some = all.filter((shard) => found.has(shard));
    return some.length > 0 ? some : all.slice(0, 1);
  }

  /** By what is known of the tables; what is found by values of another input is small if that is. */
  private get seemsSmall(): boolean {
    return this.spec.inputs.every(({ estimatedRows, link }, input) => {
      if (link !== undefined) return true;
      const shards = this.inputShards[input]!.length;
      return estimatedRows === null || estimatedRows <= 2 * PARAMETER_ROWS_MAX * shards;
    });
  }

  private readsInPlace(home: BackendConnection): boolean {
    if (this.spec.readsInPlace !== true) return false;
    return mayPreferHashJoins(this.session, home);
  }

  /** The transaction says of itself that it makes no tables. */
  private get isReadOnly(): boolean {
    const { work } = this.session;
    if (isReadOnlyByDefault(this.session)) return true;
    return work.explicit && /read\s+only|read_only/i.test(work.joinSql());
  }

  private backendOf(backends: readonly BackendConnection[], shard: Shard): BackendConnection {
    return backends[this.shards.indexOf(shard)]!;
  }
}

/** Transactions of the session make no tables unless they say otherwise. */
function isReadOnlyByDefault({ settings }: Session): boolean {
  return /^(on|t|y|1)/i.test(settings.get('default_transaction_read_only') ?? '');
}

/** Before PostgreSQL 18 a join that is switched off may still be taken for one that is not. */
export function mayPreferHashJoins(session: Session, backend: BackendConnection): boolean {
  const version = Number.parseInt(backend.parameters.get('server_version') ?? '', 10);
  return version >= 18 && changedSetting(session, HASH_JOIN_SETTINGS) === undefined;
}

/** What makes partial results one. Throws SqlError 0A000 where their types do not allow it. */
function combine(name: string, columns: readonly string[], types: readonly number[]): string {
  const sql = combineAggregate(name, columns, types);
  if (sql !== null) return sql;
  throw sqlError(
    'feature_not_supported',
    `${name} of this type cannot be computed over several shards`,
    { hint: 'Cast its argument to a built-in type, or bind the shard key.' },
  );
}

function combineProblem(spec: GatherSpec, inputs: Learnt['inputs']): SqlError | null {
  try {
    finalText(spec, [], inputs, combine);
    return null;
  } catch (error) {
    if (error instanceof SqlError) return error;
    throw error;
  }
}

function refuseMoment(): never {
  throw sqlError(
    'feature_not_supported',
    'the time of a transaction (now() and the like) over several shards is not supported: each of them has its own',
    {
      hint: 'SELECT now() first and give it as a parameter, or run the statement outside a transaction.',
    },
  );
}
