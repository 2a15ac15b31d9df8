import { Dice } from '../../support/chaos-random.js';
import { WireClient } from '../../support/wire-client.js';
import { summaries, type Delivery } from '../../support/wire-pair.js';
import { play, type WireServer } from './player.js';
import { ServerNames } from './server-names.js';
import { story, type Step } from './story.js';

/** What a client of a random session does next, in words, for who must read a story that fails. */
export interface Deed {
  readonly words: string;
  readonly step: Step;
  /** What the plain server may be told in its place where the proxy refuses the step, and what it is told. */
  readonly instead?: Step;
  readonly elsewhere?: Step;
}

/** How random sessions are told to the proxy and to a plain server, and what of their answers is compared. */
export interface HuntRules {
  readonly database: string;
  /** Of the proxy, then of the plain server. */
  readonly ports: readonly [number, number];
  /** Brings the tables to where each session begins, from where the last one has left them. */
  clear(last: readonly Deed[]): readonly string[];
  readonly dump: readonly string[];
  /** Behind the deeds of each session. */
  readonly end: readonly Step[];
  /** A lock that nobody gives back, or an answer that does not come, takes that long. */
  readonly patienceMs: number;
  /** Of errors and notices only severity and SQLSTATE are compared. */
  readonly codesOnly: boolean;
  /** Of a transcript, what is compared. */
  compared(lines: readonly string[]): readonly string[];
  isSame(theirs: string, ours: string | undefined): boolean;
  /** The session to tell in place of one that was refused behind these answers; null: it ends there. */
  pastRefusal(deeds: readonly Deed[], answered: readonly string[]): readonly Deed[] | null;
}

export interface Found {
  /** Stories that differ, each behind its seed. */
  readonly stories: readonly string[];
  /** What was refused, and how often. */
  readonly refused: ReadonlyMap<string, number>;
}

/** So many are shortened and shown. */
const FOUND_MAX = 5;

/** What became of a session: it was answered alike, refused from some point on, or differently. */
type Outcome =
  | { readonly kind: 'alike' }
  | { readonly kind: 'refused'; readonly line: string; readonly answered: readonly string[] }
  | {
      readonly kind: 'different';
      readonly ours: readonly string[];
      readonly theirs: readonly string[];
    };

/** Looks for random sessions that the proxy answers in another way than a plain server, and makes them short. */
export class Hunt {
  private readonly rules: HuntRules;
  private readonly servers: readonly WireServer[];
  /** One client each, who sets the stage and looks at it in the end. */
  private readonly keepers: readonly WireClient[];
  private readonly refused = new Map<string, number>();
  private last: readonly Deed[] = [];

  private constructor(
    rules: HuntRules,
    servers: readonly WireServer[],
    keepers: readonly WireClient[],
  ) {
    this.rules = rules;
    this.servers = servers;
    this.keepers = keepers;
  }

  static async open(rules: HuntRules): Promise<Hunt> {
    const { ports, database } = rules;
    const names = await Promise.all(ports.map((port) => ServerNames.open(port, database)));
    const keepers = await Promise.all(ports.map((port) => WireClient.login({ port, database })));
    const servers = ports.map((port, i) => ({ port, database, names: names[i]! }));
    return new Hunt(rules, servers, keepers);
  }

  close(): void {
    for (const { names } of this.servers) names.close();
    for (const keeper of this.keepers) keeper.terminate();
  }

  /** Tells as many sessions as wanted, those of the seed and the next ones. */
  async search(
    seed: number,
    count: number,
    make: (dice: Dice) => { readonly deeds: readonly Deed[]; readonly delivery: Delivery },
  ): Promise<Found> {
    const stories: string[] = [];
    this.refused.clear();
    for (let i = 0; i < count && stories.length < FOUND_MAX; i++) {
      const { deeds, delivery } = make(new Dice(seed + i));
      const { said, outcome } = await this.tellOn(deeds, delivery);
      if (outcome.kind !== 'different') continue;
      stories.push(`${seed + i}, ${await this.shortened(said, delivery, outcome)}`);
    }
    return { stories, refused: this.refused };
  }

  /** Goes past what is refused. */
  private async tellOn(
    deeds: readonly Deed[],
    delivery: Delivery,
  ): Promise<{ said: readonly Deed[]; outcome: Outcome }> {
    let said = deeds;
    for (;;) {
      const outcome = await this.tell(said, delivery);
      if (outcome.kind !== 'refused') return { said, outcome };
      this.refused.set(outcome.line, (this.refused.get(outcome.line) ?? 0) + 1);
      const next = this.rules.pastRefusal(said, outcome.answered);
      if (next === null) return { said, outcome };
      said = next;
    }
  }

  private async tell(deeds: readonly Deed[], delivery: Delivery): Promise<Outcome> {
    const { rules } = this;
    const clear = rules.clear(this.last);
    this.last = deeds;
    const cleared = await Promise.all(this.keepers.map((keeper) => answers(keeper, clear)));
    const failed = cleared.flat().find((line) => line.startsWith('E'));
    if (failed !== undefined) throw new Error(`the tables were not cleared: ${failed}`);
    const options = { anyOrder: true, codesOnly: rules.codesOnly, patienceMs: rules.patienceMs };
    const [ours = [], theirs = []] = await Promise.all(
      this.servers.map(async (server, i) => {
        const steps = deeds.map(({ step, elsewhere = step }) => (i === 0 ? step : elsewhere));
        const told = story('', [...steps, ...rules.end], options);
        return rules.compared(await play(told, server, delivery));
      }),
    );
    const at = this.firstDifference(ours, theirs);
    if (UNUSABLE.test(ours[at] ?? '') && UNUSABLE.test(theirs[at] ?? '')) return { kind: 'alike' };
    if (at !== -1 || ours.length !== theirs.length) {
      const line = ours[at] ?? '';
      return isRefusal(line)
        ? { kind: 'refused', line, answered: ours.slice(0, at) }
        : { kind: 'different', ours, theirs };
    }
    const [left = [], expected = []] = await Promise.all(
      this.keepers.map((keeper) => answers(keeper, rules.dump)),
    );
    return left.join('\n') === expected.join('\n')
      ? { kind: 'alike' }
      : { kind: 'different', ours: left, theirs: expected };
  }

  /** Leaves out whatever is not needed for a difference: halves, quarters, and so on down to single messages. */
  private async shrink(
    deeds: readonly Deed[],
    delivery: Delivery,
    difference: string,
  ): Promise<readonly Deed[]> {
    let shortest = deeds;
    for (
      let size = Math.ceil(deeds.length / 2);
      size > 0;
      size = size === 1 ? 0 : Math.ceil(size / 2)
    ) {
      for (let at = 0; at < shortest.length;) {
        const shorter = [...shortest.slice(0, at), ...shortest.slice(at + size)];
        if (this.differenceOf(await this.tell(shorter, delivery)) === difference)
          shortest = shorter;
        else at += size;
      }
    }
    return shortest;
  }

  private async shortened(
    deeds: readonly Deed[],
    delivery: Delivery,
    outcome: Outcome,
  ): Promise<string> {
    const short = await this.shrink(deeds, delivery, this.differenceOf(outcome));
    const again = await this.tell(short, delivery);
    if (again.kind === 'different') return this.show(short, delivery, again);
    return `only sometimes: ${this.show(deeds, delivery, outcome)}`;
  }

  /** What makes two differences the same one: the kinds of messages, and codes of errors. */
  private differenceOf(outcome: Outcome): string {
    if (outcome.kind !== 'different') return '';
    const { ours, theirs } = outcome;
    const at = this.firstDifference(ours, theirs);
    const kind = (line = ''): string => line.slice(0, 3) + (CODE.exec(line)?.[0] ?? '');
    return `${kind(ours[at])} for ${kind(theirs[at])}`;
  }

  private firstDifference(ours: readonly string[], theirs: readonly string[]): number {
    return theirs.findIndex((line, i) => !this.rules.isSame(line, ours[i]));
  }

  /** The story, and from where on the answers differ. */
  private show(deeds: readonly Deed[], delivery: Delivery, outcome: Outcome): string {
    const lines = [`told ${delivery}:`, ...deeds.map(({ words }) => `  ${words}`)];
    if (outcome.kind !== 'different') return lines.join('\n');
    const { ours, theirs } = outcome;
    const at = this.firstDifference(ours, theirs);
    const from = at === -1 ? Math.min(ours.length, theirs.length) : at;
    const part = (all: readonly string[]): string[] =>
      all.slice(from, from + 6).map((line) => `  ${line}`);
    lines.push(...theirs.slice(Math.max(0, from - 4), from).map((line) => `= ${line}`));
    return [...lines, 'proxy:', ...part(ours), 'postgres:', ...part(theirs)]
      .join('\n')
      .replaceAll('\0', '');
  }
}

const CODE = /"C":"\w+"|(?<= E ERROR )\w{5}/;
/** What is left of a portal in a failed transaction, if anything: nobody can use it. */
const UNUSABLE = /^A (n |E .*"C":"(34000|25P02)")/;

export function isRefusal(line: string): boolean {
  return /^A E (.*"C":"|ERROR )0A000/.test(line);
}

/** What a server answers to each text, but for descriptions: types have other OIDs on each server. */
async function answers(client: WireClient, texts: readonly string[]): Promise<string[]> {
  for (const text of texts) client.query(text);
  const lines: string[] = [];
  for (let i = 0; i < texts.length; i++) {
    const messages = (await client.until('Z')).filter(({ type }) => type !== 'T');
    lines.push(...summaries(messages, {}));
  }
  return lines;
}
