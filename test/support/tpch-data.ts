/**
 * Data after the rules of the TPC-H standard (chapter 4.2), by a generator of our own: the
 * distributions, keys and dependencies are the standard's, the texts are simpler. The same scale
 * gives the same rows each time.
 */
import { Dice } from './chaos-random.js';

export interface TpchTable {
  readonly name: string;
  readonly columns: string;
  /** Lines of COPY in text format. */
  readonly lines: readonly string[];
}

const regions = ['AFRICA', 'AMERICA', 'ASIA', 'EUROPE', 'MIDDLE EAST'];
/** Names with the number of their region. */
const nations = (
  'ALGERIA 0|ARGENTINA 1|BRAZIL 1|CANADA 1|EGYPT 4|ETHIOPIA 0|FRANCE 3|GERMANY 3|INDIA 2|' +
  'INDONESIA 2|IRAN 4|IRAQ 4|JAPAN 2|JORDAN 4|KENYA 0|MOROCCO 0|MOZAMBIQUE 0|PERU 1|CHINA 2|' +
  'ROMANIA 3|SAUDI ARABIA 4|VIETNAM 2|RUSSIA 3|UNITED KINGDOM 3|UNITED STATES 1'
).split('|');
const colors = (
  'almond antique aquamarine azure beige bisque black blue blush brown burlywood chartreuse ' +
  'chocolate coral cornflower cream cyan forest frosted gainsboro ghost goldenrod green grey ' +
  'honeydew indian ivory khaki lace lavender lemon lime linen magenta maroon misty navy olive ' +
  'orchid pale peach plum powder puff purple red rose salmon sandy sienna sky slate smoke snow ' +
  'steel tan thistle tomato turquoise violet wheat white yellow'
).split(' ');
const typeSizes = ['STANDARD', 'SMALL', 'MEDIUM', 'LARGE', 'ECONOMY', 'PROMO'];
const typeFinishes = ['ANODIZED', 'BURNISHED', 'PLATED', 'POLISHED', 'BRUSHED'];
const typeMetals = ['TIN', 'NICKEL', 'BRASS', 'STEEL', 'COPPER'];
const containerSizes = ['SM', 'LG', 'MED', 'JUMBO', 'WRAP'];
const containers = ['CASE', 'BOX', 'BAG', 'JAR', 'PKG', 'PACK', 'CAN', 'DRUM'];
const segments = ['AUTOMOBILE', 'BUILDING', 'FURNITURE', 'MACHINERY', 'HOUSEHOLD'];
const priorities = ['1-URGENT', '2-HIGH', '3-MEDIUM', '4-NOT SPECIFIED', '5-LOW'];
const instructions = ['DELIVER IN PERSON', 'COLLECT COD', 'NONE', 'TAKE BACK RETURN'];
const modes = ['REG AIR', 'AIR', 'RAIL', 'SHIP', 'TRUCK', 'MAIL', 'FOB'];
const words = (
  'furiously quickly carefully blithely slyly ironic final special express regular pending ' +
  'unusual accounts requests deposits packages instructions theodolites platelets foxes sleep ' +
  'wake nag haggle cajole boost about above according across after'
).split(' ');

const DAY_MS = 86_400_000;
const START_DATE = Date.UTC(1992, 0, 1);
const END_DATE = Date.UTC(1998, 11, 31);
const CURRENT_DATE = Date.UTC(1995, 5, 17);
/** Orders end early enough for their lines to be received. */
const LAST_ORDER_DAY = (END_DATE - START_DATE) / DAY_MS - 151;

const columns: Readonly<Record<string, string>> = {
  region: 'r_regionkey int4, r_name char(25), r_comment varchar(152)',
  nation: 'n_nationkey int4, n_name char(25), n_regionkey int4, n_comment varchar(152)',
  supplier:
    's_suppkey int8, s_name char(25), s_address varchar(40), s_nationkey int4, s_phone char(15), ' +
    's_acctbal numeric(15,2), s_comment varchar(101)',
  part:
    'p_partkey int8, p_name varchar(55), p_mfgr char(25), p_brand char(10), p_type varchar(25), ' +
    'p_size int4, p_container char(10), p_retailprice numeric(15,2), p_comment varchar(23)',
  partsupp:
    'ps_partkey int8, ps_suppkey int8, ps_availqty int4, ps_supplycost numeric(15,2), ' +
    'ps_comment varchar(199)',
  customer:
    'c_custkey int8, c_name varchar(25), c_address varchar(40), c_nationkey int4, ' +
    'c_phone char(15), c_acctbal numeric(15,2), c_mktsegment char(10), c_comment varchar(117)',
  orders:
    'o_orderkey int8, o_custkey int8, o_orderstatus char(1), o_totalprice numeric(15,2), ' +
    'o_orderdate date, o_orderpriority char(15), o_clerk char(15), o_shippriority int4, ' +
    'o_comment varchar(79)',
  lineitem:
    'l_orderkey int8, l_partkey int8, l_suppkey int8, l_linenumber int4, ' +
    'l_quantity numeric(15,2), l_extendedprice numeric(15,2), l_discount numeric(15,2), ' +
    'l_tax numeric(15,2), l_returnflag char(1), l_linestatus char(1), l_shipdate date, ' +
    'l_commitdate date, l_receiptdate date, l_shipinstruct char(25), l_shipmode char(10), ' +
    'l_comment varchar(44)',
};

/** All eight tables. At scale 1, there are 6,000,000 lines of orders. */
export function tpchTables(scale: number): TpchTable[] {
  const dice = new Dice(19_920_101);
  const suppliers = Math.round(10_000 * scale);
  const parts = Math.round(200_000 * scale);
  const customers = Math.round(150_000 * scale);
  const lines: Readonly<Record<string, readonly string[]>> = {
    region: regions.map((name, key) => row(key, name, comment(dice))),
    nation: nations.map((nation, key) => {
      const at = nation.lastIndexOf(' ');
      return row(key, nation.slice(0, at), nation.slice(at + 1), comment(dice));
    }),
    supplier: upTo(suppliers, (key) => supplier(dice, key)),
    part: upTo(parts, (key) => part(dice, key)),
    partsupp: upTo(parts * 4, (n) => {
      const key = Math.floor((n - 1) / 4) + 1;
      const supplied = supplierOf(key, (n - 1) % 4, suppliers);
      return row(key, supplied, dice.between(1, 9999), money(dice, 100, 100_000), comment(dice));
    }),
    customer: upTo(customers, (key) => customer(dice, key)),
    ...ordersAndLines(dice, scale, { suppliers, parts, customers }),
  };
  return Object.entries(columns).map(([name, list]) => {
    return { name, columns: list, lines: lines[name]! };
  });
}

function supplier(dice: Dice, key: number): string {
  const nation = dice.below(25);
  // A few are complained about, which one query asks for.
  const text = dice.chance(0.03) ? 'bold Customer some Complaints' : comment(dice);
  const name = `Supplier#${padded(key, 9)}`;
  const balance = money(dice, -99_999, 999_999);
  return row(key, name, address(dice), nation, phone(dice, nation), balance, text);
}

function part(dice: Dice, key: number): string {
  const name = Array.from({ length: 5 }, () => dice.pick(colors)).join(' ');
  const maker = dice.between(1, 5);
  const type = [dice.pick(typeSizes), dice.pick(typeFinishes), dice.pick(typeMetals)].join(' ');
  return row(
    key,
    name,
    `Manufacturer#${maker}`,
    `Brand#${maker}${dice.between(1, 5)}`,
    type,
    dice.between(1, 50),
    `${dice.pick(containerSizes)} ${dice.pick(containers)}`,
    cents(retailPrice(key)),
    dice.pick(words),
  );
}

function customer(dice: Dice, key: number): string {
  const nation = dice.below(25);
  return row(
    key,
    `Customer#${padded(key, 9)}`,
    address(dice),
    nation,
    phone(dice, nation),
    money(dice, -99_999, 999_999),
    dice.pick(segments),
    comment(dice),
  );
}

interface Counts {
  readonly suppliers: number;
  readonly parts: number;
  readonly customers: number;
}

function ordersAndLines(
  dice: Dice,
  scale: number,
  counts: Counts,
): { orders: string[]; lineitem: string[] } {
  const orders: string[] = [];
  const lineitem: string[] = [];
  const count = Math.round(1_500_000 * scale);
  for (let n = 0; n < count; n++) {
    // Eight of 32 keys are taken, and a third of the customers has no orders.
    const key = Math.floor(n / 8) * 32 + (n % 8) + 1;
    let customerKey = dice.between(1, counts.customers);
    if (customerKey % 3 === 0) customerKey -= 1;
    const ordered = START_DATE + dice.below(LAST_ORDER_DAY) * DAY_MS;
    let total = 0n;
    const statuses = new Set<string>();
    for (let number = dice.between(1, 7), line = 1; line <= number; line++) {
      const made = orderLine(dice, counts, key, line, ordered);
      lineitem.push(made.text);
      total += made.price;
      statuses.add(made.status);
    }
    orders.push(
      row(
        key,
        customerKey,
        statuses.size > 1 ? 'P' : [...statuses][0]!,
        cents(Number(total / 10_000n)),
        day(ordered),
        dice.pick(priorities),
        `Clerk#${padded(dice.between(1, Math.max(1, Math.round(1000 * scale))), 9)}`,
        0,
        comment(dice),
      ),
    );
  }
  return { orders, lineitem };
}

/** `price` with discount and tax, in millionths. */
function orderLine(
  dice: Dice,
  { suppliers, parts }: Counts,
  key: number,
  line: number,
  ordered: number,
): { text: string; price: bigint; status: string } {
  const partKey = dice.between(1, parts);
  const quantity = dice.between(1, 50);
  const price = quantity * retailPrice(partKey);
  const [discount, tax] = [dice.between(0, 10), dice.between(0, 8)];
  const shipped = ordered + dice.between(1, 121) * DAY_MS;
  const received = shipped + dice.between(1, 30) * DAY_MS;
  const status = shipped > CURRENT_DATE ? 'O' : 'F';
  const text = row(
    key,
    partKey,
    supplierOf(partKey, dice.below(4), suppliers),
    line,
    `${quantity}.00`,
    cents(price),
    cents(discount),
    cents(tax),
    received <= CURRENT_DATE ? dice.pick(['R', 'A']) : 'N',
    status,
    day(shipped),
    day(ordered + dice.between(30, 90) * DAY_MS),
    day(received),
    dice.pick(instructions),
    dice.pick(modes),
    comment(dice).slice(0, 43),
  );
  return { text, price: BigInt(price) * BigInt((100 - discount) * (100 + tax)), status };
}

/** In cents. */
function retailPrice(part: number): number {
  return 90_000 + (Math.floor(part / 10) % 20_001) + 100 * (part % 1000);
}

/** The n-th of the four suppliers of a part. */
function supplierOf(part: number, n: number, suppliers: number): number {
  const step = Math.floor(suppliers / 4) + Math.floor((part - 1) / suppliers);
  return ((part + n * step) % suppliers) + 1;
}

function row(...values: readonly (string | number)[]): string {
  return values.join('\t');
}

function upTo(count: number, make: (key: number) => string): string[] {
  return Array.from({ length: count }, (_, i) => make(i + 1));
}

function padded(value: number, digits: number): string {
  return String(value).padStart(digits, '0');
}

/** An amount between two others, all in cents. */
function money(dice: Dice, from: number, to: number): string {
  return cents(dice.between(from, to));
}

function cents(value: number): string {
  const sign = value < 0 ? '-' : '';
  const digits = padded(Math.abs(value), 3);
  return `${sign}${digits.slice(0, -2)}.${digits.slice(-2)}`;
}

function day(time: number): string {
  return new Date(time).toISOString().slice(0, 10);
}

function phone(dice: Dice, nation: number): string {
  const part = (from: number, to: number): number => dice.between(from, to);
  return `${10 + nation}-${part(100, 999)}-${part(100, 999)}-${part(1000, 9999)}`;
}

function address(dice: Dice): string {
  return `${dice.pick(words)} ${dice.between(1, 999)}`;
}

function comment(dice: Dice): string {
  return Array.from({ length: dice.between(3, 7) }, () => dice.pick(words)).join(' ');
}
