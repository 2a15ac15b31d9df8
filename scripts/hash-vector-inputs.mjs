// @ts-check
/**
 * The values that the golden vectors of the `hash` vindex are made of: edges of every key type and
 * seeded random ones.
 */

/**
 * Texts of one type: `canonical` ones the server takes and every proxy must map, `spellings` odd
 * and broken ones. @typedef {{ canonical: string[], spellings: string[] }} Inputs
 */

const CANONICAL_PER_TYPE = 250;
const SPELLINGS_PER_TYPE = 250;

let state = 0;

/** Mulberry32: small, seeded, the same on every machine. */
function random() {
  state = (state + 0x6d2b79f5) >>> 0;
  let mixed = Math.imul(state ^ (state >>> 15), state | 1);
  mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
  return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
}

/** @param {number} least @param {number} most */
const between = (least, most) => least + Math.floor(random() * (most - least + 1));
/** @template T @param {ArrayLike<T>} list @returns {T} */
const pick = (list) => /** @type {T} */ (list[between(0, list.length - 1)]);
/** @param {number} count @param {() => string} make */
const times = (count, make) => Array.from({ length: count }, make);
/** @param {string} alphabet @param {number} least @param {number} most */
const word = (alphabet, least, most) => times(between(least, most), () => pick(alphabet)).join('');
/** A list of texts without blanks. @param {string} text */
const items = (text) => text.split(' ');
/** @param {number} value @param {number} width */
const padded = (value, width) => String(value).padStart(width, '0');

/** Both sides of every power of two, and random values of every magnitude. @param {number} bits */
function integers(bits) {
  const limit = 1n << BigInt(bits - 1);
  const edges = ['0', '-1', '1', String(-limit), String(limit - 1n)];
  for (let bit = 1n; bit < BigInt(bits - 1); bit++) {
    for (const near of [-1n, 0n, 1n]) {
      edges.push(String((1n << bit) + near), String(-(1n << bit) - near));
    }
  }
  const magnitudes = times(CANONICAL_PER_TYPE, () => {
    const digits = word('0123456789', 1, bits === 16 ? 5 : bits === 32 ? 10 : 19);
    return `${pick(['', '-'])}${BigInt(digits)}`;
  });
  return [...edges, ...magnitudes].filter((text) => {
    const value = BigInt(text);
    return value >= -limit && value < limit;
  });
}

/** @param {number} bits @returns {Inputs} */
function intInputs(bits) {
  const limit = 1n << BigInt(bits - 1);
  return {
    canonical: integers(bits),
    spellings: [
      ...items('- + +-1 +7 -0 007 1_0 1__0 _1 1_'),
      ...['', ' ', '- 1', ' 42 ', '\t\n\v\f\r7\t'],
      ...items('0x 0x1F 0X1f 0x_1F 0x1__f 0x1_ -0x10 0o17 0O_7 0o8 0b101 0B_1 0b2'),
      ...items('5.0 1e3 5. 0_1 00x1 five ٣ 0b 0_x1 1_000_000'),
      ...['1 2', '\u00a05'],
      ...[limit, -limit - 1n, limit * 2n, 1n << 64n, 10n ** 30n].map(String),
      ...[`0x${limit.toString(16)}`, `-0x${limit.toString(16)}`, `0x${(limit - 1n).toString(16)}`],
      ...[`0b${limit.toString(2)}`, `-0o${limit.toString(8)}`, '0x10000000000000000'],
      ...times(SPELLINGS_PER_TYPE, () => word(' +-0123456789_xXoObBaAfF', 1, 9)),
      ...times(SPELLINGS_PER_TYPE, () => word(' -0_', 0, 2) + word('0123456789_', 1, 20)),
    ],
  };
}

const LETTERS = 'abcXYZ 019_-.,\t\n\'"\\%äßéñ€漢字😀🐘İıſ';

/** Every length from 0 to 40 bytes hits every tail of the 12-byte blocks. @returns {Inputs} */
function textInputs() {
  return {
    canonical: [
      ...Array.from({ length: 41 }, (_unused, length) =>
        'abcdefghijklmnopqrstuvwxyz0123456789ABCDE'.slice(0, length),
      ),
      ...items('A a é'),
      ...['', ' ', 'a ', 'e\u0301', '\u{10ffff}', '\uffff', '\u0080', '\u07ff', '\u0800', '\u0001'],
      ...times(CANONICAL_PER_TYPE, () => times(between(0, 40), () => pick([...LETTERS])).join('')),
      'x'.repeat(10000),
    ],
    spellings: [],
  };
}

/** @returns {Inputs} */
function uuidInputs() {
  const hex = () => word('0123456789abcdef', 32, 32);
  const dashed = (/** @type {string} */ text) =>
    text.replace(/^(.{8})(.{4})(.{4})(.{4})/, '$1-$2-$3-$4-');
  const spelled = () => {
    const groups = times(8, () => word('0123456789abcdef', 4, 4));
    let text = groups.reduce((left, right) => left + pick(['', '-']) + right);
    if (random() < 0.5) text = text.toUpperCase();
    if (random() < 0.3) text = `{${text}}`;
    if (random() < 0.3) text = mutate(text, '{}-0aG ');
    return text;
  };
  return {
    canonical: [
      '00000000-0000-0000-0000-000000000000',
      'ffffffff-ffff-ffff-ffff-ffffffffffff',
      ...times(CANONICAL_PER_TYPE, () => dashed(hex())),
    ],
    spellings: [
      '',
      '{}',
      `{${hex()}`,
      `${hex()}}`,
      ` ${hex()}`,
      `${hex()}-`,
      ...times(SPELLINGS_PER_TYPE, spelled),
    ],
  };
}

/** @returns {Inputs} */
function byteaInputs() {
  const hex = (/** @type {number} */ bytes) => word('0123456789abcdef', bytes * 2, bytes * 2);
  return {
    canonical: [
      ...Array.from({ length: 41 }, (_unused, length) => `\\x${hex(length)}`),
      ...times(CANONICAL_PER_TYPE, () => `\\x${hex(between(0, 60))}`),
    ],
    spellings: [
      ...[
        '',
        '\\x',
        '\\X00',
        '\\x0',
        '\\x 00  ff ',
        '\\x00\tff\n',
        '\\x0 0',
        '\\x00\vff',
        '\\x0g',
        '\\xABcd',
      ],
      ...items('abc'),
      ...[
        'a\\\\b',
        '\\',
        '\\0',
        '\\00',
        '\\000',
        '\\377',
        '\\400',
        '\\378',
        'é\\303\\251',
        '\\\\x00',
        '\\\\\\',
      ],
      ...times(SPELLINGS_PER_TYPE, () => word('\\\\0123x', 0, 12)),
      ...times(SPELLINGS_PER_TYPE, () => `\\x${word('0123abCD \t', 0, 20)}`),
    ],
  };
}

/** @returns {Inputs} */
function numericInputs() {
  const digits = (/** @type {number} */ most) =>
    word(pick(['0', '9', '05', '0123456789']), 1, most);
  const plain = () => `${pick(['', '-'])}${digits(24)}${random() < 0.6 ? `.${digits(24)}` : ''}`;
  return {
    canonical: [
      ...items('0 -0 0.000 NaN Infinity -Infinity 10000 9999.9999 0.0001 0.00001 100000000'),
      ...items('12.5 -12.50 00012.50000 .5 5. 9223372036854775807 -9223372036854775808'),
      ...[
        `1${'0'.repeat(500)}`,
        `0.${'0'.repeat(500)}1`,
        '123456789'.repeat(40),
        `${'9'.repeat(99)}.${'9'.repeat(99)}`,
      ],
      ...integers(64).slice(0, 60),
      ...times(CANONICAL_PER_TYPE, plain),
    ],
    spellings: [
      ...items('. - + nan +nan -NaN nanx inf +inf -INF infinit'),
      ...['', ' ', 'infinity ', ' +5. '],
      ...items('1e3 1E+3 1e-3 1e 1e+ e3 1.e3 .e3 1e3.5 1_0.0_1e1_0 1_.5 1._5 _1 1__0'),
      ...items('1e131071 1e131072 9999e131068 1e-16383 1e-16384 1.0e-16383 0e200000 0e-16384'),
      ...items('0e-16383'),
      ...items('1e1073741823 1e1073741824 0e1073741823 0e1073741824 1e99999999999 1e-1073741824'),
      ...['5\u00a0'],
      ...items('0x1F -0Xff 0x 0x_1 0o777 0b11 0xffffffffffffffff 0x1.5 0b12 +0b1 0x1e3'),
      ...times(SPELLINGS_PER_TYPE, () => `${plain()}e${pick(['', '-', '+'])}${between(0, 60)}`),
      ...times(SPELLINGS_PER_TYPE, () => word(' +-.0123456789_eE', 1, 10)),
      ...times(50, () => word('naNiIfFty+- ', 1, 8)),
    ],
  };
}

function randomDay() {
  const year = pick([between(1, 9999), between(1900, 2100), between(10000, 294275)]);
  const month = between(1, 12);
  const last = new Date(Date.UTC(2000 + (year % 400), month, 0)).getUTCDate();
  return `${padded(year, 4)}-${padded(month, 2)}-${padded(pick([1, last, between(1, last)]), 2)}`;
}

function randomTime() {
  const fraction = random() < 0.5 ? '' : `.${word('0123456789', 1, 6)}`;
  const parts = [between(0, 23), between(0, 59), between(0, 59)].map((part) => padded(part, 2));
  return `${parts.join(':')}${fraction}`;
}

function randomOffset() {
  const hours = `${pick('+-')}${padded(between(0, 15), 2)}`;
  return pick([
    'Z',
    '+00',
    hours,
    `${hours}:${padded(between(0, 59), 2)}`,
    `${hours}${padded(between(0, 59), 2)}`,
  ]);
}

/** Changes one to three characters. @param {string} text @param {string} alphabet */
function mutate(text, alphabet) {
  let result = text;
  for (let edits = between(1, 3); edits > 0; edits--) {
    const at = between(0, result.length);
    result = result.slice(0, at) + pick(['', pick(alphabet)]) + result.slice(at + between(0, 1));
  }
  return result;
}

const DAY_EDGES = [
  '2000-01-01',
  '1999-12-31',
  '0001-01-01',
  '9999-12-31',
  '2000-02-29',
  '1900-02-28',
  '1970-01-01',
];
const DAY_FAULTS = [
  '0000-01-01',
  '2023-02-29',
  '1900-02-29',
  '2024-00-01',
  '2024-13-01',
  '2024-01-00',
  '2024-04-31',
];

/** @returns {Inputs} */
function dateInputs() {
  return {
    canonical: [
      ...DAY_EDGES,
      '5874897-12-31',
      'infinity',
      '-infinity',
      ...times(CANONICAL_PER_TYPE, randomDay),
    ],
    spellings: [
      ...DAY_FAULTS,
      ...items('Infinity +infinity inf 5874898-01-01 9999999-01-01 02024-01-01'),
      ...['', ' -INFINITY '],
      ...items('2024-1-1 01/02/2024 20240102 epoch'),
      ...['2024-01-02 ', '2024-01-02 BC', '2024-01-02 10:00:00'],
      ...items('2024-Jan-02 24-01-02 2024.01.02 J2451187 2024-01-02T 2024-001 999-01-01'),
      ...['Jan 2 2024'],
      ...times(SPELLINGS_PER_TYPE, () => mutate(randomDay(), '0123456789-/ T:.+')),
    ],
  };
}

/** @param {boolean} zoned @returns {Inputs} */
function timestampInputs(zoned) {
  const zone = zoned ? randomOffset : () => '';
  const moment = () => `${randomDay()}${pick(' T')}${randomTime()}${zone()}`;
  const plain = zoned ? '+00' : '';
  return {
    canonical: [
      ...DAY_EDGES.map((day) => `${day} 00:00:00${plain}`),
      ...(zoned ? ['0001-01-01 00:00:00+15:59', '0001-01-01 00:00:00-15:59'] : DAY_EDGES),
      ...[
        `294276-12-31 23:59:59.999999${plain}`,
        `1999-12-31 23:59:59.999999${plain}`,
        'infinity',
        '-infinity',
      ],
      ...times(CANONICAL_PER_TYPE, moment),
    ],
    spellings: [
      ...DAY_FAULTS.map((day) => `${day} 00:00:00${plain}`),
      ...items('2024-01-01'),
      ...[
        '294277-01-01 00:00:00Z',
        '294277-01-01 00:00:00+01',
        '294276-12-31 23:59:59.999999-00:01',
      ],
      ...[
        '2024-01-01 24:00:00Z',
        '2024-01-01 24:00:01Z',
        '2024-01-01 23:59:60Z',
        '2024-01-01 25:00:00Z',
      ],
      ...[
        '2024-01-01 10:60:00Z',
        '2024-01-01 10:00:61Z',
        '2024-01-01 10:00Z',
        '2024-01-01 10:00:00.1234567Z',
      ],
      ...[
        '2024-01-01 10:00:00+16',
        '2024-01-01 10:00:00+05:60',
        '2024-01-01 10:00:00 +05',
        '2024-01-01 10:00:00 UTC',
      ],
      ...items('2024-01-01t10:00:00z now today epoch'),
      ...['2024-01-01 10:00:00', '2024-01-01 10:00:00.', ''],
      ...items('INFINITY'),
      ...[
        '2024-01-01 10:00:00 AM',
        '2024-01-01 10:00:00 Europe/Berlin',
        '2024-01-01 10:00:00+05:30:15',
      ],
      ...times(SPELLINGS_PER_TYPE, () => mutate(moment(), '0123456789-: T.+Z')),
    ],
  };
}

/** @returns {Inputs} */
function boolInputs() {
  const words = ['true', 'false', 'yes', 'no', 'on', 'off', '1', '0', 't', 'f', 'y', 'n'];
  return {
    canonical: words,
    spellings: [
      ...items('o of offf TRUE 01 10 -1 2 truex ye fals null ſ'),
      ...['', ' ', ' tRu '],
      ...times(SPELLINGS_PER_TYPE, () => mutate(pick(words), 'trueyonfalsTF10 ')),
    ],
  };
}

/**
 * The inputs by type name, the same for the same seed. @param {number} seed @returns
 * {Record<string, Inputs>}
 */
export function hashInputs(seed) {
  state = seed >>> 0;
  return {
    int2: intInputs(16),
    int4: intInputs(32),
    int8: intInputs(64),
    text: textInputs(),
    varchar: textInputs(),
    uuid: uuidInputs(),
    bytea: byteaInputs(),
    numeric: numericInputs(),
    date: dateInputs(),
    timestamp: timestampInputs(false),
    timestamptz: timestampInputs(true),
    bool: boolInputs(),
  };
}
