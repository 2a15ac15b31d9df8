import { parentPort, workerData } from 'node:worker_threads';
import { ENGINE_MEMORY_MAX } from './parse-limits.js';
import { ParseEngine, type EngineCode, type ParseOutcome } from './parse-engine.js';
import { packTree, type TreePart } from './tree-parts.js';

/** To the worker: a text to parse, or the wish for the next part of the tree found. */
export type WorkerRequest =
  { readonly kind: 'parse'; readonly text: Uint8Array } | { readonly kind: 'next' };

/** From the worker: a part of the tree, `last` on the last one, or the outcome where there is no tree. */
export type WorkerReply =
  | { readonly kind: 'part'; readonly part: TreePart; readonly last: boolean }
  | Exclude<ParseOutcome, { kind: 'tree' }>;

/** The thread's body: parses one text at a time and hands the tree over part by part, each on request. */
function serve(code: EngineCode): void {
  const port = parentPort!;
  let engine: Promise<ParseEngine> = ParseEngine.create(code);
  let parts: TreePart[] = [];
  let sent = 0;

  const sendPart = (): void => {
    const part = parts[sent++];
    if (part === undefined) throw new Error('no part is left');
    const last = sent === parts.length;
    if (last) parts = [];
    port.postMessage({ kind: 'part', part, last } satisfies WorkerReply);
  };

  const parse = async (text: Uint8Array): Promise<void> => {
    let current = await engine;
    if (current.broken || current.memoryBytes > ENGINE_MEMORY_MAX) {
      engine = ParseEngine.create(code);
      current = await engine;
    }
    const outcome = current.parse(text, 0, text.length);
    if (outcome.kind !== 'tree') {
      port.postMessage(outcome satisfies WorkerReply);
      return;
    }
    parts = packTree(JSON.parse(outcome.json) as Parameters<typeof packTree>[0]);
    sent = 0;
    sendPart();
  };

  port.on('message', (request: WorkerRequest) => {
    if (request.kind === 'next') sendPart();
    else void parse(request.text);
  });
}

if (parentPort !== null) serve(workerData as EngineCode);
