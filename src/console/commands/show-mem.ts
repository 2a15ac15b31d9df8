import { memoryUsage } from 'node:process';
import type { ConsoleContext } from '../console-context.js';
import { showCommand } from '../show.js';

/** `used` and `free` count entries of `size` bytes each; of the process's memory these are kilobytes. */
interface MemoryRow {
  readonly name: string;
  readonly size: number;
  readonly used: number;
  readonly free: number;
  /** Bytes. */
  readonly total: number;
}

export const showMem = showCommand<MemoryRow>({
  name: 'MEM',
  help: 'Memory of the process and of the plans that it keeps',
  columns: [
    { name: 'name', type: 'text', of: ({ name }) => name },
    { name: 'size', type: 'int4', of: ({ size }) => size },
    { name: 'used', type: 'int4', of: ({ used }) => used },
    { name: 'free', type: 'int4', of: ({ free }) => free },
    { name: 'memtotal', type: 'int8', of: ({ total }) => total },
  ],
  items: memory,
});

function memory({ proxy }: ConsoleContext): MemoryRow[] {
  const { rss, heapTotal, heapUsed, external } = memoryUsage();
  const { entries, bytes } = proxy.metrics.planCacheSize();
  return [
    kilobytes('process', rss, 0),
    kilobytes('heap', heapUsed, heapTotal - heapUsed),
    kilobytes('buffers', external, 0),
    {
      name: 'plan_cache',
      size: entries === 0 ? 0 : Math.round(bytes / entries),
      used: entries,
      free: 0,
      total: bytes,
    },
  ];
}

function kilobytes(name: string, used: number, free: number): MemoryRow {
  const kB = (bytes: number): number => Math.round(bytes / 1024);
  return { name, size: 1024, used: kB(used), free: kB(free), total: used + free };
}
