import { createRequire } from 'node:module';

/** The parts of node-postgres's own SCRAM client that a login uses. */
interface Sasl {
  startSession(mechanisms: readonly string[]): SaslSession;
  continueSession(session: SaslSession, password: string, serverFirst: string): Promise<void>;
  finalizeSession(session: SaslSession, serverFinal: string): void;
}

interface SaslSession {
  readonly mechanism: string;
  /** What the client sends next. */
  response: string;
}

/** An implementation that shares no code with ours; node-postgres does not export it. */
export const pgSasl = createRequire(import.meta.url)('pg/lib/crypto/sasl.js') as Sasl;
