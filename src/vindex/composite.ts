import type { KeyspaceId, KeyspaceIdCell } from '../keyspace/keyspace-id.js';
import { MAX_KEY_COLUMNS, type KeyParts, type Vindex } from '../keyspace/vindex.js';
import { makeBinaryVindex } from './binary.js';
import { COMPUTED_COST } from './computed.js';
import { addField, fieldMask, fieldSql, type IdField } from './id-fields.js';
import { makeHashVindex } from './hash.js';
import { makeMd5Vindex } from './md5.js';
import { makeNumericVindex } from './numeric.js';
import { vindexType, type VindexProblem } from './options.js';
import { makeUnicodeLooseVindex } from './unicode-loose.js';
import { makeXxhashVindex } from './xxhash.js';

/** What may be made of a column. */
const columnTypes: Readonly<Record<string, (name: string) => Vindex>> = {
  hash: makeHashVindex,
  xxhash: makeXxhashVindex,
  md5: makeMd5Vindex,
  numeric: makeNumericVindex,
  binary: makeBinaryVindex,
  unicode_loose: makeUnicodeLooseVindex,
};
const columnTypeNames = Object.keys(columnTypes);

/** A column of the key: the vindex of its values, and where bits of their ids stand. */
interface CompositeColumn {
  readonly vindex: Vindex;
  readonly field: IdField;
}

const ID_BITS = 64;

/**
 * A key of several columns, each mapped by itself: the id is put together of the first bits of each column's own id
 * (the last bits of a number), in the order of the columns. So keys with equal first columns are one range of ids.
 */
export const compositeType = vindexType(
  'Several columns, each mapped by itself; the first ones alone lead to a range of keyspace ids',
  {
    columns: {
      form: {
        kind: 'rows',
        fields: {
          type: {
            form: { kind: 'choice', choices: columnTypeNames },
            description: 'How values of the column are mapped; left out: hash',
          },
          bits: {
            form: { kind: 'value' },
            description:
              'How many bits of the keyspace id are for it; the last column takes the rest',
          },
        },
      },
      description: 'In the order of the columns of shard_key',
      requiredCure: 'write columns: [ { type: hash, bits: 16 }, { type: hash } ]',
    },
  },
  ({ name, options: { columns = [] } }) => {
    const problems: VindexProblem[] = [];
    if (columns.length < 2 || columns.length > MAX_KEY_COLUMNS) {
      problems.push({
        message: `a composite vindex of ${columns.length === 1 ? 'one column' : `${columns.length} columns`}`,
        hint: `list 2 to ${MAX_KEY_COLUMNS} columns`,
        path: ['columns'],
      });
    }
    const own: CompositeColumn[] = [];
    let at = 0;
    for (const [place, { type = 'hash', bits }] of columns.entries()) {
      const left = ID_BITS - at - (columns.length - 1 - place);
      const width = bits ?? (place === columns.length - 1 ? String(left) : '');
      if (!/^[1-9]\d?$/.test(width) || Number(width) > left) {
        const message = bits === undefined ? 'a column without bits' : `${bits} bits for a column`;
        const hint = `write bits: a number from 1 to ${Math.max(1, left)}; all columns have ${ID_BITS} together`;
        problems.push({ message, hint, path: ['columns', place, ...(bits ? ['bits'] : [])] });
        break;
      }
      const field = { at, bits: Number(width), last: type === 'numeric' };
      own.push({ vindex: columnTypes[type]!(name), field });
      at += Number(width);
    }
    return problems.length > 0 ? problems : makeComposite(name, own);
  },
);

function makeComposite(name: string, columns: readonly CompositeColumn[]): Vindex {
  const named = columns.map(({ vindex, field }) => [vindex.mapping, field.bits]);
  const several = `vindex type "composite" here takes keys of ${columns.length} columns`;
  return Object.freeze({
    name,
    type: 'composite',
    mapping: `composite ${JSON.stringify(named)}`,
    refusal: () => several,
    mapper: () => null,
    sqlExpression: () => null,
    cost: COMPUTED_COST,
    order: null,
    parts: Object.freeze(partsOf(columns)),
  });
}

function partsOf(columns: readonly CompositeColumn[]): KeyParts {
  const combine = (parts: readonly KeyspaceId[], out: KeyspaceIdCell): void => {
    out.hi = 0;
    out.lo = 0;
    for (let place = 0; place < parts.length; place++) {
      addField(columns[place]!.field, parts[place]!, out);
    }
  };
  return {
    columnsMin: columns.length,
    columnsMax: columns.length,
    refusal: (place, columnType) => columns[place]!.vindex.refusal(columnType),
    mapper: (place, columnType, inputType, typmod) =>
      columns[place]!.vindex.mapper(columnType, inputType, typmod),
    combine,
    eachSpan(first, visit) {
      const from = { hi: 0, lo: 0 };
      combine(first, from);
      const { at, bits } = columns[first.length - 1]!.field;
      const rest = fieldMask({ at: at + bits, bits: ID_BITS - at - bits });
      visit(from, { hi: (from.hi | rest.hi) >>> 0, lo: (from.lo | rest.lo) >>> 0 });
    },
    sqlExpression(quotedColumns, columnTypes) {
      const fields = columns.map(({ vindex, field }, place) => {
        const id = vindex.sqlExpression(quotedColumns[place]!, columnTypes[place]!);
        return id === null ? null : fieldSql(field, id);
      });
      return fields.includes(null) ? null : `(${fields.join(' | ')})`;
    },
  };
}
