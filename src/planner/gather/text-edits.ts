import type { ColumnRef, RangeVar } from '@pgsql/types';
import { Tokens } from '../../sql/tokens.js';
import { stringOf } from '../ast.js';
import type { FinalPiece } from '../plan.js';
import { refuse } from '../refusals.js';
import type { StatementContext } from '../statement-context.js';

/** Replaces one stretch of a statement's text. Offsets are bytes of the whole text. */
interface TextEdit {
  readonly start: number;
  readonly end: number;
  readonly pieces: readonly FinalPiece[];
}

/** The text of one statement, cut where the parser's locations say. */
export class StatementText {
  readonly tokens: Tokens;
  readonly #start: number;
  readonly #end: number;
  readonly #edits: TextEdit[] = [];

  constructor(context: StatementContext) {
    const { bytes, textStart, start, end } = context;
    this.#start = start;
    this.#end = end;
    this.tokens = new Tokens(bytes, textStart, start, end);
  }

  /**
   * Puts a relation in a table's place, under the name that the table has here; ONLY goes too, and
   * `TABLE name` becomes a SELECT.
   */
  replaceTable(range: RangeVar, relation: readonly FinalPiece[]): void {
    const { tokens } = this;
    const name = this.#tokenAt(range.location, range.relname ?? '');
    let first = name;
    let last = tokens.dottedEnd(name);
    if (tokens.is(last + 1, '*')) last++;
    if (tokens.is(first - 1, 'only')) first--;
    else if (tokens.is(first - 1, '(') && tokens.is(first - 2, 'only')) {
      first -= 2;
      last++;
    }
    const command = tokens.is(first - 1, 'table');
    if (command) first--;
    const start = tokens.start(first);
    const blank = first > 0 && tokens.end(first - 1) === start ? [' '] : [];
    const alias = range.alias === undefined ? [` AS ${quoted(range.relname ?? '')}`] : [];
    this.replace({
      start,
      end: tokens.end(last),
      pieces: [...blank, ...(command ? ['SELECT * FROM '] : []), ...relation, ...alias],
    });
  }

  /** `schema.table.column` becomes `table.column`: what stands in the table's place has no schema. */
  cutSchema(reference: ColumnRef): void {
    const { tokens } = this;
    const fields = reference.fields ?? [];
    const first = this.#tokenAt(reference.location, stringOf(fields[0]) ?? '');
    const table = first + 2 * (fields.length - 2);
    this.replace({ start: tokens.start(first), end: tokens.start(table), pieces: [] });
  }

  /** Puts an expression in the place of a column or row that a reference names. */
  replaceReference(reference: ColumnRef, expression: string): void {
    const { tokens } = this;
    const fields = reference.fields ?? [];
    const first = this.#tokenAt(reference.location, stringOf(fields[0]) ?? '');
    const end = tokens.end(first + 2 * (fields.length - 1));
    this.replace({ start: tokens.start(first), end, pieces: [expression] });
  }

  /** Puts a text in front of what stands at this location; false where no such keyword comes before that. */
  insertBehind(keyword: string, location: number | undefined, piece: string): boolean {
    const token = this.tokens.at(location ?? 0);
    if (token < 1 || !this.tokens.is(token - 1, keyword)) return false;
    const start = this.tokens.start(token);
    this.replace({ start, end: start, pieces: [piece] });
    return true;
  }

  /**
   * Leaves out a clause `keyword name (...)` whose name stands at this location, with another one
   * `more (...)` if that is behind it. Answers what it was; null: it is not written so.
   */
  takeOut(keyword: string, location: number | undefined, more: string): string | null {
    const { tokens } = this;
    const name = tokens.at(location ?? 0);
    if (name < 1 || !tokens.is(name - 1, keyword)) return null;
    let last = tokens.closing(tokens.dottedEnd(name) + 1);
    if (last >= 0 && tokens.is(last + 1, more)) last = tokens.closing(last + 2);
    if (last < 0) return null;
    const place = { start: tokens.start(name - 1), end: tokens.end(last) };
    this.replace({ ...place, pieces: [] });
    return tokens.text(place.start, place.end);
  }

  replace(edit: TextEdit): void {
    this.#edits.push(edit);
  }

  /** The edited text, adjacent strings joined. */
  pieces(): FinalPiece[] {
    const edits = this.#edits.sort((a, b) => a.start - b.start);
    const out: FinalPiece[] = [];
    let text = '';
    const add = (piece: FinalPiece): void => {
      if (typeof piece === 'string') text += piece;
      else {
        if (text !== '') out.push(text);
        out.push(piece);
        text = '';
      }
    };
    let from = this.#start;
    for (const edit of edits) {
      add(this.tokens.text(from, edit.start));
      for (const piece of edit.pieces) add(piece);
      from = edit.end;
    }
    add(this.tokens.text(from, this.#end));
    if (text !== '') out.push(text);
    return out;
  }

  #tokenAt(location: number | undefined, name: string): number {
    const token = this.tokens.at(location ?? 0);
    const unicode = this.tokens.is(token, 'u') && this.tokens.is(token + 1, '&');
    if (token < 0 || unicode) {
      refuse(
        `the name "${name}" cannot be found in the text of a statement over several shards`,
        'Write it without Unicode escapes.',
      );
    }
    return token;
  }
}

/** An identifier in double quotes. */
function quoted(name: string): string {
  return `"${name.replaceAll('"', '""')}"`;
}
