import type { BackendConnection } from '../backend/postgres/connection.js';
import { unnamedText } from '../backend/postgres/prepared-text.js';
import { sqlError, SqlError } from '../errors/sql-error.js';
import {
  arrayParameters,
  TEXT_ARRAY,
  travellingColumn,
  type ArrayColumn,
} from '../executor/array-parameter.js';
import { BindParts, NO_VALUES } from '../executor/bind-parts.js';
import type { DescribedText } from '../executor/describe-texts.js';
import type { ResultColumn } from '../executor/described-columns.js';
import { FanOut } from '../executor/fan-out.js';
import { memoryError } from '../executor/gather-errors.js';
import { unnestRelation } from '../executor/gather-final.js';
import type { Catalog } from '../keyspace/catalog.js';
import { byIndex, type Shard } from '../keyspace/topology.js';
import { RouteKind } from '../metrics/metrics.js';
import type { SpreadSpec } from '../planner/plan.js';
import { typeNode } from '../planner/type-names.js';
import { stringsOf } from '../planner/ast.js';
import { Writer } from '../protocol/writer.js';
import type { Outcome } from '../transaction/operation.js';
import { refuseTextSettings } from './gather-run.js';
import type { Session } from './session.js';
import { readersOf } from './shard-choice.js';
import { lossOf, SourceReader, withoutPlace, type ChooseRun } from './source-reader.js';
import {
  describeFor,
  startOperation,
  type RunRequest,
  type StatementRun,
} from './statement-run.js';

/** How the columns of each input travel; an error where they cannot. */
type Learnt = readonly (readonly ArrayColumn[])[] | SqlError;

/** By the plan's own specification, which is made anew when the schema changes. */
const learntOf = new WeakMap<SpreadSpec, Learnt>();

/** The rows of one input, as DataRow messages back to back. */
interface InputRows {
  readonly messages: Writer;
  count: number;
}

const INITIAL_BYTES = 1024;

/**
 * A statement whose inputs are read first, one after the other, and which every shard of its target
 * then runs over them. They are kept in between, within limits.gather_memory.
 */
export class SpreadRun implements StatementRun {
  shards: readonly Shard[] = [];
  writers: readonly Shard[] = [];
  readonly route = RouteKind.distribute;
  readonly needsTypes = true;
  private readonly session: Session;
  private readonly request: RunRequest;
  private readonly spec: SpreadSpec;
  private readonly choose: ChooseRun;
  private readonly targets: readonly Shard[];
  /** Null: the inputs' columns must be learnt first. */
  private readonly columns: readonly (readonly ArrayColumn[])[] | null;
  private readonly bind: BindParts;
  private readonly sources: readonly SourceReader[];
  private readonly rows: readonly InputRows[];
  private bytes = 0;

  constructor(session: Session, request: RunRequest, spec: SpreadSpec, choose: ChooseRun) {
    this.session = session;
    this.request = request;
    this.spec = spec;
    this.choose = choose;
    this.targets = readersOf(session, spec.shards);
    const learnt = learntOf.get(spec) ?? null;
    if (learnt instanceof SqlError) throw learnt;
    this.columns = learnt;
    if (this.columns?.flat().some(isText) === true) refuseTextSettings(session);
    this.bind = new BindParts(request.bind ?? NO_VALUES);
    this.rows = spec.inputs.map(() => ({ messages: new Writer(INITIAL_BYTES), count: 0 }));
    this.sources = spec.inputs.map(({ source }, input) => {
      const formats = (this.columns?.[input] ?? []).map((column) => (isText(column) ? 0 : 1));
      const bind = this.bind.withFormats(formats);
      return new SourceReader(session, source, bind, choose, (_backend, buffer, start, end) => {
        this.keep(input, buffer, start, end);
      });
    });
    this.findShards();
  }

  prepare(
    backends: readonly BackendConnection[],
    paramTypes: readonly number[],
    onFailed: (error: Buffer) => void,
  ): 'ready' | 'wait' | StatementRun {
    const { session, request, spec, choose, sources } = this;
    if (this.columns === null) {
      if (learntOf.has(spec)) return new SpreadRun(session, request, spec, choose);
      const made = spec.inputs.map(({ source }) => Buffer.from(source.sql).toString());
      describeFor(session, request, backends[0]!, made, paramTypes, onFailed, ([, ...inputs]) => {
        learntOf.set(spec, learn(inputs, session.planning.planner.catalog));
      });
      return 'wait';
    }
    for (const source of sources) {
      const prepared = source.prepare(this.backendsOf(source, backends), paramTypes, onFailed);
      if (prepared === 'wait') return prepared;
      if (prepared === 'moved') {
        this.findShards();
        return this;
      }
    }
    return 'ready';
  }

  start(
    backends: readonly BackendConnection[],
    paramTypes: readonly number[],
    onDone: (outcome: Outcome) => void,
  ): void {
    const { sources } = this;
    const read = (input: number): void => {
      const source = sources[input];
      if (source === undefined) {
        this.apply(backends, paramTypes, onDone);
        return;
      }
      source.start(this.backendsOf(source, backends), paramTypes, (outcome) => {
        if (outcome.ok) read(input + 1);
        else onDone(outcome);
      });
    };
    read(0);
  }

  private findShards(): void {
    const { sources, targets, spec } = this;
    const shards = new Set([...sources.flatMap((source) => source.shards), ...targets]);
    this.shards = [...shards].sort(byIndex);
    const writing = sources.filter((_, input) => spec.inputs[input]!.source.plan.writes);
    const writers = new Set(writing.flatMap((source) => source.shards));
    if (spec.writes) for (const shard of targets) writers.add(shard);
    this.writers = [...writers];
  }

  private backendsOf(
    { shards }: { readonly shards: readonly Shard[] },
    backends: readonly BackendConnection[],
  ): BackendConnection[] {
    return shards.map((shard) => backends[this.shards.indexOf(shard)]!);
  }

  private keep(input: number, buffer: Buffer, start: number, end: number): void {
    const rows = this.rows[input]!;
    rows.messages.bytes(buffer, start, end);
    rows.count++;
    this.bytes += end - start;
    const { gatherMemoryBytes } = this.session.context.config.limits;
    if (this.bytes > gatherMemoryBytes) throw memoryError(gatherMemoryBytes);
  }

  private apply(
    backends: readonly BackendConnection[],
    paramTypes: readonly number[],
    onDone: (outcome: Outcome) => void,
  ): void {
    const { session, spec, request } = this;
    const types = [...paramTypes];
    const values: Buffer[] = [];
    const relations = spec.inputs.map(({ columns: names }, input) => {
      const columns = this.columns![input]!;
      const { messages, count } = this.rows[input]!;
      const relation = unnestRelation(names, columns, types.length + 1);
      values.push(...arrayParameters([messages.view()], count, columns));
      types.push(...columns.map(({ arrayOid }) => arrayOid));
      return relation;
    });
    const sql = spec.apply.map((piece) =>
      typeof piece === 'string' ? piece : relations[piece.input]!,
    );
    const text = unnamedText(sql.join(''), types);
    const bind = this.bind.withValues(values);
    const targets = this.backendsOf({ shards: this.targets }, backends);
    const loss = lossOf(targets);
    if (loss !== null) {
      onDone(loss);
      return;
    }
    const fanOut = new FanOut(request.host ?? session, targets, {
      merge: { kind: 'concat' },
      send: (backend) => {
        backend.statements.runUnnamed(text, bind, request.describe);
        backend.requestFlush();
      },
      firstLeads: true,
      endsWithSync: false,
      onDone: (outcome) => {
        if (outcome.ok && spec.writes) {
          for (const backend of fanOut.changed) session.work.writers.add(backend);
        }
        onDone(withoutPlace(outcome));
      },
    });
    startOperation(session, fanOut);
  }
}

/** A column travels as an array of its type, or as text that is cast where it arrives. */
function learn(inputs: readonly DescribedText[], catalog: Catalog): Learnt {
  const learnt: ArrayColumn[][] = [];
  for (const { columns } of inputs) {
    const travels: ArrayColumn[] = [];
    for (const column of columns) {
      const array = travellingColumn(column, catalog.textOnlyTypes);
      const cast = castTo(column, catalog);
      if (array === null && cast === null) return typeError(column);
      travels.push(array ?? { ...TEXT_ARRAY, cast });
    }
    learnt.push(travels);
  }
  return learnt;
}

/** The type as SQL writes it; in quotes, since `char` is another type than "char". */
function castTo({ type }: ResultColumn, catalog: Catalog): string | null {
  const node = typeNode(type, catalog);
  return node === null
    ? null
    : stringsOf(node.names)
        .map((name) => `"${name.replaceAll('"', '""')}"`)
        .join('.');
}

function typeError({ name }: ResultColumn): SqlError {
  return sqlError(
    'feature_not_supported',
    `column "${name}" has a type that cannot be brought to other shards`,
    { hint: 'Cast it to text, or leave it out.' },
  );
}

/** Its values come from the source in their text form. */
function isText(column: ArrayColumn): boolean {
  return column.elementOid === TEXT_ARRAY.elementOid && column.cast !== null;
}
