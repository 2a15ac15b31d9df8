import { isIP, isIPv4 } from 'node:net';
import { networkInterfaces } from 'node:os';

/** An IP address in 16 bytes; IPv4 as ::ffff:a.b.c.d, the form in which sockets that listen to both show it. */
export type AddressBytes = Uint8Array;

/** The addresses that share the first `prefix` of 128 bits. */
export interface Network {
  readonly bytes: AddressBytes;
  readonly prefix: number;
}

const MAPPED = Buffer.from('00000000000000000000ffff', 'hex');
const MAPPED_BITS = 96;

/** Null: no IP address. A zone (`fe80::1%eth0`) is dropped. */
export function parseAddress(text: string): AddressBytes | null {
  const address = text.replace(/%.*$/, '');
  if (isIPv4(address)) return Buffer.concat([MAPPED, Buffer.from(address.split('.').map(Number))]);
  return isIP(address) === 6 ? parseIPv6(address) : null;
}

function parseIPv6(text: string): AddressBytes {
  // An IPv4 tail (::ffff:1.2.3.4) as two groups.
  const address = text.replace(/(\d+)\.(\d+)\.(\d+)\.(\d+)$/, (_, ...parts: string[]) => {
    const [a, b, c, d] = parts.slice(0, 4).map(Number);
    return `${(a! * 256 + b!).toString(16)}:${(c! * 256 + d!).toString(16)}`;
  });
  const [head = '', tail] = address.split('::');
  const groups = (part: string): string[] => (part === '' ? [] : part.split(':'));
  const front = groups(head);
  const back = tail === undefined ? [] : groups(tail);
  const zeros = Array<string>(8 - front.length - back.length).fill('0');
  const hex = [...front, ...zeros, ...back].map((group) => group.padStart(4, '0')).join('');
  return Buffer.from(hex, 'hex');
}

/** `10.0.0.0/8`, `fd00::/8`, or one address. Null: neither, or bits behind the prefix are set. */
export function parseNetwork(text: string): Network | null {
  const [address = '', length, ...more] = text.split('/');
  const bytes = parseAddress(address);
  if (bytes === null || more.length > 0 || address.includes('%')) return null;
  if (length === undefined) return { bytes, prefix: 128 };
  const offset = isIPv4(address) ? MAPPED_BITS : 0;
  const prefix = /^\d{1,3}$/.test(length) ? Number(length) + offset : Infinity;
  if (prefix > 128) return null;
  const network = { bytes, prefix };
  return firstBits(bytes, prefix).equals(bytes) ? network : null;
}

/** Whether the address is in the network; IPv4 addresses are in no network of IPv6, `::/0` included. */
export function networkHas({ bytes, prefix }: Network, address: AddressBytes): boolean {
  if (isMapped(bytes) !== isMapped(address)) return false;
  return firstBits(address, prefix).equals(firstBits(bytes, prefix));
}

function isMapped(address: AddressBytes): boolean {
  return MAPPED.equals(address.subarray(0, MAPPED.length));
}

function firstBits(address: AddressBytes, prefix: number): Buffer {
  const bits = Buffer.from(address);
  for (let i = 0; i < bits.length; i++) {
    const kept = Math.min(8, Math.max(0, prefix - 8 * i));
    bits[i]! &= (0xff << (8 - kept)) & 0xff;
  }
  return bits;
}

/** The networks that this machine is part of, now; `host`: its own addresses only. */
export function ownNetworks(which: 'host' | 'net'): readonly Network[] {
  return Object.values(networkInterfaces()).flatMap((addresses = []) =>
    addresses.flatMap(({ address, cidr }) => {
      const bytes = parseAddress(address);
      if (bytes === null) return [];
      const length = which === 'net' && cidr !== null ? Number(cidr.split('/')[1]) : NaN;
      if (Number.isNaN(length)) return [{ bytes, prefix: 128 }];
      return [{ bytes, prefix: isIPv4(address) ? MAPPED_BITS + length : length }];
    }),
  );
}
