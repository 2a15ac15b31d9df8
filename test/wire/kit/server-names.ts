import { WireClient } from '../../support/wire-client.js';
import {
  parameterTypes,
  rowFields,
  rowTexts,
  type OidNames,
  type WireMessage,
} from '../../support/wire-messages.js';

/** OIDs below are the same on every server (FirstNormalObjectId). */
const FIRST_USER_OID = 16_384;

/** What one server's catalog calls the OIDs in its messages, as a client of it sees them. */
export class ServerNames implements OidNames {
  private readonly client: WireClient;
  private tables = new Map<number, string>();
  private types = new Map<number, string>();

  private constructor(client: WireClient) {
    this.client = client;
  }

  static async open(port: number, database: string): Promise<ServerNames> {
    return new ServerNames(await WireClient.login({ port, database }));
  }

  close(): void {
    this.client.terminate();
  }

  table(oid: number): string {
    return name(this.tables, oid);
  }

  type(oid: number): string {
    return name(this.types, oid);
  }

  /** Looks up what is new in these messages; what is dropped by now has no name. */
  async learn(messages: readonly WireMessage[]): Promise<void> {
    const fields = messages.filter(({ type }) => type === 'T').flatMap(rowFields);
    const parameters = messages.filter(({ type }) => type === 't').flatMap(parameterTypes);
    const types = [...fields.map(({ typeOid }) => typeOid), ...parameters];
    this.tables = await this.complete(
      this.tables,
      'regclass',
      fields.map(({ tableOid }) => tableOid),
    );
    this.types = await this.complete(this.types, 'regtype', types);
  }

  private async complete(
    known: Map<number, string>,
    catalog: 'regclass' | 'regtype',
    oids: readonly number[],
  ): Promise<Map<number, string>> {
    if (oids.every((oid) => oid < FIRST_USER_OID || known.has(oid))) return known;
    const table = catalog === 'regclass' ? 'pg_class' : 'pg_type';
    this.client.query(
      `SELECT oid, oid::${catalog} FROM pg_catalog.${table} WHERE oid >= ${FIRST_USER_OID}`,
    );
    const rows = (await this.client.until('Z')).filter(({ type }) => type === 'D').map(rowTexts);
    return new Map(rows.map(([oid, text]) => [Number(oid), text!]));
  }
}

function name(names: ReadonlyMap<number, string>, oid: number): string {
  return oid < FIRST_USER_OID ? String(oid) : (names.get(oid) ?? 'gone');
}
