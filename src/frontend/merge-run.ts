import type { BackendConnection } from '../backend/postgres/connection.js';
import { CAPTURE } from '../backend/postgres/expected-replies.js';
import { unnamedText, type PreparedText } from '../backend/postgres/prepared-text.js';
import { bindFor, BindParts, NO_VALUES } from '../executor/bind-parts.js';
import { hasTypes, sameTypes, type ResultColumn } from '../executor/described-columns.js';
import type { DescribedText } from '../executor/describe-texts.js';
import { withoutPosition } from '../protocol/error-position.js';
import { changedShapeError, trimRowDescription } from '../executor/merge-description.js';
import { OpenParts } from '../executor/portal/open-parts.js';
import { PortalMerge } from '../executor/portal/portal-merge.js';
import type { PortalPart } from '../executor/portal/portal-part.js';
import { ScatterPortal } from '../executor/portal/scatter-portal.js';
import { OrderedMerge, type Changed } from '../executor/ordered-merge.js';
import { limitOf, offsetOf } from '../executor/row-counts.js';
import type { Catalog } from '../keyspace/catalog.js';
import type { Shard } from '../keyspace/topology.js';
import type { Comparator } from '../merger/comparator.js';
import { comparatorFor } from '../merger/comparators.js';
import { RouteKind } from '../metrics/metrics.js';
import type { MergeSpec } from '../planner/plan.js';
import { errorBytes } from '../protocol/error-bytes.js';
import type { OperationHost, Outcome } from '../transaction/operation.js';
import { refreshCatalog } from './fresh-catalog.js';
import { GatherRun } from './gather-run.js';
import type { Session } from './session.js';
import { withoutPlace } from './source-reader.js';
import {
  describeFor,
  startOperation,
  type Opened,
  type RunRequest,
  type StatementRun,
} from './statement-run.js';

/** What was learnt of a merge: what shards give, and what compares its keys. */
interface Learnt {
  readonly columns: readonly ResultColumn[];
  readonly comparators: readonly Comparator[];
}

/** Null: keys cannot be compared here. By the plan's own specification, which is made anew when the schema changes. */
const learntOf = new WeakMap<MergeSpec, Learnt | null>();

/** A statement of which every shard sorts its rows; they are merged, and cut. */
export class MergeRun implements StatementRun {
  readonly shards: readonly Shard[];
  readonly route = RouteKind.merge;
  readonly needsTypes = true;
  private readonly session: Session;
  private readonly request: RunRequest;
  private readonly merge: MergeSpec;
  private readonly bind: BindParts;
  private readonly limit: bigint | null;
  private readonly offset: bigint;

  /** `shards` is copied. Throws SqlError 2201W and 2201X for a negative LIMIT or OFFSET. */
  constructor(session: Session, request: RunRequest, merge: MergeSpec, shards: readonly Shard[]) {
    this.session = session;
    this.request = request;
    this.merge = merge;
    this.shards = [...shards];
    this.bind = new BindParts(request.bind ?? NO_VALUES);
    this.offset = offsetOf(merge.offset, this.bind);
    this.limit = limitOf(merge.limit, this.bind);
  }

  prepare(
    backends: readonly BackendConnection[],
    paramTypes: readonly number[],
    onFailed: (error: Buffer) => void,
  ): 'ready' | 'wait' | StatementRun {
    const { session, merge, request } = this;
    const known = learntOf.get(merge);
    if (known === null) return new GatherRun(session, request, merge.fallback);
    if (known !== undefined) return 'ready';
    describeFor(session, request, backends[0]!, [merge.sql], paramTypes, onFailed, (texts) => {
      learntOf.set(merge, learntFrom(merge, texts, session.planning.planner.catalog));
    });
    return 'wait';
  }

  start(
    backends: readonly BackendConnection[],
    paramTypes: readonly number[],
    onDone: (outcome: Outcome) => void,
  ): void {
    const { session, request } = this;
    const text = this.text(paramTypes);
    this.merged(request.host ?? session, backends, () => text, onDone);
  }

  /** What every shard runs. */
  text(paramTypes: readonly number[]): PreparedText {
    return unnamedText(this.merge.sql, paramTypes);
  }

  /**
   * Merges what the backends answer to the text of each, by its place.
   * @param onDone is told how many rows each gave, and how many of them were taken
   */
  merged(
    host: OperationHost,
    backends: readonly BackendConnection[],
    textOf: (position: number) => PreparedText,
    onDone: (outcome: Outcome, counts: OrderedMerge['counts']) => void,
  ): void {
    const { session, merge, request, limit, offset, bind } = this;
    const { endsWithSync } = request;
    const valuesOf = this.values();
    const { columns, comparators } = learntOf.get(merge)!;
    const merged = new OrderedMerge(host, backends, {
      merge,
      limit,
      offset,
      columns,
      comparators,
      describe: request.describe,
      visibleFormats: bind.resultFormats(merge.visibleColumns),
      send: (backend, position) => {
        backend.statements.runUnnamed(textOf(position), valuesOf(backend), true);
        if (endsWithSync) backend.sync(CAPTURE);
        else backend.requestFlush();
      },
      endsWithSync,
      onDone: (outcome) => onDone(withoutPlace(outcome), merged.counts),
      onChanged: (what) => this.learnAnew(what),
    });
    startOperation(session, merged);
  }

  open(
    backends: readonly BackendConnection[],
    paramTypes: readonly number[],
    partOf: (backend: BackendConnection, position: number) => PortalPart,
    onOpen: (opened: Opened) => void,
  ): void {
    const { session, merge, limit, offset, bind } = this;
    const valuesOf = this.values();
    const parts = backends.map(partOf);
    const open = new OpenParts(
      parts,
      (part) => {
        part.bind(merge.sql, paramTypes, valuesOf(backends[parts.indexOf(part)]!));
      },
      (error, described) => {
        const { visibleColumns, keys } = merge;
        const failed = (bytes: Buffer): void => {
          onOpen({ ok: false, error: withoutPosition(bytes, 0, bytes.length) });
        };
        if (error !== null) {
          failed(error);
          return;
        }
        const { columns, comparators } = learntOf.get(merge)!;
        const description = trimRowDescription(described!, visibleColumns, keys.length, []);
        if (description === null || !hasTypes(described!, 0, described!.length, columns)) {
          this.learnAnew('columns');
          failed(errorBytes(changedShapeError()));
          return;
        }
        const onChanged = (what: Changed): void => this.learnAnew(what);
        const merging = new PortalMerge(parts, { merge, limit, offset, comparators, onChanged });
        const formats = bind.resultFormats(visibleColumns);
        const options = { parts, merge: merging, description, formats };
        onOpen({ ok: true, portal: new ScatterPortal(options) });
      },
    );
    startOperation(session, open);
  }

  /** The schema has changed past this proxy. Until the catalog knows the new values, none are compared here. */
  private learnAnew(changed: Changed): void {
    if (changed === 'values') learntOf.set(this.merge, null);
    else learntOf.delete(this.merge);
    refreshCatalog(this.session);
  }

  /** The client's values, results as it wants them, keys in binary. */
  private values(): (backend: BackendConnection) => Buffer {
    const { merge, bind, request } = this;
    const values = bind.withHiddenResults(merge.visibleColumns, merge.keys.length);
    return (backend) => bindFor(backend, values, request.valuesOf);
  }
}

/** `texts`: the client's statement, and what shards run. */
function learntFrom(
  merge: MergeSpec,
  texts: readonly DescribedText[],
  { enums }: Catalog,
): Learnt | null {
  const [own, merged] = texts as [DescribedText, DescribedText];
  const visible = merged.columns.slice(0, merge.visibleColumns);
  const hidden = merged.columns.slice(merge.visibleColumns);
  // What the client gets must be of the types that it was told.
  if (!sameTypes(visible, own.columns) || hidden.length !== merge.keys.length) return null;
  const comparators: Comparator[] = [];
  for (const [index, { type }] of hidden.entries()) {
    const comparator = comparatorFor(type, merge.keys[index]!.textByBytes, enums);
    if (comparator === null) return null;
    comparators.push(comparator);
  }
  return { columns: merged.columns, comparators };
}
