import { Worker } from 'node:worker_threads';
import {
  WORKER_HEAP_MB,
  WORKER_IDLE_MS,
  WORKER_QUEUE_BYTES_MAX,
  WORKER_QUEUE_MAX,
  WORKER_STACK_MB,
  WORKER_TIME_MAX_MS,
} from './parse-limits.js';
import type { EngineCode, ParseOutcome } from './parse-engine.js';
import type { WorkerReply, WorkerRequest } from './parse-worker.js';
import { TreeAssembler } from './tree-parts.js';

/** A parsed tree as an object, or why there is none. */
export type ThreadOutcome =
  { readonly kind: 'tree'; readonly tree: unknown } | Exclude<ParseOutcome, { kind: 'tree' }>;

interface Job {
  readonly text: Uint8Array;
  readonly resolve: (outcome: ThreadOutcome) => void;
}

export interface ParseThreadOptions {
  /** The compiled parse-worker module. */
  readonly workerUrl: URL;
  readonly timeMaxMs?: number;
  readonly idleMs?: number;
}

/**
 * Parses oversized statements one after the other in a thread of their own, which starts with the first one:
 *
 *   queue -> worker: parse -> part, next, part, next, ... last part -> the job's promise
 *               |  time over, crash, out of memory: the worker is ended, the job answers tooComplex,
 *               |  and the next job starts a new worker
 *               '- nothing to do for a while: the worker is ended
 */
export class ParseThread {
  readonly #code: EngineCode;
  readonly #options: Required<ParseThreadOptions>;
  readonly #queue: Job[] = [];
  #queuedBytes = 0;
  #worker: Worker | null = null;
  #current: Job | null = null;
  #assembler = new TreeAssembler();
  /** Ends a job that takes too long, or an idle worker. */
  #timer: NodeJS.Timeout | null = null;
  #closed = false;

  constructor(code: EngineCode, options: ParseThreadOptions) {
    this.#code = code;
    this.#options = { timeMaxMs: WORKER_TIME_MAX_MS, idleMs: WORKER_IDLE_MS, ...options };
  }

  /** Takes ownership of `text`, which must be valid UTF-8 without NUL and own its whole buffer. */
  parse(text: Uint8Array): Promise<ThreadOutcome> {
    if (this.#closed) return Promise.resolve(refused('the parser is closed'));
    const full =
      this.#queue.length >= WORKER_QUEUE_MAX ||
      this.#queuedBytes + text.length > WORKER_QUEUE_BYTES_MAX;
    if (full) return Promise.resolve(refused('too many large statements wait to be parsed'));
    return new Promise((resolve) => {
      this.#queue.push({ text, resolve });
      this.#queuedBytes += text.length;
      this.#startNext();
    });
  }

  /** Ends the worker; whatever waits answers `tooComplex`. */
  async close(): Promise<void> {
    this.#closed = true;
    for (const job of this.#queue.splice(0)) job.resolve(refused('the parser is closed'));
    this.#queuedBytes = 0;
    await this.#endWorker('the parser is closed');
  }

  #startNext(): void {
    if (this.#current !== null) return;
    const job = this.#queue.shift();
    if (job === undefined) {
      this.#arm(this.#options.idleMs, 'idle');
      return;
    }
    this.#queuedBytes -= job.text.length;
    this.#current = job;
    this.#assembler = new TreeAssembler();
    this.#worker ??= this.#startWorker();
    this.#arm(this.#options.timeMaxMs, `parsing took longer than ${this.#options.timeMaxMs} ms`);
    const request: WorkerRequest = { kind: 'parse', text: job.text };
    this.#worker.postMessage(request, [job.text.buffer as ArrayBuffer]);
  }

  #startWorker(): Worker {
    const worker = new Worker(this.#options.workerUrl, {
      workerData: this.#code,
      resourceLimits: { stackSizeMb: WORKER_STACK_MB, maxOldGenerationSizeMb: WORKER_HEAP_MB },
    });
    // An idle parser must not keep the process alive; a client that waits for an answer does.
    worker.unref();
    worker.on('message', (reply: WorkerReply) => {
      if (this.#worker === worker) this.#onReply(reply);
    });
    worker.on('error', (error: Error) => {
      if (this.#worker === worker) void this.#endWorker(error.message);
    });
    worker.on('exit', () => {
      if (this.#worker === worker) void this.#endWorker('the parser thread ended');
    });
    return worker;
  }

  #onReply(reply: WorkerReply): void {
    if (reply.kind !== 'part') {
      this.#finish(reply);
      return;
    }
    this.#assembler.add(reply.part);
    if (reply.last) {
      this.#finish({ kind: 'tree', tree: this.#assembler.finish() });
      return;
    }
    // Asking from a later turn lets everyone else's events in between two parts.
    const worker = this.#worker;
    setImmediate(() => {
      const request: WorkerRequest = { kind: 'next' };
      if (worker === this.#worker) worker?.postMessage(request);
    });
  }

  #finish(outcome: ThreadOutcome): void {
    const job = this.#current;
    this.#current = null;
    this.#assembler = new TreeAssembler();
    if (this.#timer !== null) clearTimeout(this.#timer);
    job?.resolve(outcome);
    if (!this.#closed) this.#startNext();
  }

  #arm(ms: number, reason: string): void {
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#timer = setTimeout(() => void this.#endWorker(reason), ms);
    this.#timer.unref();
  }

  /** The one place that lets go of a worker. Its job, if any, is refused, and the next one gets a new worker. */
  async #endWorker(reason: string): Promise<void> {
    const worker = this.#worker;
    this.#worker = null;
    if (this.#timer !== null) clearTimeout(this.#timer);
    if (this.#current !== null) this.#finish(refused(reason));
    await worker?.terminate();
  }
}

function refused(reason: string): ThreadOutcome {
  return { kind: 'tooComplex', reason };
}
