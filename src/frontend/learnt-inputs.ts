import type { BackendConnection } from '../backend/postgres/connection.js';
import { SqlError } from '../errors/sql-error.js';
import { withRelations } from '../executor/marked-texts.js';
import type { ManyShards } from '../planner/plan.js';
import type { Session } from './session.js';
import {
  inputColumns,
  inputRelations,
  type InputColumns,
  type InputNames,
} from './source-inputs.js';
import { describeFor, type RunRequest } from './statement-run.js';

/** What was learnt of a statement that runs over inputs in array parameters. */
export interface LearntInputs {
  readonly columns: InputColumns;
  /** The client's RowDescription. */
  readonly description: Buffer;
  /** What shards run over the inputs, by the number of the client's parameters. */
  readonly made: Map<number, MadeOver>;
}

/** A way over several shards with the inputs in the places of their marks. */
export interface MadeOver {
  readonly many: ManyShards;
  /** Type OIDs of the client's parameters and of the inputs' arrays. */
  readonly types: readonly number[];
}

type MarkedInput = InputNames & { readonly mark: string };

/** The way of a statement over inputs; `paramTypes`: of the client's parameters. */
export function madeOver(
  { columns, made }: LearntInputs,
  many: ManyShards,
  inputs: readonly MarkedInput[],
  paramTypes: readonly number[],
): MadeOver {
  const known = made.get(paramTypes.length);
  if (known !== undefined) return known;
  const { relations, types } = inputRelations(inputs, columns, paramTypes);
  const marks = inputs.map(({ mark }) => mark);
  const making = { many: withRelations(many, marks, relations), types };
  made.set(paramTypes.length, making);
  return making;
}

/**
 * Asks a backend what the inputs' texts give; the session comes back to `prepare` afterwards.
 * @param learn null: the inputs cannot travel as arrays
 */
export function learnInputs(
  session: Session,
  request: RunRequest,
  backend: BackendConnection,
  texts: readonly string[],
  paramTypes: readonly number[],
  onFailed: (error: Buffer) => void,
  learn: (learnt: LearntInputs | null) => void,
): void {
  describeFor(session, request, backend, texts, paramTypes, onFailed, ([own, ...inputs]) => {
    const columns = inputColumns(inputs, session.planning.planner.catalog);
    const { message } = own!;
    const fits = !(columns instanceof SqlError) && message !== null;
    learn(fits ? { columns, description: message, made: new Map() } : null);
  });
}
