import { setImmediate as turn } from 'node:timers/promises';
import { expect } from 'vitest';
import { WireClient, type WireOptions } from './wire-client.js';
import {
  errorFields,
  NO_NAMES,
  summaryWith,
  type OidNames,
  type WireMessage,
} from './wire-messages.js';

/** How bytes reach the server: one write per message, all in one, or each byte on its own. */
export type Delivery = 'whole' | 'coalesced' | 'bytes';
export const deliveries: readonly Delivery[] = ['whole', 'coalesced', 'bytes'];

export interface PairOptions {
  readonly delivery?: Delivery;
  /** How many ReadyForQuery the bytes are answered with; default 1. */
  readonly syncs?: number;
  /** Compare only the SQLSTATE and severity of errors and notices, where our words are better or Postgres's longer. */
  readonly codesOnly?: boolean;
  /** Rows of one answer may come in any order. */
  readonly unordered?: boolean;
  /** Columns of the proxy's answer may be of no table, since a server has them from elsewhere. */
  readonly tableless?: boolean;
}

/** A byte-level session on the proxy and one on the oracle, given the same bytes. */
export class WirePair {
  readonly proxy: WireClient;
  readonly oracle: WireClient;

  private constructor(proxy: WireClient, oracle: WireClient) {
    this.proxy = proxy;
    this.oracle = oracle;
  }

  static async open(
    proxyPort: number,
    oraclePort: number,
    options: Omit<WireOptions, 'port'>,
  ): Promise<WirePair> {
    const [proxy, oracle] = await Promise.all([
      WireClient.login({ ...options, port: proxyPort }),
      WireClient.login({ ...options, port: oraclePort }),
    ]);
    return new WirePair(proxy, oracle);
  }

  close(): void {
    this.proxy.terminate();
    this.oracle.terminate();
  }

  /**
   * Sends the same to both and compares every message up to the last ReadyForQuery: types, rows, descriptions, tags,
   * error fields, transaction states. Returns the proxy's.
   */
  async expectSame(
    write: (client: WireClient) => void,
    options: PairOptions = {},
  ): Promise<WireMessage[]> {
    const { syncs = 1 } = options;
    const read = async (client: WireClient): Promise<WireMessage[]> => {
      await deliver(client, write, options.delivery ?? 'whole');
      const messages: WireMessage[] = [];
      for (let i = 0; i < syncs; i++) messages.push(...(await client.until('Z')));
      return messages;
    };
    const [proxy, oracle] = await Promise.all([read(this.proxy), read(this.oracle)]);
    const [ours, theirs] = [proxy, oracle].map((messages) => {
      const lines = summaries(messages, options);
      return options.tableless === true ? lines.map(withoutTables) : lines;
    });
    expect(ours).toEqual(theirs);
    return proxy;
  }
}

async function deliver(
  client: WireClient,
  write: (client: WireClient) => void,
  delivery: Delivery,
): Promise<void> {
  const messages: Buffer[] = [];
  const send = client.send.bind(client);
  client.send = (...bytes) => {
    messages.push(...bytes);
  };
  try {
    write(client);
  } finally {
    client.send = send;
  }
  await deliverMessages(client, messages, delivery);
}

/** Sends messages in one of the ways. */
export async function deliverMessages(
  client: WireClient,
  messages: readonly Buffer[],
  delivery: Delivery,
): Promise<void> {
  if (delivery === 'whole') {
    for (const message of messages) client.send(message);
    return;
  }
  const bytes = Buffer.concat(messages);
  if (delivery === 'coalesced') {
    client.send(bytes);
    return;
  }
  for (let i = 0; i < bytes.length; i++) {
    client.send(bytes.subarray(i, i + 1));
    await turn();
  }
}

/** The message types in a row, as `1 2 T D C Z` without the blanks. */
export function typesOf(messages: readonly WireMessage[]): string {
  return messages.map((message) => message.type).join('');
}

/** SQLSTATEs of the errors among messages. */
export function sqlStates(messages: readonly WireMessage[]): string[] {
  return messages
    .filter((message) => message.type === 'E')
    .map((message) => errorFields(message)['C'] ?? '');
}

/** One line a message; `unordered`: rows that follow each other are sorted. */
export function summaries(
  messages: readonly WireMessage[],
  options: Pick<PairOptions, 'codesOnly' | 'unordered'>,
  names: OidNames = NO_NAMES,
): string[] {
  const lines: string[] = [];
  let rows: string[] = [];
  for (const message of messages) {
    const isShort = options.codesOnly === true && /[EN]/.test(message.type);
    const line = isShort ? shortSummary(message) : summaryWith(names, message);
    if (message.type === 'D' && options.unordered === true) {
      rows.push(line);
      continue;
    }
    lines.push(...rows.sort(), line);
    rows = [];
  }
  return [...lines, ...rows.sort()];
}

/** A line of a description without the tables that its columns are of. */
export function withoutTables(line: string): string {
  return line.replace(/"tableOid":[^,]+,"columnNumber":\d+,/g, '');
}

function shortSummary(message: WireMessage): string {
  const { S, C } = errorFields(message);
  return `${message.type} ${S ?? ''} ${C ?? ''}`;
}
