import type { BackendConnection } from '../backend/postgres/connection.js';
import { SqlError, sqlError } from '../errors/sql-error.js';
import { textRows, type Answered } from '../executor/ask.js';
import { Distribution, fieldStart, type RowShape } from '../executor/distribution.js';
import { entryHomes } from '../executor/lookups/entry-homes.js';
import { keyIds, ownerOf } from '../executor/lookups/key-ids.js';
import { otherLookup, type LookupStatement } from '../executor/lookups/lookup-changes.js';
import { StrayRows, UniqueClaims, type Question } from '../executor/lookups/unique-claims.js';
import { textOfBinary } from '../executor/value-texts.js';
import { idFromSigned } from '../keyspace/keyspace-id.js';
import { lookupKey, type Shard } from '../keyspace/topology.js';
import type { DistributeSpec, UniqueClaim } from '../planner/plan.js';
import { errorBytes } from '../protocol/error-bytes.js';
import { withoutPosition } from '../protocol/error-position.js';
import { readInt32 } from '../protocol/framing.js';
import type { Outcome } from '../transaction/operation.js';
import { askForRows } from './ask-backend.js';
import type { Session } from './session.js';
import type { BackendsOf } from './source-inputs.js';
import { lossOf } from './source-reader.js';

type Destination = Extract<DistributeSpec['destination'], { readonly kind: 'key' }>;

/**
 * Rows of an INSERT whose ON CONFLICT is about values that are unique over all shards: they are kept until the lookup
 * has told where rows with these values are.
 */
export class ClaimedRows {
  /** Those that may have entries of the values. */
  readonly homes: readonly Shard[];
  private readonly session: Session;
  private readonly destination: Destination;
  private readonly claim: UniqueClaim;
  private readonly shape: RowShape;
  private readonly all: Distribution;
  private readonly rows: { readonly message: Buffer; readonly place: number }[] = [];
  private readonly claims: UniqueClaims;
  private strays: StrayRows[] = [];

  /** Throws SqlError 55000 where the lookup has become another one since the statement was planned. */
  constructor(session: Session, destination: Destination, claim: UniqueClaim, shape: RowShape) {
    const { topology } = session.context.config;
    const { lookup } = claim;
    const known = session.planning.planner.catalog.lookups?.get(lookupKey(lookup));
    const homes = known === undefined ? null : entryHomes(topology, lookup, known.typeOid);
    if (known === undefined || homes === null) throw otherLookup(lookup);
    this.session = session;
    this.destination = destination;
    this.claim = claim;
    this.shape = shape;
    this.all = new Distribution(destination, shape);
    this.homes = homes.shards;
    this.claims = new UniqueClaims(lookup, known.type, homes);
  }

  /** Takes a DataRow message. Throws SqlError where its key belongs to no shard, or its value cannot be read. */
  add(buffer: Buffer, start: number, end: number): void {
    const place = this.all.placeOf(buffer, start);
    this.rows.push({ message: Buffer.from(buffer.subarray(start, end)), place });
    this.claims.add(this.valueOf(buffer, start));
  }

  private valueOf(buffer: Buffer, start: number): string | null {
    const { column, lookup } = this.claim;
    const at = fieldStart(buffer, start, column);
    const length = readInt32(buffer, at);
    if (length < 0) return null;
    const bytes = buffer.subarray(at + 4, at + 4 + length);
    const { columns, formats } = this.shape;
    if (formats[column] === 0) return bytes.toString('utf8');
    const text = textOfBinary(columns[column]!.elementOid, bytes);
    if (text !== null) return text;
    throw sqlError(
      'feature_not_supported',
      `ON CONFLICT about values of this type in column "${lookup.column}" is not supported`,
      { hint: `Cast the value to the column's type, or to text.` },
    );
  }

  /** Finds whose the values are; `onDone` gets the rows by the shards that they go to, or an error. */
  resolve(backendsOf: BackendsOf, onDone: (result: Distribution | Buffer) => void): void {
    let questions: ReturnType<UniqueClaims['next']>;
    try {
      questions = this.claims.next();
    } catch (error) {
      if (!(error instanceof SqlError)) throw error;
      onDone(errorBytes(error));
      return;
    }
    if (questions === null) onDone(this.distributed());
    else if (questions === 'restless') onDone(restlessError());
    else {
      this.ask(questions, backendsOf, (error) => {
        if (error === null) this.resolve(backendsOf, onDone);
        else onDone(error);
      });
    }
  }

  /** Asks one shard after the other. */
  private ask(
    questions: readonly Question[],
    backendsOf: BackendsOf,
    onDone: (error: Buffer | null) => void,
  ): void {
    const [question, ...rest] = questions;
    if (question === undefined) {
      onDone(null);
      return;
    }
    const { session, claims, destination } = this;
    askOn(session, backendsOf, question, (answered) => {
      if (!answered.ok) {
        onDone(withoutPosition(answered.error, 0, answered.error.length));
        return;
      }
      const [claimed, found] = answered.results.map(textRows);
      if (claims.take(claimed!, found!, destination.keyspace)) this.ask(rest, backendsOf, onDone);
      else onDone(errorBytes(otherLookup(this.claim.lookup)));
    });
  }

  private distributed(): Distribution {
    const { destination, rows, claims, all } = this;
    const { shards } = destination.keyspace;
    const placeOf = (row: number): number => {
      const found = claims.of(row);
      if (found === null) return rows[row]!.place;
      return typeof found === 'number' ? placeOf(found) : shards.indexOf(found);
    };
    rows.forEach(({ message }, index) => {
      all.put(message, 0, message.length, placeOf(index));
    });
    return all;
  }

  /** These backends are about to write: what they tell of rows is looked at until `release`. */
  watch(backends: readonly BackendConnection[]): () => void {
    const { session, claim, destination } = this;
    const { topology } = session.context.config;
    const idOf = keyIds(ownerOf(claim.lookup, topology), session.planning.planner.catalog);
    const before = backends.map(({ lookups }) => lookups);
    this.strays = backends.map((backend, at) => {
      const stray = new StrayRows(before[at]!, claim.lookup, (key) => {
        const { hi, lo } = idFromSigned(idOf(key));
        return destination.keyspace.shardOf(hi, lo).index === backend.shard.index;
      });
      backend.lookups = stray;
      return stray;
    });
    return () => {
      backends.forEach((backend, at) => {
        backend.lookups = before[at]!;
      });
    };
  }

  /** Gives the claims up behind what was written; `onDone` gets the statement's outcome. */
  release(backendsOf: BackendsOf, outcome: Outcome, onDone: (outcome: Outcome) => void): void {
    if (outcome.ok && this.strays.some(({ found }) => found)) {
      onDone({ ok: false, error: strayError(this.claim) });
      return;
    }
    const next = ([first, ...rest]: readonly LookupStatement[]): void => {
      if (!outcome.ok || first === undefined) {
        onDone(outcome);
        return;
      }
      askOn(this.session, backendsOf, { shard: first.shard, texts: [first.sql] }, (answered) => {
        if (answered.ok) next(rest);
        else onDone({ ok: false, error: answered.error });
      });
    };
    next(outcome.ok ? this.claims.releases() : []);
  }
}

function askOn(
  session: Session,
  backendsOf: BackendsOf,
  { shard, texts }: { readonly shard: Shard; readonly texts: readonly string[] },
  onDone: (answered: Answered) => void,
): void {
  const [backend] = backendsOf([shard]);
  const loss = lossOf([backend!]);
  if (loss === null) askForRows(session, backend!, texts, onDone);
  else onDone(loss);
}

function restlessError(): Buffer {
  return errorBytes(
    sqlError(
      'object_not_in_prerequisite_state',
      'could not find a row that others insert and delete',
      {
        hint: 'Try again.',
      },
    ),
  );
}

/** The row that has a value was gone, or a row with an equal value met another constraint. */
function strayError({ lookup }: UniqueClaim): Buffer {
  return errorBytes(
    sqlError(
      'feature_not_supported',
      `rows with equal values of "${lookup.table}.${lookup.column}" in one INSERT, of which some meet rows of other values, are not supported`,
      { hint: 'Insert them one by one, or try again.' },
    ),
  );
}
