import { sqlError } from '../errors/sql-error.js';
import { Tokens } from '../sql/tokens.js';
import { characterCount } from '../sql/code-points.js';

/** One command of what a client has sent: its tokens as PostgreSQL's lexer cuts them, without the semicolon. */
export class CommandText {
  private readonly bytes: Buffer;
  private readonly starts: readonly number[];
  private readonly ends: readonly number[];

  constructor(bytes: Buffer, starts: readonly number[], ends: readonly number[]) {
    this.bytes = bytes;
    this.starts = starts;
    this.ends = ends;
  }

  get wordCount(): number {
    return this.starts.length;
  }

  /** The token as it is written; undefined: there are fewer. */
  word(index: number): string | undefined {
    const start = this.starts[index];
    if (start === undefined) return undefined;
    return this.bytes.toString('utf8', start, this.ends[index]);
  }

  /** Whether the text begins with these keywords, in whatever case. */
  beginsWith(words: readonly string[]): boolean {
    return words.every((word, index) => this.word(index)?.toUpperCase() === word);
  }

  /** The text from a token to the end. */
  from(index: number): string {
    const start = this.starts[index];
    return start === undefined ? '' : this.bytes.toString('utf8', start, this.ends.at(-1));
  }

  /** How many characters of the client's text stand in front of a token. */
  charactersBefore(index: number): number {
    return characterCount(this.bytes, 0, this.starts[index]);
  }

  /**
   * The value of a token: a name, folded to lower case unless it stands in double quotes, or a string. Undefined where
   * there are fewer tokens.
   */
  value(index: number): string | undefined {
    const word = this.word(index);
    if (word === undefined) return undefined;
    const quote = word[0];
    if (quote !== '"' && quote !== "'") return word.toLowerCase();
    return word.slice(1, -1).replaceAll(quote + quote, quote);
  }
}

/** The commands of a text; none for an empty one. Throws SqlError 42601 where it cannot be cut into tokens. */
export function splitCommands(text: Buffer): CommandText[] {
  const tokens = new Tokens(text, 0, 0, text.length);
  const commands: CommandText[] = [];
  let [starts, ends]: [number[], number[]] = [[], []];
  const finish = (): void => {
    if (starts.length > 0) commands.push(new CommandText(text, starts, ends));
    [starts, ends] = [[], []];
  };
  for (let i = 0; i < tokens.count; i++) {
    if (tokens.is(i, ';')) {
      finish();
      continue;
    }
    starts.push(tokens.start(i));
    ends.push(tokens.end(i));
  }
  finish();
  if (!tokens.isWhole) throw sqlError('syntax_error', 'unterminated quoted string or comment');
  return commands;
}
