import { defineConfig } from 'vitest/config';

/** Two cores: the smallest CI machine. More workers only make timeouts likelier there. */
const WORKERS_MAX = 2;

export default defineConfig({
  test: {
    maxWorkers: WORKERS_MAX,
    projects: [
      {
        extends: true,
        test: {
          name: 'unit',
          include: ['test/unit/**/*.test.ts', 'test/fuzz/**/*.test.ts', 'test/plans/**/*.test.ts'],
          testTimeout: 20_000,
        },
      },
      {
        extends: true,
        test: {
          name: 'integration',
          include: ['test/{integration,wire}/**/*.test.ts', 'test/drivers/*.test.ts'],
          globalSetup: ['test/support/global-setup.ts'],
          testTimeout: 60_000,
          hookTimeout: 120_000,
        },
      },
    ],
  },
});
