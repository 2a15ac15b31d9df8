import { WireClient } from './wire-client.js';
import { errorFields, rowFields, rowValues, texts, type WireMessage } from './wire-messages.js';

/** How a statement is sent: Query; or Parse to Execute with all results as text, or as binary. */
export type Protocol = 'simple' | 'text' | 'binary' | Tangled;
export const protocols = ['simple', 'text', 'binary'] as const;

/** As text: some rows of a portal at a time; a named statement that runs twice, first with NULLs. */
export type Tangled = 'slices' | 'twice';
export const tangled: readonly Tangled[] = ['slices', 'twice'];
/** Rows of an Execute; 0: all that are left. */
const SLICES = [3, 1, 7, 0];

/** A parameter; its value in text format, or as bytes in binary format. */
export interface SelectParameter {
  readonly value: string | Buffer | null;
  /** 0: as the server finds it. */
  readonly type: number;
}

/** What a client sees of one statement, fit for comparing two servers. */
export interface SelectOutcome {
  /** `name type modifier size` of each; types made by users have other OIDs on each server. */
  readonly columns: readonly string[];
  /** Values byte for byte, as latin1 text. */
  readonly rows: readonly (readonly (string | null)[])[];
  readonly tag: string | null;
  readonly error: SelectError | null;
}

export interface SelectError {
  readonly state: string;
  readonly message: string;
  readonly hint: string | null;
}

/** FirstNormalObjectId */
const FIRST_USER_OID = 16384;
const ANSWER_MS = 60_000;
/** A random join may give more rows than this process can hold. */
const ANSWER_BYTES_MAX = 16 * 1024 * 1024;
/** The state of the error that stands for such an answer. */
export const TOO_LARGE = 'large';
/** Where the OID of the element type stands in a binary array. */
const ELEMENT_OID_AT = 8;
/** No test server has made more objects; what is larger is text. */
const ELEMENT_OID_MAX = 2 ** 24;
const FLOAT4 = 700;
const FLOAT8 = 701;

/** A session that sends SELECTs in every way there is. A lost connection is an error of state `lost`. */
export class SelectSession {
  readonly #port: number;
  readonly #database: string;
  #client: WireClient;

  private constructor(port: number, database: string, client: WireClient) {
    this.#port = port;
    this.#database = database;
    this.#client = client;
  }

  /** @param url of which only port and database count */
  static async open(url: string): Promise<SelectSession> {
    const { port, pathname } = new URL(url);
    const database = pathname.slice(1);
    const client = await WireClient.login({ port: Number(port), database });
    return new SelectSession(Number(port), database, client);
  }

  close(): void {
    this.#client.terminate();
  }

  async run(
    sql: string,
    protocol: Protocol = 'simple',
    params: readonly SelectParameter[] = [],
  ): Promise<SelectOutcome> {
    const client = this.#client;
    if (protocol === 'simple') {
      client.query(sql);
    } else {
      this.#send(sql, protocol, params);
    }
    try {
      const messages = await this.#answer();
      if (messages !== null) return outcome(messages);
      await this.#connectAnew();
      return failure(TOO_LARGE, `more than ${ANSWER_BYTES_MAX} bytes`);
    } catch (error) {
      await this.#connectAnew();
      return failure('lost', error instanceof Error ? error.message : String(error));
    }
  }

  #send(
    sql: string,
    protocol: Exclude<Protocol, 'simple'>,
    params: readonly SelectParameter[],
  ): void {
    const client = this.#client;
    const values = params.map(({ value }) => value);
    const formats = params.map(({ value }) => (Buffer.isBuffer(value) ? 1 : 0));
    const resultFormats = [protocol === 'binary' ? 1 : 0];
    const statement = protocol === 'twice' ? 'twice' : '';
    if (protocol === 'twice') client.closeNamed('S', statement);
    client.parse(
      sql,
      statement,
      params.map(({ type }) => type),
    );
    if (protocol === 'twice') {
      client.bind({ statement, values: values.map(() => null) });
      client.execute();
    }
    client.bind({ statement, values, formats, resultFormats });
    client.describe('P');
    for (const rows of protocol === 'slices' ? SLICES : [0]) client.execute('', rows);
    client.sync();
  }

  /** Null: it is too large. */
  async #answer(): Promise<WireMessage[] | null> {
    const messages: WireMessage[] = [];
    for (let bytes = 0; bytes < ANSWER_BYTES_MAX;) {
      const message = await this.#client.next(ANSWER_MS);
      messages.push(message);
      if (message.type === 'Z') return messages;
      bytes += message.body.length;
    }
    return null;
  }

  async #connectAnew(): Promise<void> {
    this.#client.destroy();
    this.#client = await WireClient.login({ port: this.#port, database: this.#database });
  }

  /** Columns as Parse and Describe tell them, in text format. */
  async describe(sql: string): Promise<readonly string[]> {
    this.#client.parse(sql);
    this.#client.describe('S');
    this.#client.sync();
    return outcome(await this.#client.until('Z', ANSWER_MS)).columns;
  }

  /** Runs what must succeed. */
  async must(sql: string): Promise<void> {
    const { error } = await this.run(sql);
    if (error !== null) throw new Error(`${error.state} ${error.message}: ${sql}`);
  }
}

function failure(state: string, message: string): SelectOutcome {
  return { columns: [], rows: [], tag: null, error: { state, message, hint: null } };
}

function outcome(messages: readonly WireMessage[]): SelectOutcome {
  let columns: string[] = [];
  let types: number[] = [];
  let binary = false;
  const rows: (string | null)[][] = [];
  const tags: string[] = [];
  let error: SelectError | null = null;
  for (const message of messages) {
    if (message.type === 'T') {
      const fields = rowFields(message);
      types = fields.map(({ typeOid }) => typeOid);
      binary = fields.some(({ format }) => format === 1);
      columns = fields.map(({ name, typeOid, typeModifier, typeSize, format }) => {
        const type = typeOid >= FIRST_USER_OID ? 'user' : typeOid;
        return `${name} ${type} ${typeModifier} ${typeSize} ${format}`;
      });
    } else if (message.type === 'D') {
      const values = rowValues(message);
      rows.push(values.map((value, i) => (binary ? comparable(value, types[i]!) : asText(value))));
    } else if (message.type === 'C') {
      tags.push(texts(message)[0] ?? '');
    } else if (message.type === 's') {
      tags.push('more');
    } else if (message.type === 'E') {
      const { C = '', M = '', H = null } = errorFields(message);
      error = { state: C, message: M, hint: H };
    }
  }
  return { columns, rows, tag: tags.length === 0 ? null : tags.join(', '), error };
}

function asText(value: Buffer | null): string | null {
  return value?.toString('latin1') ?? null;
}

/**
 * Arrays of a user's type tell the OID of the elements, which each server gives by itself. A NaN
 * has a sign that nobody sees, which depends on the order of an addition.
 */
function comparable(value: Buffer | null, type: number): string | null {
  if (value === null) return null;
  if (type === FLOAT8 && Number.isNaN(value.readDoubleBE())) return 'NaN';
  if (type === FLOAT4 && Number.isNaN(value.readFloatBE())) return 'NaN';
  if (type < FIRST_USER_OID || value.length < ELEMENT_OID_AT + 4) return asText(value);
  const element = value.readUInt32BE(ELEMENT_OID_AT);
  if (element < FIRST_USER_OID || element > ELEMENT_OID_MAX) return asText(value);
  const copy = Buffer.from(value);
  copy.writeUInt32BE(0, ELEMENT_OID_AT);
  return asText(copy);
}
