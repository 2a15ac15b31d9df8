/** The emscripten module inside libpg-query, which its own wrapper can neither replace nor give a memory bound. */
declare module 'libpg-query/wasm/libpg-query.js' {
  export interface PgQueryModule {
    readonly HEAPU8: Uint8Array;
    readonly HEAPU32: Uint32Array;
    _malloc(size: number): number;
    _free(pointer: number): void;
    /** Takes NUL-terminated UTF-8, returns a PgQueryParseResult: pointers to tree (JSON), stderr text, error. */
    _wasm_parse_query_raw(text: number): number;
    _wasm_free_parse_result(result: number): void;
    /** Returns NUL-terminated JSON with the tokens, or an error message. */
    _wasm_scan(text: number): number;
    _wasm_free_string(text: number): void;
  }
  export interface PgQueryModuleOptions {
    instantiateWasm?(
      imports: Record<string, Record<string, () => void>>,
      receive: (instance: object) => void,
    ): void;
  }
  const createModule: (options?: PgQueryModuleOptions) => Promise<PgQueryModule>;
  export default createModule;
}
