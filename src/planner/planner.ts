import type { Catalog } from '../keyspace/catalog.js';
import type { ShapeUsage } from '../metrics/shape-usage.js';
import type { Topology } from '../keyspace/topology.js';
import { SqlError } from '../errors/sql-error.js';
import { cutNames } from '../sql/cut-names.js';
import { Literals } from '../sql/literals.js';
import { MAIN_TEXT_BYTES_MAX } from '../sql/parse-limits.js';
import type { ParsedStatement, TextParser } from '../sql/parser.js';
import { fingerprintText, scanShape } from '../sql/scanner.js';
import { Names, type TemporaryTables } from './names.js';
import { PlanCache } from './plan-cache.js';
import type { PlannedStatement, PlannedText } from './plan.js';
import { shortText } from './short-text.js';
import { dispatch, planStatement } from './statements.js';
import type { StatementContext } from './statement-context.js';
import { forEvenTables } from './uneven-tables.js';
import { TextConstants } from './values.js';
import { PatientParser } from './patient-parser.js';
import { beginsWithComment, hintOf } from './wishes/hint-comment.js';
import { wishNames, wishOf, type WishTexts } from './wishes/wish.js';
import { wholePlan } from './whole-text.js';

/** The parts of a session that decide what its statements mean. */
export interface PlanContext {
  /** Schemas in which names are looked up, `$user` resolved. */
  readonly searchPath: readonly string[];
  /** Equal for equal search paths; may be empty for the most common one. */
  readonly searchPathKey: string;
  /** The session's own; null or left out: none. Their key is part of `searchPathKey`. */
  readonly temporary?: TemporaryTables | null;
  /** Type OIDs from Parse by 0-based parameter; 0: unspecified. */
  readonly paramTypes: readonly number[];
  /** Equal for equal parameter types; empty for none. */
  readonly paramTypesKey: string;
  /** What the session wishes of where statements go; its key is part of `searchPathKey`. Absent: nothing. */
  readonly wish?: WishTexts | undefined;
  /** The statement is known to need several shards: plans of the kind `replan` will not do. */
  readonly knowsValues?: boolean;
  /** The time of the transaction is to be filled in wherever the statement tells it. */
  readonly oneMoment?: boolean;
}

/** What the planner counts; the metrics have these fields. */
export interface PlanMetrics {
  planCacheTextHits: number;
  planCacheShapeHits: number;
  planCacheMisses: number;
  planCacheEvictions: number;
  planCacheSize: () => { readonly entries: number; readonly bytes: number };
  readonly shapes: { of(shape: string): ShapeUsage };
}

/** Texts beyond this are not looked up as they are: such texts hold literals. */
const RAW_TEXT_MAX = 2_048;
/**
 * Plans of texts without literals: BEGIN, COMMIT and statements with parameters only. Some 8,000 of
 * them.
 */
const TEXT_CACHE_BYTES = 16 * 1024 * 1024;
/** Plans by shape. Some 16,000 of them; an application has hundreds. */
const SHAPE_CACHE_BYTES = 32 * 1024 * 1024;
/** A plan without rows, its terms included, as measured over the golden plans (0.9 to 2.1 kB). */
const PLAN_BYTES = 2_048;
/** One row of a multi-row INSERT: two positions and a term. */
const ROW_BYTES = 256;
/** Plans that depend on values are kept for this many sets of values of a shape. */
const VARIANTS_MAX = 64;
/** Of an oversized statement: its query, what is written of it, and what that is planned as. */
const ROUNDS_MAX = 8;

/**
 * What is kept under a shape: a plan for all its texts, or plans by the values that they depend on.
 */
type ShapeEntry =
  | { readonly kind: 'one'; readonly planned: PlannedText }
  | {
      readonly kind: 'byValues';
      readonly dependsOn: readonly number[];
      readonly variants: Map<string, PlannedText>;
    };

/**
 * Text -> plan, in three steps that get dearer: the text itself (if it holds no literal), its
 * shape, and only then the parser. Everything below is pure; a plan is a function of the text, the
 * session's names and types, the topology and the catalog.
 */
export class Planner {
  readonly #parser: TextParser;
  readonly #metrics: PlanMetrics | null;
  readonly #texts = new PlanCache<PlannedText>(TEXT_CACHE_BYTES);
  readonly #shapes = new PlanCache<ShapeEntry>(SHAPE_CACHE_BYTES);
  #topology: Topology;
  #catalog: Catalog;

  constructor(
    parser: TextParser,
    topology: Topology,
    catalog: Catalog,
    metrics: PlanMetrics | null = null,
  ) {
    this.#parser = parser;
    this.#topology = topology;
    this.#catalog = catalog;
    this.#metrics = metrics;
    if (metrics !== null) {
      metrics.planCacheSize = () => ({
        entries: this.#texts.entries + this.#shapes.entries,
        bytes: this.#texts.bytes + this.#shapes.bytes,
      });
    }
  }

  /** Keys may get other shards while the topology stays: there are directories. */
  get movesKeys(): boolean {
    return this.#topology.directories.length > 0;
  }

  get topologyVersion(): number {
    return this.#topology.version;
  }

  get catalog(): Catalog {
    return this.#catalog;
  }

  get catalogVersion(): number {
    return this.#catalog.version;
  }

  /** A planner for the same cluster under another catalog, with no metrics of its own. */
  seeing(catalog: Catalog): Planner {
    return new Planner(this.#parser, this.#topology, catalog);
  }

  /** Takes over a new topology or catalog; plans made under other versions are dropped. */
  update(topology: Topology, catalog: Catalog): void {
    this.#topology = topology;
    this.#catalog = catalog;
    this.#texts.clear();
    this.#shapes.clear();
  }

  /**
   * The plan of the UTF-8 text `bytes[start, end)`. Fills `literals` with this text's literals,
   * which plans refer to. A promise only for oversized texts that are not cached. Throws (or
   * rejects with) SqlError: whatever the parser finds wrong (42601, 22021, 54001); statements that
   * cannot be answered are plans of kind `refuse`.
   */
  plan(
    bytes: Uint8Array,
    start: number,
    end: number,
    context: PlanContext,
    literals: Literals,
  ): PlannedText | Promise<PlannedText> {
    // A session's text mostly is like the one before it.
    const seemsLiteral = literals.count > 0;
    if (!seemsLiteral && end - start <= RAW_TEXT_MAX) {
      const known = this.#byText(fingerprintText(bytes, start, end), context);
      if (known !== undefined) {
        literals.reset();
        return known;
      }
    }
    const shape = scanShape(bytes, start, end, literals);
    if (beginsWithComment(literals)) context = withHint(context, hintOf(bytes, start, literals));
    if (shape !== null && literals.count > 0) {
      const known = this.#byShape(contextKey(shape, context), bytes, start, literals);
      if (known !== undefined) {
        if (this.#metrics !== null) this.#metrics.planCacheShapeHits++;
        return known;
      }
    } else if (shape !== null && seemsLiteral) {
      // Without literals the text is its own shape.
      const known = this.#byText(shape, context);
      if (known !== undefined) return known;
    }
    if (end - start > MAIN_TEXT_BYTES_MAX && literals.complete) {
      const short = shortText(bytes, start, end, literals);
      if (short !== null) return this.#planShort(short, bytes, start, end, context, literals);
    }
    return this.#planWhole(bytes, start, end, context, literals, shape);
  }

  #planWhole(
    bytes: Uint8Array,
    start: number,
    end: number,
    context: PlanContext,
    literals: Literals,
    shape: string | null,
  ): PlannedText | Promise<PlannedText> {
    if (this.#metrics !== null) this.#metrics.planCacheMisses++;
    const parsed = this.#parser.parse(bytes, start, end);
    if (Array.isArray(parsed)) {
      return this.#build(parsed, bytes, start, end, context, literals, shape);
    }
    return parsed.then((statements) =>
      this.#patiently((parser) =>
        this.#build(statements, bytes, start, end, context, literals, shape, parser),
      ),
    );
  }

  /** An oversized statement is planned anew while it is refused, and texts of its own have to be parsed first. */
  async #patiently(build: (parser: TextParser) => PlannedText): Promise<PlannedText> {
    const parser = new PatientParser(this.#parser);
    for (let round = 1; ; round++) {
      const planned = build(parser);
      if (!isUndecided(planned, parser) || round === ROUNDS_MAX) return planned;
      await parser.learn();
    }
  }

  /** The plan of a text with long strings: mostly that of the same text without them, which is parsed in no time. */
  #planShort(
    short: Uint8Array,
    bytes: Uint8Array,
    start: number,
    end: number,
    context: PlanContext,
    literals: Literals,
  ): PlannedText | Promise<PlannedText> {
    const own = new Literals();
    const shape = scanShape(short, 0, short.length, own);
    const whole = (): PlannedText | Promise<PlannedText> =>
      this.#planWhole(bytes, start, end, context, literals, null);
    if (shape === null || own.count !== literals.count) return whole();
    const key = contextKey(shape, context);
    const known = this.#byShape(key, bytes, start, literals);
    if (known !== undefined) return known;
    const finish = (): PlannedText | Promise<PlannedText> =>
      this.#byShape(key, bytes, start, literals) ?? whole();
    // What is wrong with it is told of the whole text, with its positions.
    const onError = (error: unknown): PlannedText | Promise<PlannedText> => {
      if (error instanceof SqlError) return whole();
      throw error;
    };
    try {
      const planned = this.#planWhole(short, 0, short.length, context, own, shape);
      return planned instanceof Promise ? planned.then(finish, onError) : finish();
    } catch (error) {
      return onError(error);
    }
  }

  #byText(text: string, context: PlanContext): PlannedText | undefined {
    const known = this.#texts.get(contextKey(text, context));
    if (known !== undefined && this.#metrics !== null) this.#metrics.planCacheTextHits++;
    return known;
  }

  #byShape(
    key: string,
    bytes: Uint8Array,
    start: number,
    literals: Literals,
  ): PlannedText | undefined {
    const entry = this.#shapes.get(key);
    if (entry === undefined) return undefined;
    if (entry.kind === 'one') return entry.planned;
    return entry.variants.get(valuesKey(entry.dependsOn, bytes, start, literals));
  }

  #build(
    parsed: readonly ParsedStatement[],
    bytes: Uint8Array,
    start: number,
    end: number,
    context: PlanContext,
    literals: Literals,
    shape: string | null,
    parser: TextParser = this.#parser,
  ): PlannedText {
    const { searchPath, temporary = null } = context;
    const wish = wishOf(context.wish, this.#topology);
    const names = new Names(this.#topology, this.#catalog, searchPath, temporary, undefined, wish);
    const constants = new TextConstants(shape === null ? null : literals);
    const outcome = { cacheable: true, paramCount: 0 };
    let paramCount = 0;
    const statements = parsed.map((statement): PlannedStatement => {
      const statementEnd = statement.start + statement.length;
      const inner: StatementContext = {
        names,
        parser,
        paramTypes: context.paramTypes,
        constants,
        literals,
        bytes,
        textStart: start,
        textEnd: end - start,
        scatters: true,
        plan: dispatch,
        knowsValues: context.knowsValues ?? false,
        oneMoment: context.oneMoment ?? false,
        isWhole: parsed.length === 1,
        start: statement.start,
        end: statementEnd,
        outcome,
      };
      outcome.paramCount = 0;
      const plan = forEvenTables(planStatement(statement.node, inner), statement.node, names);
      paramCount = Math.max(paramCount, outcome.paramCount);
      return {
        plan,
        paramCount: outcome.paramCount,
        start: constants.position(statement.start),
        end: constants.position(statementEnd),
      };
    });
    const counted = this.#counted(statements, outcome.cacheable ? shape : null);
    const planned: PlannedText = {
      statements: counted,
      whole: wholePlan(counted.map(({ plan }) => plan)),
      paramCount,
      cutNames: cutNames(bytes, start, end),
      catalogVersion: this.#catalog.version,
      topologyVersion: this.#topology.version,
    };
    if (outcome.cacheable && shape !== null && !isUndecided(planned, parser)) {
      this.#keep(planned, shape, bytes, start, end, context, constants, literals);
    }
    return planned;
  }

  /** The one statement of a text that will be kept is counted under its shape. */
  #counted(
    statements: readonly PlannedStatement[],
    shape: string | null,
  ): readonly PlannedStatement[] {
    const [only, ...others] = statements;
    if (this.#metrics === null || shape === null || only === undefined || others.length > 0) {
      return statements;
    }
    return [{ ...only, plan: { ...only.plan, usage: this.#metrics.shapes.of(shape) } }];
  }

  #keep(
    planned: PlannedText,
    shape: string,
    bytes: Uint8Array,
    start: number,
    end: number,
    context: PlanContext,
    constants: TextConstants,
    literals: Literals,
  ): void {
    const size = planBytes(planned);
    if (literals.count === 0) {
      if (end - start > RAW_TEXT_MAX) return;
      const key = contextKey(shape, context);
      this.#texts.set(key, planned, size + key.length);
    } else if (constants.dependsOn.size === 0) {
      const key = contextKey(shape, context);
      this.#shapes.set(key, { kind: 'one', planned }, size + key.length);
    } else {
      this.#keepVariant(
        planned,
        contextKey(shape, context),
        size,
        bytes,
        start,
        constants,
        literals,
      );
    }
    if (this.#metrics !== null) {
      this.#metrics.planCacheEvictions = this.#texts.evictions + this.#shapes.evictions;
    }
  }

  #keepVariant(
    planned: PlannedText,
    key: string,
    size: number,
    bytes: Uint8Array,
    start: number,
    constants: TextConstants,
    literals: Literals,
  ): void {
    const dependsOn = [...constants.dependsOn].sort((a, b) => a - b);
    const values = valuesKey(dependsOn, bytes, start, literals);
    const entry = this.#shapes.get(key);
    // Another value may have met another part of the planner, which depends on other literals.
    const same = entry?.kind === 'byValues' && String(entry.dependsOn) === String(dependsOn);
    if (same && entry.variants.size < VARIANTS_MAX) {
      entry.variants.set(values, planned);
      return;
    }
    const variants = new Map([[values, planned]]);
    const bytesMax = VARIANTS_MAX * (size + values.length) + key.length;
    this.#shapes.set(key, { kind: 'byValues', dependsOn, variants }, bytesMax);
  }
}

/** Whether it may be answered once texts of its own have been parsed. */
function isUndecided({ statements }: PlannedText, parser: TextParser): boolean {
  if (!(parser instanceof PatientParser) || !parser.waits) return false;
  return statements.some(({ plan }) => plan.kind === 'refuse');
}

/** Texts hold no NUL, so that nothing else runs into the session's part. */
function contextKey(text: string, context: PlanContext): string {
  const { searchPathKey, paramTypesKey, knowsValues, oneMoment } = context;
  const purpose = knowsValues === true ? '\0v' : oneMoment === true ? '\0m' : '';
  if (searchPathKey === '' && paramTypesKey === '' && purpose === '') return text;
  return `${text}\0${searchPathKey}\0${paramTypesKey}${purpose}`;
}

/** The session's context, with what a comment in front of a text says besides. */
function withHint(context: PlanContext, hint: WishTexts | null): PlanContext {
  if (hint === null) return context;
  const { wish, searchPathKey } = context;
  const said = wishNames.map((name) => hint[name] ?? '\x01').join('\0');
  return {
    ...context,
    wish: { ...wish, ...hint },
    searchPathKey: `${searchPathKey}\0hint\0${said}`,
  };
}

/** The values that a plan depends on, as they are written. */
function valuesKey(
  dependsOn: readonly number[],
  bytes: Uint8Array,
  start: number,
  literals: Literals,
): string {
  let key = '';
  for (const index of dependsOn) {
    const from = start + literals.starts[index]!;
    key += `${fingerprintText(bytes, from, start + literals.ends[index]!)}\0`;
  }
  return key;
}

function planBytes(planned: PlannedText): number {
  let bytes = 0;
  for (const { plan } of planned.statements) {
    const rows =
      plan.kind === 'insertSplit' ? plan.rows : plan.kind === 'fill' ? plan.edits : NO_ROWS;
    bytes += PLAN_BYTES + rows.length * ROW_BYTES;
  }
  return Math.max(bytes, PLAN_BYTES);
}

const NO_ROWS: readonly never[] = [];
