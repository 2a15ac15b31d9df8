/**
 * Bounds that keep libpg-query safe. It recurses over the parse tree on the thread's stack, and after a stack overflow
 * the instance may hang, so statements are measured before they reach it.
 */

/**
 * Most tokens that are parsed on the main thread. Measured with libpg-query 18 on Node 20's default stack (984 kB):
 * the tightest constructs overflow at some 8,000 tokens (`array(select` nested, COLLATE and AT TIME ZONE chains, NOT
 * chains in cold code); 3,000 leaves more than half of the stack to the callers and takes less than 20 ms.
 */
export const MAIN_TOKENS_MAX = 3_000;

/**
 * Longest run of operator characters, which PostgreSQL's lexer splits in quadratic time (20 kB of `+` take 500 ms). An
 * operator's name has 63 bytes at most; signs in a row (`1 - +-2`) are still accepted up to here.
 */
export const OPERATOR_BYTES_MAX = 256;

/** Longest text parsed on the main thread, in bytes: few tokens may still carry long strings (about 5 ms here). */
export const MAIN_TEXT_BYTES_MAX = 512 * 1024;

/** Most tokens that are parsed at all: a multi-row INSERT of 100,000 values; about one second in the worker. */
export const WORKER_TOKENS_MAX = 400_000;

/** Longest text parsed at all, in bytes: longer values belong into parameters or COPY. */
export const WORKER_TEXT_BYTES_MAX = 16 * 1024 * 1024;

/** Largest parse tree as JSON, in bytes; its objects take some six times as much. */
export const TREE_BYTES_MAX = 16 * 1024 * 1024;

/**
 * Deepest parse tree, in nested JSON objects and arrays: about 1,200 `+` or 800 NOT in a row. The planner recurses over
 * trees: this leaves it 400 bytes of stack for each of these levels.
 */
export const TREE_DEPTH_MAX = 2_400;

/** A tree of this depth cannot be shorter, since a level costs at least `{"A":`. */
export const TREE_DEPTH_BYTES_MIN = TREE_DEPTH_MAX * 5;

/** An instance whose memory has grown beyond this is replaced; WASM memory never shrinks. It starts with 128 MB. */
export const ENGINE_MEMORY_MAX = 256 * 1024 * 1024;

/**
 * A statement may keep the worker busy this long before the worker is ended. Some twenty times what the largest one
 * takes, since the processor may have more to do.
 */
export const WORKER_TIME_MAX_MS = 20_000;

/** Statements that wait for the worker; more are refused at once. Together they hold at most this many bytes. */
export const WORKER_QUEUE_MAX = 64;
export const WORKER_QUEUE_BYTES_MAX = 64 * 1024 * 1024;

/** An unused worker is ended after this time, which gives its memory back. */
export const WORKER_IDLE_MS = 30_000;

/**
 * Stack of the worker in MB. The C stack inside the WASM memory (32 MB, unguarded) was measured to grow at most
 * 1.2 times as fast as the thread's stack, so the thread's stack, which is guarded, always ends first.
 */
export const WORKER_STACK_MB = 8;

/** JavaScript heap of the worker in MB: tree objects, their JSON and slices of it at once. */
export const WORKER_HEAP_MB = 512;

/** Size of the pieces in which a large tree comes back to the main thread, in bytes of JSON: about 2 ms each. */
export const TREE_PART_BYTES = 128 * 1024;
