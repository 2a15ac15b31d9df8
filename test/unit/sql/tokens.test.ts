import { describe, expect, it } from 'vitest';
import { Tokens } from '../../../src/sql/tokens.js';

function tokensOf(text: string): Tokens {
  const bytes = new TextEncoder().encode(text);
  return new Tokens(bytes, 0, 0, bytes.length);
}

function textsOf(text: string): string[] {
  const tokens = tokensOf(text);
  return Array.from({ length: tokens.count }, (_, i) =>
    tokens.text(tokens.start(i), tokens.end(i)),
  );
}

describe('tokens of a text', () => {
  it('are names, strings and punctuation, with comments left out', () => {
    expect(textsOf('select "a b".c, $$x;y$$ -- no\n from /* ( /* ( */ */ t(x)')).toEqual([
      ...['select', '"a b"', '.', 'c', ',', '$$x;y$$', 'from', 't', '(', 'x', ')'],
    ]);
  });

  it('keep what quotes hide', () => {
    expect(textsOf(`'it''s (' E'\\'(' "(""(" $a$($a$ (`)).toEqual([
      ...["'it''s ('", `E'\\'('`, '"(""("', '$a$($a$', '('],
    ]);
  });

  it('are found by their place in bytes', () => {
    const tokens = tokensOf("'ü日😀' from t");
    const from = new TextEncoder().encode("'ü日😀' ").length;
    expect(tokens.at(from)).toBe(1);
    expect(tokens.at(from + 1)).toBe(-1);
    expect(tokens.is(1, 'from')).toBe(true);
    expect(tokens.is(2, 'from')).toBe(false);
    expect(tokens.is(-1, 'from')).toBe(false);
    expect(tokens.is(3, 'from')).toBe(false);
  });

  it('tell keywords by their letters in any case', () => {
    expect(tokensOf('ONLY (t)').is(0, 'only')).toBe(true);
  });

  it('join dotted names', () => {
    const tokens = tokensOf('a . "b" /* . */ . c d.e');
    expect(tokens.dottedEnd(0)).toBe(4);
    expect(tokens.dottedEnd(5)).toBe(7);
    expect(tokens.dottedEnd(7)).toBe(7);
  });

  it('begin where the statement does', () => {
    const bytes = new TextEncoder().encode('select 1; select b');
    const tokens = new Tokens(bytes, 0, 9, bytes.length);
    expect(tokens.start(0)).toBe(10);
    expect(tokens.at(17)).toBe(1);
  });
});
