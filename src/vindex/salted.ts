import { signedId, type KeyspaceId } from '../keyspace/keyspace-id.js';
import type { KeyParts, Vindex } from '../keyspace/vindex.js';
import { COMPUTED_COST, remembered } from './computed.js';
import { hashSinks, hashSql } from './hash.js';
import { fieldMask } from './id-fields.js';
import { columnTypeField, literalType } from './key-literals.js';
import type { KeySinks } from './key-sinks.js';
import { equalityMapper, keyFamily, typeRefusal } from './key-types.js';
import { ListedValues } from './listed-values.js';
import { vindexType, type VindexProblem } from './options.js';

const SALTS_MAX = 256;

/**
 * The hash of the first column alone is the id of a key, whatever the second one is; but keys of hot values are spread
 * over several ids by the hash of the second one: each takes another value of the id's first bits, so that they
 * are as far from each other as they can be. The unsalted id is one of them.
 */
export const saltedType = vindexType(
  'A hash of the first column; keys of hot values are spread by the second one',
  {
    column_type: {
      ...columnTypeField,
      description: `Of the first column. ${columnTypeField.description}`,
    },
    hot: {
      form: { kind: 'values' },
      description: 'Values of the first column that are too much for one shard; left out: none yet',
    },
    salts: {
      form: { kind: 'value' },
      description: `Over how many keyspace ids each of them is spread: 2, 4, 8 and so on up to ${SALTS_MAX}`,
      requiredCure: 'write salts: 8, a power of two',
    },
  },
  ({ name, options: { column_type, hot = [], salts = '' } }) => {
    const problems: VindexProblem[] = [];
    const count = Number(salts);
    const bits = Math.log2(count);
    if (!/^\d+$/.test(salts) || !Number.isInteger(bits) || count < 2 || count > SALTS_MAX) {
      const hint = `write a power of two from 2 to ${SALTS_MAX}, about as many as there are shards or more`;
      problems.push({ message: `${salts} salts for a hot value`, hint, path: ['salts'] });
    }
    const type = literalType(column_type, hot);
    const listed = new ListedValues<true>();
    for (const [index, text] of hot.entries()) {
      listed.add(text, type, () => true, ['hot', index], problems);
    }
    if (problems.length > 0) return problems;
    // While nothing is listed any type will do.
    const open = column_type === undefined && hot.length === 0;
    const { family } = type;
    const firstSinks: KeySinks = open ? hashSinks : { [family]: hashSinks[family] };
    return makeSalted(name, { firstSinks, listed, bits });
  },
);

interface Salting {
  /** What the first column is hashed by. */
  readonly firstSinks: KeySinks;
  readonly listed: ListedValues<true>;
  /** How many of an id's bits the second column decides for hot values. */
  readonly bits: number;
}

function makeSalted(name: string, salting: Salting): Vindex {
  const { firstSinks, listed, bits } = salting;
  const hot = listed.entries.map(({ hash }) => signedId(hash)).sort();
  const two = 'vindex type "salted" takes keys of two columns';
  return Object.freeze({
    name,
    type: 'salted',
    mapping: `salted ${JSON.stringify([Object.keys(firstSinks), hot, bits])}`,
    refusal: () => two,
    mapper: () => null,
    sqlExpression: () => null,
    cost: COMPUTED_COST,
    order: null,
    parts: Object.freeze(partsOf(salting)),
  });
}

function partsOf({ firstSinks, listed, bits }: Salting): KeyParts {
  const sinksAt = [firstSinks, hashSinks];
  const mappers = sinksAt.map((sinks) =>
    remembered((columnType, inputType, typmod) =>
      equalityMapper(sinks, columnType, inputType, typmod),
    ),
  );
  const mask = fieldMask({ at: 0, bits });
  return {
    columnsMin: 2,
    columnsMax: 2,
    refusal: (place, columnType) => typeRefusal(sinksAt[place]!, 'salted', columnType),
    mapper: (place, columnType, inputType, typmod) =>
      mappers[place]!(columnType, inputType, typmod),
    combine([plain, salt], out) {
      const isHot = listed.find(plain!) !== undefined;
      out.hi = isHot ? (plain!.hi ^ (salt!.hi & mask.hi)) >>> 0 : plain!.hi;
      out.lo = plain!.lo;
    },
    eachSpan([plain], visit) {
      for (const id of idsOf(plain!, listed, bits)) visit(id, id);
    },
    sqlExpression([first, second], [firstType, secondType]) {
      const families = [keyFamily(firstType!), keyFamily(secondType!)] as const;
      if (families[0] === null || families[1] === null) return null;
      const plain = hashSql(first!, families[0]);
      const hot = listed.entries.map(({ hash }) => `'${signedId(hash)}'::pg_catalog.int8`);
      if (hot.length === 0) return plain;
      const salt = `((${hashSql(second!, families[1])}) & '${signedId(mask)}'::pg_catalog.int8)`;
      return `CASE WHEN (${plain}) IN (${hot.join(', ')}) THEN (${plain}) # ${salt} ELSE ${plain} END`;
    },
  };
}

/** The ids of all keys whose first column has this hash. */
function idsOf(plain: KeyspaceId, listed: ListedValues<true>, bits: number): KeyspaceId[] {
  if (listed.find(plain) === undefined) return [plain];
  return Array.from({ length: 2 ** bits }, (_, salt) => ({
    hi: (plain.hi ^ (salt << (32 - bits))) >>> 0,
    lo: plain.lo,
  }));
}
