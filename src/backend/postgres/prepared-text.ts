import { FIRST_USER_OID } from '../../keyspace/type-oids.js';
import type { Writer } from '../../protocol/writer.js';
import { Frontend } from '../../protocol/codes.js';
import type { OidMap } from '../oids/oid-map.js';
import { namesUserTypes, parseRestFor } from '../oids/oid-messages.js';

/**
 * One statement text with its parameter types, shared by all clients that prepared the same: a backend parses it once
 * under one name, whoever executes it.
 */
export interface PreparedText {
  /** The name it has on every backend that knows it. */
  readonly name: Buffer;
  /** A Parse message's content behind the name: text, zero byte, parameter types. */
  readonly parseRest: Buffer;
  /** A user's type is among the parameter types, by the OID of the catalog shard. */
  readonly namesUserTypes: boolean;
  /** A backend has accepted this text, so a later Parse of it can be answered at once. */
  validated: boolean;
  /** Times that it was bound without a name, in a batch; below zero: it must not have one. */
  unnamedUses: number;
  /** What clients have been told of it; null: none has asked. */
  described: Description | null;
}

/** The messages of a statement's description. */
export interface Description {
  /** Null: only a portal has been described. */
  readonly parameters: Buffer | null;
  /** Null: NoData. */
  readonly rows: Buffer | null;
  /** Binary values of the rows may have OIDs of users' types in them. */
  readonly holdsOids: boolean;
}

/** A client's text, kept, and the PreparedText that it shares with others. */
export interface KnownText {
  readonly text: Buffer;
  /** Of the settings under which servers read it. */
  readonly meaningKey: string;
  readonly prepared: PreparedText;
}

/** Texts remembered over all clients; older ones are forgotten (and parsed again when needed). */
const TEXTS_MAX = 10_000;
/** Together they take some three times as much. A text that is larger holds values, and will hardly come again. */
const TEXTS_BYTES_MAX = 32 * 1024 * 1024;
const TEXT_BYTES_MAX = 64 * 1024;

/** Finds the shared PreparedText of a text. Keys carry everything that changes what a text means. */
export class PreparedTexts {
  private readonly byKey = new Map<string, PreparedText>();
  /** Of the keys. */
  private bytes = 0;
  private nextId = 1;
  /** By the plan of a text without literals: neither copied nor looked up by its bytes again. */
  readonly ofPlan = new WeakMap<object, KnownText>();

  /** `context` names the schema version, search path and the like. `parseRest` is copied when the text is new. */
  intern(parseRest: Buffer, context: string): PreparedText {
    if (parseRest.length > TEXT_BYTES_MAX) return this.unshared(parseRest);
    const key = `${context}\0${parseRest.toString('latin1')}`;
    const known = this.byKey.get(key);
    if (known !== undefined) return known;
    const text = this.unshared(parseRest);
    this.byKey.set(key, text);
    this.bytes += key.length;
    if (this.byKey.size > TEXTS_MAX || this.bytes > TEXTS_BYTES_MAX) this.forgetOldest();
    return text;
  }

  private forgetOldest(): void {
    for (const key of this.byKey.keys()) {
      if (this.byKey.size <= TEXTS_MAX && this.bytes <= TEXTS_BYTES_MAX) return;
      this.byKey.delete(key);
      this.bytes -= key.length;
    }
  }

  /** One that no other client's Parse finds; `parseRest` is copied. */
  unshared(parseRest: Buffer): PreparedText {
    return {
      name: Buffer.from(`sg_${(this.nextId++).toString(36)}`, 'latin1'),
      parseRest: Buffer.from(parseRest),
      namesUserTypes: namesUserTypes(parseRest),
      validated: false,
      unnamedUses: 0,
      described: null,
    };
  }
}

/** A text that is used once, as the unnamed statement. */
export function unnamedText(
  text: Uint8Array | string,
  paramTypes: readonly number[],
): PreparedText {
  const bytes = typeof text === 'string' ? Buffer.from(text) : text;
  const rest = Buffer.alloc(bytes.length + 3 + 4 * paramTypes.length);
  rest.set(bytes);
  rest.writeUInt16BE(paramTypes.length, bytes.length + 1);
  paramTypes.forEach((oid, i) => rest.writeUInt32BE(oid, bytes.length + 3 + 4 * i));
  return {
    name: NO_NAME,
    parseRest: rest,
    namesUserTypes: paramTypes.some((oid) => oid >= FIRST_USER_OID),
    validated: false,
    unnamedUses: 0,
    described: null,
  };
}

const NO_NAME: Buffer = Buffer.alloc(0);

/**
 * Writes `Parse` of the text under `name` (empty: the unnamed statement), with the types that the
 * shard of these OIDs has.
 */
export function writeParse(
  writer: Writer,
  name: Buffer,
  text: PreparedText,
  oids: OidMap | null,
): void {
  const { parseRest } = text;
  const rest = oids !== null && text.namesUserTypes ? parseRestFor(parseRest, oids) : parseRest;
  writer.begin(Frontend.parse).bytes(name).byte(0).bytes(rest).end();
}
