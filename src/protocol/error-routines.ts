/**
 * The routine (field R) of "cached plan must not change result type" (PostgreSQL 18, plancache.c): the columns of a
 * statement that was parsed before are others now. Drivers prepare it anew when they see this: asyncpg, pgJDBC,
 * ActiveRecord.
 */
export const REVALIDATE_ROUTINE = 'RevalidateCachedQuery';
