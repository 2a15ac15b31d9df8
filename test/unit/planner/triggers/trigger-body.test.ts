import { describe, expect, test } from 'vitest';
import { readTriggerBody, type NameCheck } from '../../../../src/planner/triggers/trigger-body.js';

const check: NameCheck = (name, field) =>
  name === 'act' ? (field ? 'may act' : 'acts') : name === 'current_date' ? 'tells a date' : null;
const read = (source: string): unknown => {
  const body = readTriggerBody(source, check);
  if (typeof body === 'string') return body;
  return { assigned: [...body.assigned], returns: [...body.returns] };
};

describe('a trigger function that only computes', () => {
  test.each([
    ['BEGIN RETURN NEW; END', [], ['new']],
    ['begin new.at := now(); return new; end;', ['at'], ['new']],
    [
      ' /* x; */ BEGIN -- y;\n NEW."At" = 1; NEW.tags[1] := $$;$$; RETURN OLD; END ;',
      ['At', 'tags'],
      ['old'],
    ],
    [
      `DECLARE n int := 5; t text DEFAULT 'begin'; BEGIN
         n := n + 1;
         IF NEW.a IS NULL THEN NEW.a := CASE WHEN n > 5 THEN 1 ELSE 2 END;
         ELSIF tg_op = 'DELETE' THEN RETURN NULL;
         ELSE BEGIN NULL; END; END IF;
         RAISE EXCEPTION 'no %', NEW.a USING ERRCODE = '22000', HINT = lower(t);
         RETURN COALESCE(NEW, OLD);
       END`,
      ['a'],
      ['null', 'either'],
    ],
  ])('%s', (source, assigned, returns) => {
    expect(read(source)).toEqual({ assigned, returns });
  });
});

describe('a trigger function that may do more', () => {
  test.each([
    ['BEGIN INSERT INTO t VALUES (1); RETURN NEW; END', 'does more than compute, at "INSERT"'],
    ['BEGIN NEW.a := (SELECT 1); RETURN NEW; END', 'does more than compute, at "SELECT"'],
    ['BEGIN SELECT 1 INTO NEW.a; RETURN NEW; END', 'does more than compute, at "SELECT"'],
    ['BEGIN PERFORM act(); RETURN NEW; END', 'does more than compute, at "PERFORM"'],
    ["BEGIN EXECUTE 'x'; RETURN NEW; END", 'does more than compute, at "EXECUTE"'],
    [
      'BEGIN IF EXISTS (TABLE t) THEN NULL; END IF; RETURN NEW; END',
      'does more than compute, at "TABLE"',
    ],
    ['BEGIN NEW.a := act(1); RETURN NEW; END', 'acts'],
    ['BEGIN NEW.a := "act" (1); RETURN NEW; END', 'acts'],
    ['BEGIN NEW.a := NEW.act; RETURN NEW; END', 'may act'],
    ['DECLARE x int := act(); BEGIN RETURN NEW; END', 'acts'],
    ["BEGIN RAISE NOTICE '%', act(); RETURN NEW; END", 'acts'],
    ['BEGIN NEW.a := CURRENT_DATE; RETURN NEW; END', 'tells a date'],
    ["BEGIN NEW.a := 'now'; RETURN NEW; END", "takes the time from 'now'"],
    ['BEGIN NEW := OLD; RETURN NEW; END', 'sets NEW'],
    ['BEGIN OLD.a := 1; RETURN OLD; END', 'sets OLD'],
    ['BEGIN RETURN f(NEW); END', 'returns something else than NEW, OLD or NULL'],
    [
      'BEGIN RETURN NEW; EXCEPTION WHEN OTHERS THEN RETURN NULL; END',
      'does more than compute, at "EXCEPTION"',
    ],
    [
      'BEGIN FOR i IN 1..3 LOOP NULL; END LOOP; RETURN NEW; END',
      'does more than compute, at "FOR"',
    ],
    ['<<l>> BEGIN RETURN NEW; END', 'does more than compute, at "<"'],
    ['BEGIN RETURN NEW', 'does more than compute, at "RETURN"'],
    ["BEGIN NEW.a := 'x; RETURN NEW; END", 'does more than compute, at "NEW"'],
    ['BEGIN RETURN NEW; END; DELETE FROM t', 'does more than compute, at "DELETE"'],
    ['', 'ends too early to be read'],
  ])('%s', (source, reason) => {
    expect(read(source)).toMatch(reason.startsWith('does more') ? /^does more|^returns/ : reason);
  });
});
