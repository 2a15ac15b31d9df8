import { makeBinaryVindex } from './binary.js';
import { compositeType } from './composite.js';
import { directoryType } from './directory.js';
import { makeHashVindex } from './hash.js';
import { listType } from './list.js';
import { makeMd5Vindex } from './md5.js';
import { makeNumericVindex } from './numeric.js';
import { plainType, type VindexType } from './options.js';
import { rangeType } from './range.js';
import { regionType } from './region.js';
import { makeRingVindex } from './ring.js';
import { saltedType } from './salted.js';
import { tieredType } from './tiered.js';
import { timeType } from './time.js';
import { makeUnicodeLooseVindex } from './unicode-loose.js';
import { makeXxhashVindex } from './xxhash.js';

/**
 * Every vindex type by the name the configuration uses. A new vindex is one file and one line here.
 */
export const vindexTypes = {
  hash: plainType("PostgreSQL's own hash of the value", makeHashVindex),
  xxhash: plainType("XXH64 of the value's text, as in Vitess", makeXxhashVindex),
  md5: plainType("MD5 of the value's text, as in Vitess's binary_md5", makeMd5Vindex),
  numeric: plainType('The number itself', makeNumericVindex),
  binary: plainType("The value's first eight bytes", makeBinaryVindex),
  range: rangeType,
  time: timeType,
  tiered: tieredType,
  list: listType,
  directory: directoryType,
  region: regionType,
  composite: compositeType,
  salted: saltedType,
  ring: plainType('The ids of hash, over shards with weights', makeRingVindex),
  unicode_loose: plainType('A hash of text without case and accents', makeUnicodeLooseVindex),
} as const satisfies Record<string, VindexType>;

export type VindexTypeName = keyof typeof vindexTypes;

export function isVindexType(type: string): type is VindexTypeName {
  return Object.hasOwn(vindexTypes, type);
}
