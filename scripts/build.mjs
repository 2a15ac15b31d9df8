// @ts-check
// Compiles src/ to dist/ (`npm run build`).
import { build } from './lib/build.mjs';
import { printFailure } from './lib/project.mjs';

try {
  await build();
} catch (error) {
  printFailure(error);
  process.exitCode = 1;
}
