import type { Dice } from './chaos-random.js';
import type { RandomSelect } from './select-grammar.js';

/**
 * The same statement with other values at some places: its shape is known to whoever has planned
 * the first, so that a plan kept for the wrong values shows.
 */
export function varied(select: RandomSelect, dice: Dice): RandomSelect {
  const change = changes(dice);
  const params = select.params.map((param) => {
    const isCount = typeof param.value === 'string' && /^\d$/.test(param.value);
    return isCount && dice.chance(0.5) ? { ...param, value: String(dice.below(7)) } : param;
  });
  return {
    ...select,
    sql: change(select.sql),
    params,
    uncut: select.uncut === null ? null : change(select.uncut),
  };
}

/** Changes literals by their text, so that equal ones stay equal: those of GROUP BY must. */
function changes(dice: Dice): (sql: string) => string {
  const numbers = Array.from({ length: 10 }, () => String(dice.below(7)));
  const words = ["'a'", "'b'", "'ab'", "''", "'ä'", "'z'"];
  const step = dice.between(1, words.length - 1);
  const moods = ["'sad'", "'meh'", "'ok'", "'happy'"];
  const next = (list: readonly string[], item: string): string => {
    return list[(list.indexOf(item) + step) % list.length]!;
  };
  return (sql) =>
    sql
      .replace(/(?<![\w.$])(\d)(::int[48]\b)/g, (_, digit, cast) => `${numbers[+digit]!}${cast}`)
      .replace(/(?<=\b(?:LIMIT|OFFSET|FIRST) )\d+\b/g, (count) => {
        // That of a scalar sub-select stays.
        return count === '1' ? count : String((Number(count) * 3 + step) % 17);
      })
      .replace(/('(?:a|b|ab|ä|z|)')(?=::text)/g, (word) => next(words, word))
      .replace(/'(?:sad|meh|ok|happy)'(?=::mood\b(?!\[))/g, (mood) => next(moods, mood));
}
