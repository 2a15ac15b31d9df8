import type { ParsedStatement, TextParser } from '../sql/parser.js';

/**
 * Parses for the planning of an oversized statement, which cannot wait for texts that are oversized too, such as its
 * own query or what was written of it. They are answered by a promise as ever, and remembered: once they are parsed,
 * whoever plans the statement again gets them at once.
 */
export class PatientParser implements TextParser {
  readonly #parser: TextParser;
  readonly #answers = new Map<string, ParsedStatement[] | Error>();
  readonly #asked = new Map<string, Promise<ParsedStatement[]>>();

  constructor(parser: TextParser) {
    this.#parser = parser;
  }

  /** There are texts that could not be waited for. */
  get waits(): boolean {
    return this.#asked.size > 0;
  }

  parse(
    bytes: Uint8Array,
    start = 0,
    end = bytes.length,
  ): ParsedStatement[] | Promise<ParsedStatement[]> {
    const text = Buffer.from(bytes.buffer, bytes.byteOffset + start, end - start).toString();
    const answer = this.#answers.get(text);
    if (answer instanceof Error) throw answer;
    if (answer !== undefined) return answer;
    const parsed = this.#parser.parse(bytes, start, end);
    if (parsed instanceof Promise) this.#asked.set(text, parsed);
    return parsed;
  }

  /** Waits for these texts. */
  async learn(): Promise<void> {
    for (const [text, parsed] of this.#asked) {
      this.#answers.set(text, await parsed.catch((error: unknown) => error as Error));
    }
    this.#asked.clear();
  }
}
