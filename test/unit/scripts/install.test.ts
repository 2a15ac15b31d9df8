import { expect, test } from 'vitest';
import { firstDifference } from '../../../scripts/lib/install.mjs';

const linux = { os: 'linux', cpu: 'x64' };
const locked = {
  '': { version: '1.0.0' },
  'node_modules/a': { version: '1.0.0', integrity: 'sha512-a' },
  'node_modules/b/node_modules/a': { version: '2.0.0', integrity: 'sha512-a2' },
  'node_modules/for-linux': { version: '1.0.0', optional: true, os: ['linux'], cpu: ['x64'] },
  'node_modules/for-mac': { version: '1.0.0', optional: true, os: ['darwin'], cpu: ['arm64'] },
};

function without(path: string): typeof locked {
  return Object.fromEntries(
    Object.entries(locked).filter(([other]) => other !== path),
  ) as typeof locked;
}

test('nothing is to be installed where all packages of this platform are there', () => {
  expect(firstDifference(locked, without('node_modules/for-mac'), linux)).toBeNull();
});

test('a missing node_modules is noticed', () => {
  expect(firstDifference(locked, null, linux)).toBe('none are installed yet');
});

test('a missing package is noticed, nested or for this platform', () => {
  expect(firstDifference(locked, without('node_modules/b/node_modules/a'), linux)).toBe(
    'a is missing',
  );
  expect(firstDifference(locked, without('node_modules/for-linux'), linux)).toBe(
    'for-linux is missing',
  );
});

test('another version, or other contents of the same version, are noticed', () => {
  const older = { ...locked, 'node_modules/a': { version: '0.9.0', integrity: 'sha512-a' } };
  expect(firstDifference(locked, older, linux)).toBe('a is not version 1.0.0');
  const other = { ...locked, 'node_modules/a': { version: '1.0.0', integrity: 'sha512-z' } };
  expect(firstDifference(locked, other, linux)).toBe('a is not version 1.0.0');
});
