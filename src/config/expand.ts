/** Text with its `${NAME}` replaced, or why that cannot be done. */
export type Expansion =
  | { readonly ok: true; readonly text: string; readonly expanded: boolean }
  | { readonly ok: false; readonly message: string; readonly cure: string };

/**
 * `$${`, `${NAME}`, `${NAME:-default}`, or a `${` that is none of them. A lone `$` means itself
 * (SCRAM verifiers).
 */
const PLACEHOLDER = /\$\$\{|\$\{([A-Za-z_][A-Za-z0-9_]*)(?::-([^}]*))?\}|\$\{/g;

/** Puts environment variables into a value; `$${` stands for the two characters `${`. */
export function expandVariables(
  text: string,
  env: Readonly<Record<string, string | undefined>>,
  encode: (value: string, offset: number) => string = (value) => value,
): Expansion {
  let expanded = false;
  let failure: Expansion | null = null;
  const result = text.replace(
    PLACEHOLDER,
    (match: string, name: string | undefined, fallback: string | undefined, offset: number) => {
      if (match === '$${') return '${';
      if (name === undefined) {
        failure ??= {
          ok: false,
          message: '"${" that names no environment variable',
          cure: 'write ${NAME} or ${NAME:-default}, or $${ for the two characters themselves',
        };
        return match;
      }
      // A variable that is set but empty counts as set: `${X:-d}` differs from a shell there on
      // purpose.
      const value = env[name] ?? fallback;
      if (value === undefined) {
        failure ??= {
          ok: false,
          message: `environment variable ${name} is not set`,
          cure: `set it, or write \${${name}:-default}`,
        };
        return match;
      }
      expanded = true;
      return encode(value, offset);
    },
  );
  return failure ?? { ok: true, text: result, expanded };
}

/**
 * As `expandVariables`, for a URL: what stands for user or password is percent-encoded, so that a
 * password with `@` or `/` needs no care. A variable that is the whole URL goes in as it is.
 */
export function expandUrl(
  text: string,
  env: Readonly<Record<string, string | undefined>>,
): Expansion {
  const scheme = text.indexOf('://');
  const authority = scheme === -1 ? -1 : text.indexOf('/', scheme + 3);
  const at = scheme === -1 ? -1 : text.lastIndexOf('@', authority === -1 ? undefined : authority);
  return expandVariables(text, env, (value, offset) =>
    offset > scheme && offset < at ? percentEncode(value) : value,
  );
}

/** encodeURIComponent throws on lone surrogates, which a YAML escape can write. */
function percentEncode(value: string): string {
  return encodeURIComponent(value.replace(/\p{Surrogate}/gu, '\ufffd'));
}
