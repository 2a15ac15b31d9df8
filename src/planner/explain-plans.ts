import type { ExplainStmt, Node } from '@pgsql/types';
import { quoteLiteral } from '../sql/quote.js';
import { defElemText } from './ast.js';
import { queryStart, textFrom } from './inner-query.js';
import type { ExplainSpec, FillEdit, FillPlan, KeyTerm, Plan, RoutePlan } from './plan.js';
import { routePlan } from './plans.js';
import { refusal, refuse } from './refusals.js';
import type { StatementContext } from './statement-context.js';

const EXPLAINED = ['SelectStmt', 'InsertStmt', 'UpdateStmt', 'DeleteStmt', 'MergeStmt'];

/**
 * EXPLAIN goes to the shard that its statement would run on, as it stands; where that is several, Shardgate tells how
 * they work together. `inner` plans the statement.
 */
export function planExplain(
  statement: ExplainStmt,
  context: StatementContext,
  inner: (node: Node, context: StatementContext) => Plan,
): Plan {
  const query = statement.query;
  if (query === undefined || !EXPLAINED.some((kind) => kind in query)) {
    refuse(
      'EXPLAIN of this kind of statement is not supported',
      'Explain a SELECT, INSERT, UPDATE or DELETE.',
    );
  }
  const options = optionsOf(statement);
  const start = queryStart(HEADS, query, context);
  const plan = inner(query, {
    ...context,
    start: start ?? context.start,
    scatters: start !== null,
    knowsValues: true,
  });
  switch (plan.kind) {
    case 'route':
      return explainRoute(plan, start, options, context);
    case 'insertSplit': {
      const groups: KeyTerm[][] = [plan.rows.map((row) => row.key)];
      return routePlan('explain', options.analyze, {
        shards: { kind: 'keys', keyspace: plan.keyspace, groups },
        many: { kind: 'refuse', refusal: severalShards('an INSERT') },
      });
    }
    case 'broadcast': {
      if (options.analyze) {
        refuse(
          'EXPLAIN ANALYZE of a write to every shard is not supported',
          'Use EXPLAIN without ANALYZE.',
        );
      }
      return routePlan('explain', false, {
        shards: { kind: 'any', keyspace: plan.keyspace },
        many: { kind: 'refuse', refusal: severalShards('this statement') },
      });
    }
    case 'fill':
      return { ...plan, verb: 'explain', edits: options.analyze ? plan.edits : valueless(plan) };
    case 'refuse':
      return { ...plan, verb: 'explain' };
    default:
      return refuse('EXPLAIN of this statement is not supported', 'Run the statement itself.');
  }
}

function explainRoute(
  plan: RoutePlan,
  start: number | null,
  options: Options,
  context: StatementContext,
): RoutePlan {
  if (plan.effects !== null) {
    refuse('set_config in EXPLAIN is not supported', 'Run it as a statement of its own.');
  }
  const writes = options.analyze && plan.writes;
  const explained: RoutePlan = { ...plan, verb: 'explain', writes };
  if (plan.many.kind === 'refuse') return explained;
  if (start === null || options.format === 'other') {
    return { ...explained, many: { kind: 'refuse', refusal: severalShards('this form') } };
  }
  const sql = textFrom(start, context);
  const { format } = options;
  const explain: ExplainSpec = { ...options, format, of: plan.many, sql, once: writes };
  // The statement's text is in the plan, so the plan is good for these literals only.
  context.constants.dependOnAll();
  return { ...explained, many: { kind: 'explain', explain } };
}

/** Nothing is inserted, so no ids are used up; what time it is may be told. */
function valueless(plan: FillPlan): FillEdit[] {
  return plan.edits.map((edit) => ({
    ...edit,
    pieces: edit.pieces.map((piece) => {
      if (typeof piece === 'string') return piece;
      const { kind } = piece.source;
      if (kind === 'moment') return piece;
      const isUuid = kind === 'uuidv4' || kind === 'uuidv7';
      return isUuid ? "'00000000-0000-7000-8000-000000000000'" : "'0'";
    }),
  }));
}

interface Options {
  readonly analyze: boolean;
  readonly verbose: boolean;
  readonly format: 'text' | 'json' | 'other';
  /** For the shards, without FORMAT. */
  readonly options: string;
}

function optionsOf(statement: ExplainStmt): Options {
  let analyze = false;
  let verbose = false;
  let format: Options['format'] = 'text';
  const passed: string[] = [];
  for (const node of statement.options ?? []) {
    if (!('DefElem' in node)) continue;
    const name = node.DefElem.defname ?? '';
    const text = defElemText(node.DefElem);
    const on = text === null || !/^(off|false|0)$/i.test(text);
    if (name === 'format') {
      const wanted = text?.toLowerCase() ?? '';
      format = wanted === 'text' || wanted === 'json' ? wanted : 'other';
      continue;
    }
    if (name === 'analyze') analyze = on;
    if (name === 'verbose') verbose = on;
    passed.push(text === null ? name : `${name} ${quoteLiteral(text)}`);
  }
  return { analyze, verbose, format, options: passed.join(', ') };
}

function severalShards(construct: string): ReturnType<typeof refusal> {
  return refusal(
    `EXPLAIN of ${construct} over several shards is not supported`,
    'Bind the shard key to a value, so that one shard can answer; or use EXPLAIN (FORMAT TEXT or JSON) of a SELECT.',
  );
}

/** `EXPLAIN ANALYZE VERBOSE` or `EXPLAIN (option, ...)`, without comments. */
const HEADS = [
  /^explain\s*\((?:[^()']|'[^']*')*\)\s*/i,
  /^explain\s*(?:\b(?:analyze|analyse)\b\s*)?(?:\bverbose\b\s*)?/i,
];
