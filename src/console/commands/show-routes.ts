import { routeLabels } from '../../metrics/kinds.js';
import { showCommand } from '../show.js';

interface RouteCount {
  readonly route: string;
  readonly statements: number;
  readonly share: number;
}

export const showRoutes = showCommand<RouteCount>({
  name: 'ROUTES',
  help: 'How many statements took which way since the start, and their share of all in percent',
  columns: [
    { name: 'route', type: 'text', of: ({ route }) => route },
    { name: 'statements', type: 'int8', of: ({ statements }) => statements },
    { name: 'percent', type: 'float8', of: ({ share }) => share },
  ],
  items: ({ proxy }) => {
    const counts = proxy.metrics.statementsByRoute;
    const all = counts.reduce((sum, count) => sum + count, 0);
    return routeLabels.map((route, index) => {
      const statements = counts[index]!;
      const share = all === 0 ? 0 : Math.round((statements / all) * 10_000) / 100;
      return { route, statements, share };
    });
  },
});
