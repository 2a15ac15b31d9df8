import { shapeText, type ShapeUsage } from '../../metrics/shape-usage.js';
import { showCommand } from '../show.js';

export const showQueries = showCommand<ShapeUsage>({
  name: 'QUERIES',
  help: 'Statements by their shape, literals as ?: how often, how long, over how many shards; the dearest first',
  columns: [
    { name: 'calls', type: 'int8', of: ({ calls }) => calls },
    { name: 'total_ms', type: 'float8', of: ({ micros }) => micros / 1000 },
    { name: 'mean_ms', type: 'float8', of: ({ micros, timed }) => millis(micros, timed) },
    { name: 'max_ms', type: 'float8', of: ({ microsMax }) => microsMax / 1000 },
    { name: 'rows', type: 'int8', of: ({ rows }) => rows },
    { name: 'route', type: 'text', of: ({ routes }) => routes.join(' ') },
    { name: 'shards', type: 'float8', of: ({ shards, calls }) => rounded(shards / calls) },
    { name: 'query', type: 'text', of: shapeText },
  ],
  items: ({ proxy }) => {
    const used = [...proxy.metrics.shapes.all()].filter(({ calls }) => calls > 0);
    return used.sort((a, b) => b.micros - a.micros);
  },
});

function millis(micros: number, calls: number): number {
  return calls === 0 ? 0 : Math.round(micros / calls) / 1000;
}

function rounded(value: number): number {
  return Math.round(value * 100) / 100;
}
