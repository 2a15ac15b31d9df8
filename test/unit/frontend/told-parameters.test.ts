import { describe, expect, test } from 'vitest';
import { ToldParameters } from '../../../src/frontend/told-parameters.js';
import { Writer } from '../../../src/protocol/writer.js';
import { UnitOfWork } from '../../../src/transaction/unit-of-work.js';

function parameters(): ToldParameters {
  return new ToldParameters(
    new UnitOfWork(),
    () =>
      new Map([
        ['TimeZone', 'UTC'],
        ['application_name', ''],
      ]),
  );
}

/** What the client is told now, as `name=value`. */
function heard(told: ToldParameters): string[] {
  const writer = new Writer(64);
  told.tell(writer);
  const messages = writer
    .take()
    .toString('latin1')
    .split(/S\0\0\0./)
    .slice(1);
  return messages.map((message) => message.split('\0').slice(0, 2).join('='));
}

describe('what a client hears of parameters', () => {
  test('changes, once', () => {
    const told = parameters();
    told.note('TimeZone', 'Asia/Tokyo');
    told.note('TimeZone', 'Asia/Tokyo');
    expect(heard(told)).toEqual(['TimeZone=Asia/Tokyo']);
    expect(told.isDue).toBe(false);
    told.note('TimeZone', 'Asia/Tokyo');
    expect(heard(told)).toEqual([]);
  });

  test('nothing of what was taken back before it was told', () => {
    const told = parameters();
    told.note('TimeZone', 'Asia/Tokyo');
    told.note('application_name', 'x');
    told.note('TimeZone', 'UTC');
    expect(heard(told)).toEqual(['application_name=x']);
  });

  test('what passes takes the place of what is due', () => {
    const told = parameters();
    told.note('TimeZone', 'Asia/Tokyo');
    expect(told.passes('TimeZone', 'UTC')).toBe(false);
    expect(told.passes('TimeZone', 'Asia/Tokyo')).toBe(true);
    expect(heard(told)).toEqual([]);
  });

  test('a rollback, to BEGIN or a savepoint, and the end of all settings', () => {
    const told = parameters();
    told.note('TimeZone', 'a');
    told.begin();
    expect(heard(told)).toEqual(['TimeZone=a']);
    told.note('TimeZone', 'b');
    const savepoint = told.current;
    told.note('TimeZone', 'c');
    expect(heard(told)).toEqual(['TimeZone=c']);
    told.restore(savepoint);
    expect(heard(told)).toEqual(['TimeZone=b']);
    told.rollBack();
    expect(heard(told)).toEqual(['TimeZone=a']);
    told.note('application_name', 'x');
    told.reset();
    expect(heard(told)).toEqual(['TimeZone=UTC']);
  });
});
