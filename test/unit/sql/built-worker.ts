import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { fileURLToPath, pathToFileURL } from 'node:url';
import ts from 'typescript';

/** The modules that run in the parser thread. */
const modules = ['parse-worker', 'parse-engine', 'parse-limits', 'tree-parts'];

export interface BuiltWorker {
  readonly url: URL;
  remove(): void;
}

/** Compiles the parser thread's modules: a thread starts from JavaScript, the tests run from sources. */
export function buildWorker(): BuiltWorker {
  const cache = fileURLToPath(new URL('../../../node_modules/.cache/', import.meta.url));
  mkdirSync(cache, { recursive: true });
  const folder = mkdtempSync(`${cache}parse-worker-`);
  writeFileSync(`${folder}/package.json`, '{"type":"module"}');
  for (const name of modules) {
    const source = readFileSync(new URL(`../../../src/sql/${name}.ts`, import.meta.url), 'utf8');
    const { outputText } = ts.transpileModule(source, {
      compilerOptions: { module: ts.ModuleKind.ESNext, target: ts.ScriptTarget.ES2022 },
    });
    writeFileSync(`${folder}/${name}.js`, outputText);
  }
  return {
    url: pathToFileURL(`${folder}/parse-worker.js`),
    remove: () => rmSync(folder, { recursive: true, force: true }),
  };
}
