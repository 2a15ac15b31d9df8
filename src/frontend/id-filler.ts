import { BindParts } from '../executor/bind-parts.js';
import type { BackendConnection } from '../backend/postgres/connection.js';
import { isSameMoment, slotsOf } from '../executor/fill-text.js';
import type { NewIdSource } from '../executor/ids/ids.js';
import { momentSql } from '../executor/ids/moment.js';
import { nextValuesSql } from '../executor/ids/sequence-values.js';
import type { FillPlan, FillSlot, IdSource } from '../planner/plan.js';
import { Frontend } from '../protocol/codes.js';
import { Writer } from '../protocol/writer.js';
import { sqlError } from '../errors/sql-error.js';
import { quoteQualified } from '../sql/quote.js';
import { askBackend } from './ask-backend.js';
import type { FilledStatement } from './client-statement.js';
import { boundValue, type BoundValue } from './bound-value.js';
import { sendSignal } from './process-signals.js';
import { sessionRows } from './session-rows.js';
import { SequenceMemory } from './sequence-memory.js';
import type { Session } from './session.js';
import { isReadOnly } from './shard-use.js';

/** Gives a session's statements the values that their texts lack. */
export class IdFiller {
  readonly sequences = new SequenceMemory();
  private readonly session: Session;
  private fetched: Fetched | null = null;
  /** The Bind message that is being handled, with its values. */
  private bound: Buffer | null = null;

  constructor(session: Session) {
    this.session = session;
  }

  /**
   * The values of one execution, in the order of the plan's slots; null: wait, the message is handled
   * again, and must keep what it gets. Throws SqlError where a value cannot be had.
   */
  valuesFor(plan: FillPlan): readonly string[] | null {
    return this.values(slotsOf(plan), plan.verb);
  }

  /**
   * The same for the slots themselves, of a statement with this verb. `bind`: the Bind message that the session's
   * layout is of.
   */
  values(
    slots: readonly FillSlot[],
    verb: string,
    bind: Buffer | null = null,
  ): readonly string[] | null {
    const { fetched, session } = this;
    const wishes = wishesOf(slots);
    if (fetched !== null) {
      this.fetched = null;
      // Else it was for a message that an error has made void.
      if (fetched.wanted === keyOf(wishes)) {
        if (fetched.error !== null) throw fetched.error;
        return this.inOrder(fetched.wishes, slots, bind);
      }
    }
    assertMayCount(session, wishes, verb);
    if (!this.joinFor(wishes)) return null;
    const { ids } = session.context;
    for (const wish of wishes) {
      if (this.ownBackend(wish) === null) wish.values = ids.take(wish.source, wish.places.length);
    }
    if (wishes.every(({ values }) => values !== null)) return this.inOrder(wishes, slots, bind);
    session.busy = true;
    const turn = ++session.turn;
    const goOn = (error: Error | null): void => {
      this.goOnWith({ wanted: keyOf(wishes), wishes, error }, turn);
    };
    void this.fetchAll(wishes).then(() => goOn(null), goOn);
    return null;
  }

  /** The Bind message in `buffer`, that the session's layout is of, with values behind the client's; null: wait. */
  bindMessage({ slots, verb }: FilledStatement, buffer: Buffer, end: number): Buffer | null {
    if (this.bound !== null) return this.bound;
    const values = this.values(slots, verb, buffer);
    if (values === null) return null;
    const { layout } = this.session.source;
    const rest = new BindParts(buffer.subarray(layout.restStart, end));
    const more = values.map((value) => Buffer.from(value));
    this.bound = new Writer(end - layout.portalStart + 32 * more.length)
      .begin(Frontend.bind)
      .bytes(buffer, layout.portalStart, layout.restStart)
      .bytes(rest.withValues(more, 'text'))
      .end()
      .take();
    return this.bound;
  }

  /** The Bind has been carried out, or will not be. */
  reset(): void {
    this.bound = null;
  }

  /** Values in the order of the slots; what currval asks for is what came before it. */
  private inOrder(
    wishes: readonly Wish[],
    slots: readonly FillSlot[],
    bind: Buffer | null,
  ): string[] {
    const { sequences, session } = this;
    const values = new Array<string>(slots.length);
    for (const wish of wishes) {
      wish.places.forEach((place, index) => {
        values[place] = wish.values![index]!;
      });
    }
    slots.forEach(({ source }, place) => {
      if (source.kind === 'sequence') sequences.note(source.name, values[place]!);
      else if (source.kind === 'lastval') values[place] = sequences.lastval();
      else if (source.kind === 'currval') {
        values[place] = sequences.currval(source.name, source.bareName);
      } else if (source.kind === 'currvalOf') {
        values[place] = this.currvalOf(boundValue(session.source, bind, source.index));
      } else if (source.kind === 'channels') values[place] = session.listening.channelArray();
      else if (source.kind === 'preparedStatements' || source.kind === 'cursors') {
        values[place] = sessionRows(session, source, bind);
      } else if (source.kind === 'ownPid') values[place] = String(session.listening.pid);
      else if (source.kind === 'signal') values[place] = sendSignal(session, source, bind);
    });
    return values;
  }

  /** Where there is no such sequence, the shard that runs the statement says so. */
  private currvalOf(named: BoundValue | null): string {
    if (named?.binary === true) {
      throw sqlError('feature_not_supported', 'currval of an OID is not supported', {
        hint: 'Give the name of the sequence as text.',
      });
    }
    const text = named?.bytes.toString('utf8') ?? '';
    const sequence = this.session.planning.sequenceNamed(text);
    if (sequence === null) return '0';
    const { schema, name } = sequence;
    return this.sequences.currval(quoteQualified(schema, name), name);
  }

  private async fetchAll(wishes: readonly Wish[]): Promise<void> {
    const { session } = this;
    for (const wish of wishes) {
      const count = wish.places.length;
      const backend = this.ownBackend(wish);
      if (backend === null) {
        // Outside of a transaction both of its times are one.
        const other = wishes.find(({ source, values }) => values !== null && isBoth(source, wish));
        if (other !== undefined) wish.values = [other.values![0]!];
        wish.values ??= await session.context.ids.fetch(wish.source, count);
      } else if (wish.source.kind === 'sequence') {
        const sql = nextValuesSql(wish.source.name, count, 0);
        const [rows] = await askBackend(session, backend, [sql]);
        wish.values = rows!.map(([value]) => value!);
      } else if (wish.source.kind === 'moment') {
        const [rows] = await askBackend(session, backend, [momentSql(wish.source)]);
        wish.values = new Array<string>(count).fill(rows![0]![0]!);
      }
    }
  }

  /** A transaction of which the time is wanted begins on some shard, if it has on none; false: wait. */
  private joinFor(wishes: readonly Wish[]): boolean {
    const { session } = this;
    const { work, context } = session;
    if (!work.explicit || work.participants.length > 0) return true;
    for (const { source } of wishes) {
      if (source.kind !== 'moment') continue;
      const { topology } = context.config;
      const shards = source.shards.length > 0 ? source.shards : topology.shards;
      return session.lease(session.leases.pickAny(shards)) !== null;
    }
    return true;
  }

  /**
   * A transaction that has changed the schema may have made the sequence: only itself sees it then.
   * Its time is that of the first server that has joined it.
   */
  private ownBackend({ source }: Wish): BackendConnection | null {
    const { catalogStale, work } = this.session;
    if (source.kind === 'moment') return work.participants[0] ?? null;
    return catalogStale && source.kind === 'sequence' ? work.participant(source.shard) : null;
  }

  private goOnWith(fetched: Fetched, turn: number): void {
    const { session } = this;
    // The message may have become void by an error of an earlier one.
    if (session.over || turn !== session.turn) return;
    this.fetched = fetched;
    session.busy = false;
    session.operation = null;
    session.pump();
  }
}

interface Fetched {
  readonly wanted: string;
  readonly wishes: readonly Wish[];
  readonly error: Error | null;
}

/** What a statement wants of one source. */
interface Wish {
  readonly source: NewIdSource;
  readonly places: number[];
  values: readonly string[] | null;
}

/** Whether a value is made anew. */
export function isMade(source: IdSource): source is NewIdSource {
  const { kind } = source;
  return ['snowflake', 'uuidv4', 'uuidv7', 'sequence', 'moment'].includes(kind);
}

/** Throws SqlError 25006 where the transaction may not take values of sequences, or not write in the first place. */
function assertMayCount(session: Session, wishes: readonly Wish[], verb: string): void {
  const { work } = session;
  if (!work.explicit || !wishes.some(({ source }) => source.kind === 'sequence')) return;
  if (!isReadOnly(session)) return;
  const what = WRITING_VERBS.has(verb) ? verb.toUpperCase() : 'nextval()';
  const message = `cannot execute ${what} in a read-only transaction`;
  throw sqlError('read_only_sql_transaction', message);
}

/** Which a server looks at before it computes anything. */
const WRITING_VERBS: ReadonlySet<string> = new Set(['insert', 'update', 'delete', 'merge']);

function wishesOf(slots: readonly FillSlot[]): Wish[] {
  const wishes: Wish[] = [];
  slots.forEach(({ source }, place) => {
    if (!isMade(source)) return;
    const known = wishes.find(
      (wish) => wish.source === source || isSameMoment(wish.source, source),
    );
    if (known === undefined) wishes.push({ source, places: [place], values: null });
    else known.places.push(place);
  });
  return wishes;
}

function isBoth(source: IdSource, other: Wish): boolean {
  return source.kind === 'moment' && other.source.kind === 'moment';
}

/** Equal for equal wishes; a statement that is planned again has other objects. */
function keyOf(wishes: readonly Wish[]): string {
  return wishes.map(({ source, places }) => JSON.stringify([source, places])).join();
}
