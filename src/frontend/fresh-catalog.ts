import type { Session } from './session.js';

/** Clients that ask for what is not there must not keep the shards busy with catalog queries. */
const CATALOG_FRESH_MS = 1000;

/** The catalog is so young that it need not be loaded again for what it does not have. */
export function isCatalogFresh({ context }: Session): boolean {
  return context.catalogAgeMs() < CATALOG_FRESH_MS;
}

/** The schema has been changed past this proxy: statements that come from now on shall see it. */
export function refreshCatalog(session: Session): void {
  if (!isCatalogFresh(session)) void session.context.reloadCatalog();
}
