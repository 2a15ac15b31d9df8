import { connect } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { cancelRequest, sync } from '../../support/frontend-bytes.js';
import { WireClient } from '../../support/wire-client.js';
import { cstring, errorFields, texts, type WireMessage } from '../../support/wire-messages.js';
import { deliverMessages, summaries, type Delivery } from '../../support/wire-pair.js';
import type { ServerNames } from './server-names.js';
import type { CancelKey, Step, Story } from './story.js';

/** A server that stories are told to. */
export interface WireServer {
  readonly port: number;
  readonly database: string;
  readonly names: ServerNames;
}

/**
 * Tells a story to one server. What came back is a transcript, a line a message, in which two servers must agree.
 * Not in it: F, L and R of errors (the server's source), process ids and secrets, numbers of OIDs (the names that they
 * stand for are). What does not come in time is a line too, so that a difference shows what both did.
 */
export async function play(
  story: Story,
  server: WireServer,
  delivery: Delivery,
): Promise<string[]> {
  const player = new Player(story, server, delivery);
  try {
    await player.run('A', story.steps);
  } finally {
    player.end();
  }
  return player.transcript();
}

/** Answers to several Syncs in a row, more than sessions hold. */
const SETTLED = 'ZZZZ';

interface Actor {
  readonly client: WireClient;
  /** Process id and secret; null: not logged in. */
  readonly key: Buffer | null;
}

type Entry = string | { readonly client: string; readonly messages: readonly WireMessage[] };

class Player {
  private readonly story: Story;
  private readonly server: WireServer;
  private readonly delivery: Delivery;
  private readonly actors = new Map<string, Actor>();
  private readonly entries: Entry[] = [];

  constructor(story: Story, server: WireServer, delivery: Delivery) {
    this.story = story;
    this.server = server;
    this.delivery = delivery;
  }

  end(): void {
    for (const { client } of this.actors.values()) client.destroy();
  }

  async transcript(): Promise<string[]> {
    const { names } = this.server;
    const lines: string[] = [];
    for (const entry of this.entries) {
      if (typeof entry === 'string') {
        lines.push(entry);
        continue;
      }
      await names.learn(entry.messages);
      const { anyOrder, anyContext, codesOnly } = this.story;
      const own = entry.messages
        .map((message) => this.withoutPid(message))
        .map((message) => (anyContext ? withoutContext(message) : message));
      for (const line of summaries(own, { unordered: anyOrder, codesOnly }, names)) {
        lines.push(`${entry.client} ${line}`);
      }
    }
    return lines;
  }

  async run(name: string, steps: readonly Step[]): Promise<void> {
    for (const step of steps) {
      if (step.kind === 'by') await this.run(step.client || name, step.steps);
      else await this.play(name, step);
    }
  }

  private async play(name: string, step: Exclude<Step, { kind: 'by' }>): Promise<void> {
    const { client, key } = await this.actor(name);
    switch (step.kind) {
      case 'send':
        await deliverMessages(client, step.messages, this.delivery);
        return;
      case 'read':
        await this.read(name, client, step.type, step.count);
        return;
      case 'settle':
        await deliverMessages(client, [sync(), sync(), sync(), sync()], this.delivery);
        await this.readUntil(name, client, (last) => last.endsWith(SETTLED), 'the end of answers');
        return;
      case 'byte':
        this.entries.push(`${name} byte ${await client.nextByte()}`);
        return;
      case 'closed':
        await this.readToEnd(name, client);
        return;
      case 'silence':
        this.entries.push(`${name} silent: ${await client.silentFor(step.ms)}`);
        return;
      case 'pause':
        await sleep(step.ms);
        return;
      case 'vanish':
        client.destroy();
        return;
      case 'cancel':
        this.entries.push(`${name} cancel answered by ${await this.cancel(key!, step.key)} bytes`);
    }
  }

  private read(name: string, client: WireClient, type: string, count: number): Promise<void> {
    let missing = count;
    const isLast = (types: string): boolean => types.endsWith(type) && --missing === 0;
    return this.readUntil(name, client, isLast, type);
  }

  /** @param isLast asked behind each message, with the types of the last ones */
  private async readUntil(
    name: string,
    client: WireClient,
    isLast: (types: string) => boolean,
    what: string,
  ): Promise<void> {
    const messages: WireMessage[] = [];
    let types = '';
    let problem = '';
    do {
      try {
        const message = await client.next(this.story.patienceMs);
        messages.push(message);
        types = (types + message.type).slice(-SETTLED.length);
      } catch (error) {
        problem = (error as Error).message;
      }
    } while (problem === '' && !isLast(types));
    this.entries.push({ client: name, messages });
    if (problem !== '') this.entries.push(`${name} waits for ${what}: ${problem}`);
  }

  private async readToEnd(name: string, client: WireClient): Promise<void> {
    try {
      this.entries.push({ client: name, messages: await client.closed() });
      if (client.rest.length > 0)
        this.entries.push(`${name} rest ${client.rest.toString('latin1')}`);
    } catch (error) {
      this.entries.push(`${name}: ${(error as Error).message}`);
    }
  }

  private async actor(name: string): Promise<Actor> {
    const known = this.actors.get(name);
    if (known !== undefined) return known;
    const client = await WireClient.open({ port: this.server.port });
    let key: Buffer | null = null;
    if (this.story.loggedIn) {
      const { database, port } = this.server;
      client.startup({ port, database, parameters: this.story.login });
      key = (await client.until('Z')).find(({ type }) => type === 'K')!.body;
    }
    const actor = { client, key };
    this.actors.set(name, actor);
    return actor;
  }

  /** Sends a cancel request and waits for its end; answers how many bytes came. */
  private cancel(key: Buffer, kind: CancelKey): Promise<number> {
    const own = Buffer.from(key);
    if (kind === 'wrong pid') own.writeInt32BE(1, 0);
    if (kind === 'wrong secret') own[own.length - 1]! ^= 1;
    const request = cancelRequest(own);
    return new Promise((resolve) => {
      let bytes = 0;
      const socket = connect({ port: this.server.port, host: '127.0.0.1', noDelay: true }, () => {
        if (kind === 'cut short') socket.end(request.subarray(0, -2));
        else if (kind === 'in pieces')
          for (const byte of request) socket.write(Buffer.from([byte]));
        else socket.write(request);
      });
      socket.on('data', (chunk) => (bytes += chunk.length));
      socket.on('error', () => undefined);
      socket.once('close', () => resolve(bytes));
    });
  }

  /** Whose notification it is can be compared, not the process id; nor can those in texts of errors. */
  private withoutPid(message: WireMessage): WireMessage {
    if (message.type !== 'A') return message;
    const pid = message.body.readInt32BE(0);
    const [channel, payload] = texts({ ...message, body: message.body.subarray(4) });
    const sender = [...this.actors].find(([, { key }]) => key?.readInt32BE(0) === pid)?.[0];
    return { ...message, body: Buffer.from(`from ${sender ?? 'nobody'}: ${channel} ${payload}`) };
  }
}

function withoutContext(message: WireMessage): WireMessage {
  if (message.type !== 'E') return message;
  const { W: _where, ...fields } = errorFields(message);
  const parts = Object.entries(fields).map(([letter, text]) => cstring(letter + text));
  return { ...message, body: Buffer.concat([...parts, Buffer.from([0])]) };
}
