import type { FuncCall, Node } from '@pgsql/types';
import type { Literals } from '../sql/literals.js';
import type { TextParser } from '../sql/parser.js';
import { Analysis } from './analysis.js';
import { defaultKind } from './column-defaults.js';
import { addEdge } from './model.js';
import { analyseInsert } from './insertions.js';
import { analyseDelete, analyseMerge, analyseUpdate } from './modifications.js';
import type { Names } from './names.js';
import { passesFilters } from './facts.js';
import { Params } from './params.js';
import type { Plan } from './plan.js';
import { analyseQuery } from './queries.js';
import { refuse } from './refusals.js';
import { hiddenWrite, notifies } from './triggers/trigger-reach.js';
import type { TextConstants } from './values.js';
import type { QueryWalker } from './analysis.js';

/** What planning one statement needs to know of its text and session. */
export interface StatementContext {
  readonly names: Names;
  /** For texts that plans are made of: what deparse.ts writes, definitions of views. */
  readonly parser: TextParser;
  readonly paramTypes: readonly number[];
  /** What is known of the parameters of the statement that this one was made of; absent: none. */
  readonly outerParams?: Params;
  readonly constants: TextConstants;
  /** The literal spans of the whole text. */
  readonly literals: Literals;
  /** The whole text: `bytes[textStart + offset]` is byte `offset` of it. */
  readonly bytes: Uint8Array;
  readonly textStart: number;
  /** Where it ends, as an offset in the text. */
  readonly textEnd: number;
  /**
   * False: a query inside another statement (DECLARE, COPY), where several shards may do no more
   * than answer one after the other.
   */
  readonly scatters: boolean;
  /** Plans another statement that is made of this one. Throws Refused. */
  readonly plan: (statement: Node, context: StatementContext) => Plan;
  /** The plan is made for these literals alone: it may hold them where it serves several shards. */
  readonly knowsValues: boolean;
  /** The time of the transaction is filled in, one shard or not; absent: where several shards would tell it. */
  readonly oneMoment?: boolean;
  /** It is all that its text has. */
  readonly isWhole: boolean;
  /** Others stand in for some of its tables, which all of its shards have: it must split. */
  readonly standsIn?: true;
  /** It is the query of a cursor, whose rows are taken in pieces; 'home': a server has it, with all its rows. */
  readonly cursor?: 'forward' | 'home';
  /** The statement's own bytes, as offsets in the text. */
  readonly start: number;
  readonly end: number;
  /**
   * Told by the planners of statements: what the whole text must not be cached for, and its
   * parameters.
   */
  readonly outcome: { cacheable: boolean; paramCount: number };
}

/** The text that the statement stands in. */
export function wholeText({ bytes, textStart, textEnd }: StatementContext): string {
  return decoder.decode(bytes.subarray(textStart, textStart + textEnd));
}

const decoder = new TextDecoder('utf-8', { ignoreBOM: true });

const walker: QueryWalker = {
  query: analyseQuery,
  modification(node, parent, ctes, analysis) {
    const modification =
      'InsertStmt' in node
        ? analyseInsert(node.InsertStmt, parent, ctes, analysis)
        : 'UpdateStmt' in node
          ? analyseUpdate(node.UpdateStmt, parent, ctes, analysis)
          : 'DeleteStmt' in node
            ? analyseDelete(node.DeleteStmt, parent, ctes, analysis)
            : 'MergeStmt' in node
              ? analyseMerge(node.MergeStmt, parent, ctes, analysis)
              : null;
    if (modification !== null) return modification.level;
    return refuse(
      'this WITH query is not supported',
      'Its table must exist and be one that can be written.',
    );
  },
};

/**
 * Runs one walk over a statement and completes what only its end can tell. `replaced`: calls in whose place other text
 * will stand.
 */
export function analyse<T>(
  context: StatementContext,
  walk: (analysis: Analysis) => T,
  replaced: ReadonlySet<FuncCall> = NONE,
): [Analysis, T] {
  const { names, constants, parser, outcome } = context;
  const params = new Params(context.paramTypes, context.outerParams);
  const analysis = new Analysis(names, params, constants, walker, parser);
  analysis.replaced = replaced;
  const result = walk(analysis);
  for (const { level, columns } of analysis.cteUses) {
    if (level.references !== 1) continue;
    for (const [column, output] of columns) {
      if (passesFilters(level, output)) addEdge(output, column);
    }
  }
  noteServerCode(analysis);
  noteChanges(analysis);
  outcome.paramCount = Math.max(outcome.paramCount, analysis.params.count);
  if (!analysis.cacheable) outcome.cacheable = false;
  return [analysis, result];
}

const NONE: ReadonlySet<FuncCall> = new Set();

function noteChanges({ occurrences, names }: Analysis): void {
  const { lookups, directories } = names.topology;
  if (lookups.length === 0 && directories.length === 0) return;
  for (const { table, relation, written } of occurrences) {
    if (written && table !== null) names.changed.add({ table, relation });
  }
}

/**
 * Servers that take values of sequences by themselves: what the session got last is not known then; and whatever else
 * they do beside the statement.
 */
function noteServerCode(analysis: Analysis): void {
  const { names } = analysis;
  const { touched } = names;
  for (const { occurrence, column } of analysis.defaulted) {
    if (occurrence.table?.keyspace.sharded === false && defaultKind(column) === 'sequence') {
      touched.add('nextval');
    }
  }
  for (const { table, written, relation } of analysis.occurrences) {
    if (table?.keyspace.sharded !== false || !written) continue;
    const reason = hiddenWrite(relation, table, names);
    if (reason !== null) {
      names.hidden ??= { subject: `a write to table "${relation.name}"`, reason };
    }
    if (!relation.hasTriggersOrRules) continue;
    touched.add('nextval');
    if (notifies(relation)) touched.add('notify');
  }
}
