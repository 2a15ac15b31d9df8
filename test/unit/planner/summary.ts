import type {
  ColumnTerm,
  DistributeSpec,
  FinalPiece,
  GatherInput,
  GatherSpec,
  KeyTerm,
  ManyShards,
  MergeSpec,
  Plan,
  PlannedText,
  Refusal,
  RowCount,
  ShardSelector,
  ValueLink,
  SpreadSpec,
} from '../../../src/planner/plan.js';
import { TypeOid } from '../../../src/keyspace/type-oids.js';

/** A plan as a golden file shows it: short enough to read, complete enough to notice a change. */
export type Summary = Readonly<Record<string, unknown>>;

export function summarize(planned: PlannedText): Summary {
  const plans = planned.statements.map(({ plan }) => summarizePlan(plan));
  if (plans.length === 1) return plans[0]!;
  return { statements: plans, whole: planned.whole === null ? null : summarizePlan(planned.whole) };
}

const severalShards = new Set(['keys', 'all', 'nowhere']);

export function summarizePlan(plan: Plan): Summary {
  switch (plan.kind) {
    case 'route':
      return {
        ...selector(plan.shards),
        ...(severalShards.has(plan.shards.kind) ? manySummary(plan.many) : {}),
        ...(plan.writes ? { writes: true } : {}),
        ...(plan.touches === undefined ? {} : { touches: plan.touches.join(', ') }),
        ...(plan.effects === null ? {} : { effects: plan.effects }),
        ...(plan.cursor === null ? {} : { cursor: `${plan.cursor.action} ${plan.cursor.name}` }),
        ...(plan.copy === 'none' ? {} : { copy: plan.copy }),
      };
    case 'insertSplit':
      return {
        insert: plan.table,
        rows: plan.rows.map((row) => termText(row.key)),
        ...(plan.returning ? { returning: 'each' } : {}),
      };
    case 'copyFrom':
      return {
        copyFrom: plan.table,
        key:
          plan.key === null ? null : plan.key.columns.map(({ field }) => `field ${field}`).join(),
        columns: plan.columnCount,
        format: plan.format.kind,
        ...(plan.fill === undefined ? {} : { made: plan.fill.columns.map(({ name }) => name) }),
      };
    case 'broadcast':
      return {
        broadcast: plan.servers === undefined ? (plan.keyspace?.name ?? 'cluster') : 'servers',
        ...(plan.ddl ? { ddl: true } : {}),
        ...(plan.transactional ? {} : { transactional: false }),
      };
    case 'fill':
      return {
        fill: plan.edits
          .map(({ pieces }) =>
            pieces
              .map((piece) =>
                typeof piece === 'string'
                  ? piece
                  : `<${'name' in piece.source ? piece.source.name : piece.source.kind}>`,
              )
              .join(''),
          )
          .join(' ... '),
      };
    case 'local':
      return { local: plan.command };
    case 'refuse':
      return { refuse: refusalText(plan.refusal) };
    case 'empty':
      return { empty: true };
  }
}

function selector(shards: ShardSelector): Summary {
  switch (shards.kind) {
    case 'shard':
      return { route: `shard ${shards.shard.name}` };
    case 'agreed':
      return {
        route: `shard ${shards.shard.name}, if agreed`,
        groups: shards.groups.map((group) => group.map(termText)),
      };
    case 'any':
      return { route: shards.keyspace === null ? 'any' : `any of ${shards.keyspace.name}` };
    case 'catalog':
      return { route: 'catalog' };
    case 'all':
      return {
        route: `all of ${shards.keyspace.name}`,
      };
    case 'nowhere':
      return { route: 'nowhere' };
    case 'lookup':
      return { route: `lookup ${shards.lookup.name}`, terms: shards.terms.length };
    case 'keys':
      return { route: 'keys', groups: shards.groups.map((group) => group.map(termText)) };
  }
}

const typeNames = new Map(Object.entries(TypeOid).map(([name, oid]) => [oid as number, name]));

/** `orders.customer_id = literal 0 (int4)`, shortened to what varies. */
function termText(term: KeyTerm): string {
  if (term.columns === undefined) return columnText(term);
  const text = term.columns.map((values) => values.map(columnText).join(' or ')).join(' and ');
  return term.whole ? text : `${text}, the first columns`;
}

function columnText(term: ColumnTerm): string {
  return `${term.column} ${term.stored === true ? ':=' : '='} ${sourceText(term)} ${typeNames.get(term.inputType) ?? term.inputType}`;
}

function sourceText({ source }: ColumnTerm): string {
  switch (source.kind) {
    case 'literal':
      return `${source.negative ? '-' : ''}literal ${source.index}`;
    case 'param':
      return `$${source.index + 1}`;
    case 'paramArray':
      return `any $${source.index + 1}`;
    case 'constant':
      return source.bytes === null ? 'NULL' : `'${new TextDecoder().decode(source.bytes)}'`;
  }
}

function manySummary(many: ManyShards): Summary {
  switch (many.kind) {
    case 'refuse':
      return { many: `refuse: ${many.refusal.message}` };
    case 'copyConcat':
      return { many: `copyConcat ${many.format}${many.header ? ' header' : ''}` };
    case 'copyRows':
      return { many: `copyRows ${many.format.kind} of ${Buffer.from(many.source.sql).toString()}` };
    case 'gather':
      return { many: gatherSummary(many.gather) };
    case 'merge':
      return { many: mergeSummary(many.merge) };
    case 'distribute':
      return { many: distributeSummary(many.distribute) };
    case 'move': {
      const { shards, lock, stay, leave, arrive, unique, refusal } = many.move;
      return {
        many: {
          move: placeText(shards),
          lock,
          stay: finalSummary(stay),
          leave: finalSummary(leave),
          arrive: finalSummary(arrive),
          unique,
          ...(refusal === null ? {} : { refusal: refusalText(refusal) }),
        },
      };
    }
    case 'spread':
      return { many: spreadSummary(many.spread) };
    default:
      return { many: many.kind };
  }
}

function distributeSummary({ source, destination, apply }: DistributeSpec): Summary {
  const to =
    destination.kind === 'key'
      ? destination.columns
          .map(({ name, column }) => `${name} := ${apply.columns[column]!}`)
          .join(', ')
      : destination.shards.map(({ name }) => name).join(' ');
  const text = apply.sql.map((piece) => (typeof piece === 'string' ? piece : '<rows>'));
  return {
    read: Buffer.from(source.sql).toString(),
    from: summarizePlan(source.plan),
    to,
    apply: text.join(''),
    ...(apply.returning === 'none' ? {} : { returning: apply.returning }),
    ...(apply.everywhere === true ? { everywhere: true } : {}),
  };
}

function spreadSummary({ inputs, shards, apply }: SpreadSpec): Summary {
  return {
    spread: inputs.map(({ label, source, columns }) => ({
      input: label,
      sql: new TextDecoder().decode(source.sql),
      columns: columns.join(),
      ...summarizePlan(source.plan),
    })),
    to: placeText(shards),
    apply: finalSummary(apply),
  };
}

/** Inputs stand in the final statement as `<0>`, combined partial results as `<sum 0.1 0.2>`. */
function finalSummary(final: readonly FinalPiece[]): string {
  const pieces = final.map((piece) => {
    if (typeof piece === 'string') return piece;
    if (piece.kind === 'input') return `<${piece.input}>`;
    const columns = piece.columns.map((column) => `${piece.input}.${column}`);
    return `<${piece.aggregate} ${columns.join(' ')}>`;
  });
  return pieces.join('');
}

function gatherSummary({ inputs, home, final }: GatherSpec): Summary {
  return { gather: inputs.map(inputSummary), home: placeText(home), final: finalSummary(final) };
}

function inputSummary(input: GatherInput): Summary {
  return {
    input: input.label,
    from: placeText(input.shards),
    sql: input.sql,
    columns: input.columns.join(),
    ...(input.primaryKey === null ? {} : { primaryKey: input.primaryKey.join() }),
    ...(input.lookups === undefined ? {} : { lookups: input.lookups.map((names) => names.join()) }),
    ...(input.link === undefined ? {} : { link: linkText(input.link) }),
    ...(input.defaultCollations ? {} : { collations: true }),
  };
}

function linkText({ input, column, name, key }: ValueLink): string {
  return `${name} = ${input}.${column}${key === null ? '' : ', by key'}`;
}

function placeText(shards: ShardSelector): string {
  if (shards.kind !== 'keys') return String(selector(shards).route);
  return shards.groups.map((group) => group.map(termText).join(' or ')).join(' and ');
}

function mergeSummary(merge: MergeSpec): Summary {
  const keys = merge.keys.map(
    ({ descending, nullsFirst, textByBytes }) =>
      `${descending ? 'desc' : 'asc'} nulls ${nullsFirst ? 'first' : 'last'}${textByBytes ? ' bytes' : ''}`,
  );
  const cut = { limit: countText(merge.limit), offset: countText(merge.offset) };
  return {
    merge: merge.sql,
    visible: merge.visibleColumns,
    keys,
    ...(cut.limit === null ? {} : { limit: cut.limit }),
    ...(cut.offset === null ? {} : { offset: cut.offset }),
    ...(merge.withTies ? { withTies: true } : {}),
    fallback: gatherSummary(merge.fallback),
  };
}

function countText(count: RowCount | null): string | null {
  if (count === null) return null;
  return count.kind === 'param' ? `$${count.index + 1}` : String(count.value);
}

function refusalText(refusal: Refusal): string {
  const state = refusal.state === 'feature_not_supported' ? '' : `${refusal.state}: `;
  return state + refusal.message;
}
