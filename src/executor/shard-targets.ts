import { sqlError, type SqlError } from '../errors/sql-error.js';
import { KeyspaceIdCell, type KeyspaceId } from '../keyspace/keyspace-id.js';
import { eachShardOf } from '../keyspace/shard-spans.js';
import { byIndex, type Keyspace, type Shard } from '../keyspace/topology.js';
import {
  ASK,
  INVALID,
  MAPPED,
  NO_MATCH,
  NO_SHARD,
  UNREADABLE,
  type KeyMapper,
  type MapOutcome,
} from '../keyspace/vindex.js';
import type { ColumnTerm, KeyTerm, TupleTerm } from '../planner/plan.js';
import { Frontend } from '../protocol/codes.js';
import { BindLayout } from '../protocol/frontend-messages.js';
import { Writer } from '../protocol/writer.js';
import { literalValue, type LiteralText } from '../sql/literal-value.js';
import type { Literals } from '../sql/literals.js';
import { forEachArrayElement } from './array-elements.js';
import { eachCombination } from './combinations.js';
import { directoryMiss } from './directories/directory-miss.js';
import { invalidKeyError } from './invalid-keys.js';

/**
 * Where the values of one execution are: the text whose literals its plan counts, and the Bind message where there is
 * one. A session has one that is pointed at each message in turn; what outlives the message has its own.
 */
export class ValueSource {
  text: Uint8Array = NO_BYTES;
  textStart = 0;
  literals!: Literals;
  /** Null: a simple query, which has no parameters. */
  bind: Buffer | null = null;
  readonly layout: BindLayout;

  constructor(layout = new BindLayout()) {
    this.layout = layout;
  }

  /** One of its own. `bind`: a Bind message from behind the statement's name; null: there are no parameters. */
  static of({ sql, literals }: CountedText, bind: Buffer | null): ValueSource {
    const values = new ValueSource();
    values.pointAt(sql, literals, null);
    if (bind !== null) values.readValues(bind);
    return values;
  }

  /** The same parameters, with the literals of another text. */
  inText({ sql, literals }: CountedText): ValueSource {
    const values = new ValueSource(this.layout);
    values.pointAt(sql, literals, this.bind);
    return values;
  }

  /** The values are those of a text, and of a Bind message where `bind` is one that `layout` is of. */
  pointAt(text: Uint8Array, literals: Literals, bind: Buffer | null): void {
    this.text = text;
    this.textStart = 0;
    this.literals = literals;
    this.bind = bind;
  }

  private readValues(rest: Buffer): void {
    const writer = new Writer(rest.length + 16);
    const message = writer.begin(Frontend.bind).byte(0).byte(0).bytes(rest).end().take();
    this.layout.read(message, 0, message.length);
    this.bind = message;
  }
}

const NO_BYTES = new Uint8Array(0);
const NO_SHARDS: readonly Shard[] = [];

/** A text, and where its literals are. */
export interface CountedText {
  readonly sql: Uint8Array;
  readonly literals: Literals;
}

/** Looks at some of the keys that statements name. */
export interface KeySampler {
  /** How many keys to pass by, until the one that `take` must be called for. */
  left: number;
  take(keyspace: Keyspace, term: KeyTerm, source: ValueSource): void;
}

/** The set of shards that key values lead to; reusable, allocates nothing for one shard. */
export class ShardTargets {
  /** In order of `Shard.index` once `resolve` is done. */
  shards: readonly Shard[] = NO_SHARDS;
  /** Lists of one shard, by its index: nearly every statement needs one. */
  private readonly singles: (readonly Shard[])[] = [];
  private several: Shard[] = [];
  private readonly id = new KeyspaceIdCell();
  private readonly value: LiteralText = { bytes: NO_BYTES, start: 0, end: 0 };
  private readonly sampler: KeySampler | null;

  /** `sampler` null: nobody looks at the keys. */
  constructor(sampler: KeySampler | null = null) {
    this.sampler = sampler;
  }

  /** Makes this the shards of all groups; false: several groups that do not agree on one and the same shard. */
  resolve(
    keyspace: Keyspace,
    groups: readonly (readonly KeyTerm[])[],
    source: ValueSource,
  ): boolean {
    if (groups.length === 1 && groups[0]!.length === 1) {
      const term = groups[0]![0]!;
      this.sample(keyspace, term, source);
      if (term.columns === undefined && term.source.kind !== 'paramArray') {
        this.setOne(this.shardOf(keyspace, term, source) ?? keyspace.shards[0]!);
        return true;
      }
    }
    const shards: Shard[] = [];
    this.several = shards;
    for (const group of groups) {
      for (const term of group) {
        if (!this.addTerm(keyspace, term, source)) {
          // One shard raises the error that one Postgres would raise for this value.
          this.setOne(keyspace.shards[0]!);
          return true;
        }
      }
    }
    // Nothing can match (NULL, an empty array, 5.5 on an integer): any shard gives the right answer.
    if (shards.length === 0) shards.push(keyspace.shards[0]!);
    if (shards.length > 1) shards.sort(byIndex);
    this.shards = shards;
    return groups.length === 1 || shards.length === 1;
  }

  /** The one shard that a key to be stored belongs to. Throws SqlError where it belongs to none. */
  forStoring(keyspace: Keyspace, term: KeyTerm, source: ValueSource): Shard {
    const { id } = this;
    this.sample(keyspace, term, source);
    if (term.columns === undefined) this.mapStored(term, source, id);
    else term.parts.combine(this.storedParts(term, source), id);
    return keyspace.shardOf(id.hi, id.lo);
  }

  /** The shards that rows may be on whose keys begin so. Throws SqlError as `forStoring` does. */
  forBeginning(keyspace: Keyspace, term: TupleTerm, source: ValueSource): readonly Shard[] {
    const found = new Set<Shard>();
    term.parts.eachSpan!(this.storedParts(term, source), (from, to) => {
      eachShardOf(keyspace, from, to, (shard) => found.add(shard));
    });
    return keyspace.shards.filter((shard) => found.has(shard));
  }

  private storedParts({ columns }: TupleTerm, source: ValueSource): KeyspaceId[] {
    return columns.map((values) => {
      const part = new KeyspaceIdCell();
      this.mapStored(values[0]!, source, part);
      return part;
    });
  }

  private sample(keyspace: Keyspace, term: KeyTerm, source: ValueSource): void {
    const { sampler } = this;
    if (sampler !== null && --sampler.left <= 0) sampler.take(keyspace, term, source);
  }

  /** Makes this one shard. */
  setOne(shard: Shard): void {
    const known = this.singles[shard.index];
    if (known?.[0] === shard) this.shards = known;
    else this.shards = this.singles[shard.index] = [shard];
  }

  /** Null: no shard in particular, since the value matches nothing or is not of its type. */
  private shardOf(keyspace: Keyspace, term: ColumnTerm, source: ValueSource): Shard | null {
    const outcome = this.mapTo(term, source, this.id);
    if (outcome === MAPPED) return keyspace.shardOf(this.id.hi, this.id.lo);
    if (term.stored === true && outcome !== INVALID) throw storeError(outcome, term);
    if (outcome === UNREADABLE || outcome === ASK) throw storeError(outcome, term);
    return null;
  }

  private mapStored(term: ColumnTerm, source: ValueSource, out: KeyspaceIdCell): void {
    const outcome = this.mapTo(term, source, out);
    if (outcome === INVALID) throw invalidKeyError(term, source);
    if (outcome !== MAPPED) throw storeError(outcome, term);
  }

  /** False: a value is not of its type. */
  private addTerm(keyspace: Keyspace, term: KeyTerm, source: ValueSource): boolean {
    const add = (): void => this.add(keyspace.shardOf(this.id.hi, this.id.lo));
    if (term.columns === undefined) return this.visitIds(term, source, add);
    if (!term.whole) {
      this.addBeginning(keyspace, term, source);
      return true;
    }
    const lists: KeyspaceId[][] = [];
    for (const terms of term.columns) {
      const ids: KeyspaceId[] = [];
      const take = (): void => void ids.push({ hi: this.id.hi, lo: this.id.lo });
      if (!terms.every((own) => this.visitIds(own, source, take))) return false;
      lists.push(ids);
    }
    const found = eachCombination(lists, (parts) => {
      term.parts.combine(parts, this.id);
      add();
    });
    if (!found) for (const shard of keyspace.shards) this.add(shard);
    return true;
  }

  /** Adds the shards of all keys that begin so: all shards where a value does not tell. */
  private addBeginning(
    keyspace: Keyspace,
    { columns, parts }: TupleTerm,
    source: ValueSource,
  ): void {
    const add = (shard: Shard): void => this.add(shard);
    const lists: KeyspaceId[][] = [];
    const told = columns.every((terms) => {
      const ids: KeyspaceId[] = [];
      lists.push(ids);
      const take = (): void => void ids.push({ hi: this.id.hi, lo: this.id.lo });
      return terms.every((term) => this.eachId(term, source, take) === MAPPED);
    });
    const found =
      told &&
      eachCombination(lists, (first) => {
        parts.eachSpan!(first, (from, to) => eachShardOf(keyspace, from, to, add));
      });
    if (!found) keyspace.shards.forEach(add);
  }

  /** False: the value is not of its type. Throws SqlError where it cannot be read, or not be stored. */
  private visitIds(term: ColumnTerm, source: ValueSource, visit: () => void): boolean {
    const outcome = this.eachId(term, source, visit);
    if (outcome !== MAPPED && outcome !== INVALID) throw storeError(outcome, term);
    return outcome === MAPPED;
  }

  /**
   * Calls back with each id in `this.id`. MAPPED: values that match nothing have been left out; else why one of them
   * cannot be mapped, or not be stored.
   */
  private eachId(term: ColumnTerm, source: ValueSource, visit: () => void): MapOutcome | -1 {
    if (term.source.kind === 'paramArray') return this.eachElement(term, source, visit);
    const outcome = this.mapTo(term, source, this.id);
    if (outcome === MAPPED) visit();
    else if (term.stored === true || LEAVES_OPEN.has(outcome)) return outcome;
    return MAPPED;
  }

  private eachElement(term: ColumnTerm, source: ValueSource, visit: () => void): MapOutcome {
    const { source: from, mapper } = term;
    const { bind, layout } = source;
    if (from.kind !== 'paramArray' || bind === null) return INVALID;
    const start = layout.valueStart[from.index] ?? -1;
    if (start < 0) return MAPPED;
    const binary = layout.isBinary(bind, from.index);
    let worst: MapOutcome = MAPPED;
    const whole = forEachArrayElement(
      bind,
      start,
      layout.valueEnd[from.index]!,
      binary,
      (bytes, elementStart, elementEnd) => {
        const outcome = binary
          ? mapper.binary(bytes, elementStart, elementEnd, this.id)
          : mapper.text(bytes, elementStart, elementEnd, this.id);
        if (outcome === MAPPED) visit();
        else if (LEAVES_OPEN.has(outcome) && worst === MAPPED) worst = outcome;
      },
    );
    return whole ? worst : INVALID;
  }

  private add(shard: Shard): void {
    if (!this.several.includes(shard)) this.several.push(shard);
  }

  /** Writes what the term's mapper makes of its value; NULL is NULL_VALUE. */
  mapTo(
    { source: from, mapper }: Pick<ColumnTerm, 'source' | 'mapper'>,
    source: ValueSource,
    out: KeyspaceIdCell,
  ): MapOutcome | -1 {
    switch (from.kind) {
      case 'param': {
        const { bind, layout } = source;
        const start = layout.valueStart[from.index] ?? -1;
        if (bind === null || from.index >= layout.valueCount) return INVALID;
        if (start < 0) return NULL_VALUE;
        const end = layout.valueEnd[from.index]!;
        return layout.isBinary(bind, from.index)
          ? mapper.binary(bind, start, end, out)
          : mapper.text(bind, start, end, out);
      }
      case 'literal': {
        const { value } = this;
        const readable = literalValue(
          source.text,
          source.textStart,
          source.literals,
          from.index,
          from.negative,
          value,
        );
        if (!readable) return UNREADABLE;
        return mapper.text(value.bytes, value.start, value.end, out);
      }
      case 'constant':
        if (from.bytes === null) return NULL_VALUE;
        return mapper.text(from.bytes, 0, from.bytes.length, out);
      case 'paramArray':
        return UNREADABLE;
    }
  }
}

export const NULL_VALUE = -1;

/** Outcomes that say nothing of where rows with the value are. */
const LEAVES_OPEN: ReadonlySet<MapOutcome | -1> = new Set([INVALID, UNREADABLE, ASK]);

/** Whether a server would say of a value to be stored that its column is too short for it. */
export function isTooLong(outcome: MapOutcome | -1, { limitedType }: KeyMapper): boolean {
  return outcome === NO_MATCH && limitedType !== undefined;
}

/** Why a valid value cannot be stored as a shard key; `outcome` -1 is NULL. */
export function storeError(
  outcome: MapOutcome | -1,
  { column, mapper }: Pick<ColumnTerm, 'column' | 'mapper'>,
): SqlError {
  if (outcome === NULL_VALUE) {
    return sqlError('feature_not_supported', `null value in shard key "${column}"`, {
      detail: 'A row without a shard key belongs to no shard.',
      hint: 'Give every row a shard key; declare the column NOT NULL.',
    });
  }
  if (isTooLong(outcome, mapper)) {
    return sqlError(
      'string_data_right_truncation',
      `value too long for type ${mapper.limitedType}`,
    );
  }
  if (outcome === NO_MATCH) {
    return sqlError(
      'feature_not_supported',
      `the value of shard key "${column}" would be rounded when it is stored`,
      { hint: 'Write the shard key exactly as its column stores it.' },
    );
  }
  if (outcome === NO_SHARD) {
    return sqlError('feature_not_supported', `no shard takes this value of shard key "${column}"`, {
      hint: 'Give it one: in the configuration of the vindex, or in a directory by MOVE on the console.',
    });
  }
  if (outcome === ASK) return directoryMiss(column);
  return unreadable(column);
}

function unreadable(column: string): SqlError {
  return sqlError(
    'feature_not_supported',
    `the value of shard key "${column}" depends on session settings or cannot be read by the proxy`,
    { hint: 'Write it in ISO form, for example 2024-01-31 12:00:00+00, or as a parameter.' },
  );
}
