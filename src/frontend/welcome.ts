import { sqlError, SqlError } from '../errors/sql-error.js';
import { isUtf8 } from '../planner/setting-rules.js';
import { fatalError } from '../protocol/error-bytes.js';
import { cutName } from '../sql/cut-names.js';
import { tellCutNames } from './notices.js';
import type { Session } from './session.js';
import { refusedSetting } from './session-settings.js';

type Values = ReadonlyMap<string, string>;

/** The first step of a session: the settings of its startup message, judged by a backend where there are any. */
export class Welcome {
  private readonly session: Session;
  private readonly announce: (parameters: Values) => void;
  /** The backend's judgement is awaited. */
  pending = false;
  /** What the client was told where a backend has judged its settings. */
  private judged: Values | null = null;
  /** Its error, where it has refused them. */
  private refusal: Buffer | null = null;

  /** `announce` gets what the client is told of the server. */
  constructor(session: Session, announce: (parameters: Values) => void) {
    this.session = session;
    this.announce = announce;
  }

  begin(settings: Values): void {
    const { session } = this;
    const wanted = new Map<string, string>();
    for (const [name, value] of settings) {
      if (name === 'client_encoding' && isUtf8(value)) continue;
      const refusal = refusedSetting(name, value, 'FATAL');
      if (refusal !== null) {
        session.sendFatal(refusal);
        return;
      }
      wanted.set(name, value);
    }
    // Backends log in under a name of our own, which is not the client's.
    wanted.set('application_name', this.applicationName(wanted.get('application_name') ?? ''));
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

  /** As a server stores it: names are cut at 63 bytes, with a notice, and bytes beyond printable ASCII are escaped. */
  private applicationName(given: string): string {
    const cut = cutName(Buffer.from(given));
    if (cut !== null) tellCutNames(this.session, [cut]);
    const name = cut?.kept ?? given;
    return name.replace(/[^\x20-\x7e]/gu, (character) =>
      [...Buffer.from(character)]
        .map((byte) => `\\x${byte.toString(16).padStart(2, '0')}`)
        .join(''),
    );
  }

  /** A backend refused the settings; `[start, end)` is its ErrorResponse. */
  refused(buffer: Buffer, start: number, end: number): void {
    if (this.pending) this.refusal = fatalError(buffer, start, end);
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
      session.sendFatal(this.refusal ?? sqlError(state, message, { severity: 'FATAL', hint }));
    }
  }
}
