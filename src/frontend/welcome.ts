import { sqlError, SqlError } from '../errors/sql-error.js';
import type { Session } from './session.js';
import { refusedSetting } from './session-settings.js';

type Values = ReadonlyMap<string, string>;

/** Names of UTF-8 that drivers send; the backends speak it already. */
const UTF8_NAMES = /^'?(utf-?8|unicode)'?$/i;

/** The first step of a session: the settings of its startup message, judged by a backend where there are any. */
export class Welcome {
  private readonly session: Session;
  private readonly announce: (parameters: Values) => void;
  /** The backend's judgement is awaited. */
  pending = false;
  /** What the client was told where a backend has judged its settings. */
  private judged: Values | null = null;

  /** `announce` gets what the client is told of the server. */
  constructor(session: Session, announce: (parameters: Values) => void) {
    this.session = session;
    this.announce = announce;
  }

  begin(settings: Values): void {
    const { session } = this;
    const wanted = new Map<string, string>();
    for (const [name, value] of settings) {
      if (name === 'client_encoding' && UTF8_NAMES.test(value)) continue;
      const refusal = refusedSetting(name, value, 'FATAL');
      if (refusal !== null) {
        session.sendFatal(refusal);
        return;
      }
      wanted.set(name, value);
    }
    // Backends log in under a name of our own, which is not the client's.
    const applicationName = wanted.get('application_name') ?? '';
    wanted.set('application_name', applicationName);
    session.settings.setBase(wanted);
    // Any text is a name for an application; every other setting is for a server to judge.
    if (wanted.size === 1) {
      this.announce(this.parameters);
      session.flushLocal();
      return;
    }
    this.pending = true;
    session.busy = true;
    this.goOn();
  }

  /** ParameterStatus values that the session began with, by name. */
  get parameters(): Values {
    const { context, settings } = this.session;
    const parameters = new Map(this.judged ?? context.serverParameters());
    parameters.set('application_name', settings.baseValue('application_name') ?? '');
    return parameters;
  }

  /** Called again when there is a backend. */
  goOn(): void {
    const { session } = this;
    try {
      const backend = session.lease(session.context.config.topology.catalogShard);
      if (backend === null) {
        session.flush();
        return;
      }
      this.pending = false;
      this.judged = new Map(backend.parameters);
      this.announce(this.parameters);
      session.releaseAll();
      session.busy = false;
      session.pump();
    } catch (error) {
      this.pending = false;
      if (!(error instanceof SqlError)) throw error;
      const { state, message, hint } = error;
      session.sendFatal(sqlError(state, message, { severity: 'FATAL', hint }));
    }
  }
}
