// @ts-check

/**
 * A module of the build, which is what is measured. Callers give it the type of its source, since
 * the build may not be there yet when types are checked.
 * @param {string} path below dist/
 * @returns {Promise<any>}
 */
export function fromDist(path) {
  return import(new URL(`../../dist/${path}`, import.meta.url).href);
}
