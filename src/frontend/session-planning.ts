import type { CatalogRelation } from '../keyspace/catalog.js';
import { Names } from '../planner/names.js';
import { sequenceNamed } from '../planner/sequence-names.js';
import type { PlanContext } from '../planner/planner.js';
import type { PlannedText, Refusal } from '../planner/plan.js';
import type { Literals } from '../sql/literals.js';
import type { Planner } from '../planner/planner.js';
import { isCatalogFresh } from './fresh-catalog.js';
import { IdFiller } from './id-filler.js';
import { LookupShards } from './lookup-shards.js';
import { SchemaOverlay } from './schema-overlay.js';
import { sqlError } from '../errors/sql-error.js';
import { wishNames, type WishTexts } from '../planner/wishes/wish.js';
import { assert } from '../util/assert.js';
import { onlyPlan } from './parse-queue.js';
import { meaningKey } from './read-settings.js';
import { parseSearchPath } from './search-path.js';
import { settingOf } from './setting-effects.js';
import { isShardPlan, refusalError, type ShardPlan } from './shard-choice.js';
import type { Session } from './session.js';

/** The planner as one session asks it: with its search path, and waiting where a text is planned aside. */
export class SessionPlanning {
  /** Gives texts the values that they lack. */
  readonly ids: IdFiller;
  /** Asks lookups where rows are. */
  readonly lookups: LookupShards;
  /** What the open transaction has made of the schema. */
  readonly overlay: SchemaOverlay;
  private readonly session: Session;
  private context: PlanContext | null = null;
  /** The settings that `context` was last found to hold for. */
  private contextSettings: ReadonlyMap<string, string> | null = null;
  private contextMeaning = '';
  private aside: { readonly planned: PlannedText } | { readonly error: unknown } | null = null;

  constructor(session: Session) {
    this.session = session;
    this.ids = new IdFiller(session);
    this.lookups = new LookupShards(session);
    this.overlay = new SchemaOverlay(session);
  }

  /** Equal while names mean the same. */
  get searchPathKey(): string {
    return this.current().searchPathKey;
  }

  /** Equal while servers read the same text the same way. */
  get meaningKey(): string {
    this.current();
    return this.contextMeaning;
  }

  get planner(): Planner {
    return this.session.catalogStale ? this.overlay.planner : this.session.context.planner;
  }

  /** What planning depends on besides the text. */
  contextFor(paramTypes: readonly number[]): PlanContext {
    const context = this.current();
    if (paramTypes.length === 0) return context;
    return { ...context, paramTypes, paramTypesKey: paramTypes.join(',') };
  }

  private current(): PlanContext {
    const { settings, work } = this.session;
    const { context } = this;
    const { temporary } = this.session.pins;
    // Asked several times a statement.
    const sameSettings = this.contextSettings === settings.current && !work.changesSettings;
    if (context !== null && sameSettings && context.temporary === temporary) return context;
    this.contextMeaning = meaningKey((name) => this.setting(name));
    const path = this.setting('search_path');
    const set = this.setting('role');
    const role = set === 'none' ? undefined : set;
    const wish = this.wish();
    const pathKey = path === undefined && role === undefined ? '' : `${path ?? ''}\0${role ?? ''}`;
    const namesKey = temporary === null ? pathKey : `${pathKey}\0${temporary.key}`;
    const searchPathKey = wish === undefined ? namesKey : `${namesKey}\0\0${keyOfWish(wish)}`;
    this.contextSettings = work.changesSettings ? null : settings.current;
    if (context?.searchPathKey === searchPathKey && context.temporary === temporary) return context;
    const searchPath = parseSearchPath(path ?? this.serverDefault(), role ?? this.serverUser());
    this.context = {
      searchPath,
      searchPathKey,
      temporary,
      wish,
      paramTypes: NO_TYPES,
      paramTypesKey: '',
    };
    return this.context;
  }

  /** What the session's settings say of where statements go; undefined: nothing. */
  private wish(): WishTexts | undefined {
    let found: Record<string, string> | undefined;
    for (const name of wishNames) {
      const value = this.setting(`shardgate.${name}`);
      if (value !== undefined && value !== '') found = { ...found, [name]: value };
    }
    return found;
  }

  /** The sequence of this name, as regclass input reads it; null: there is none. Temporary ones are refused: 0A000. */
  sequenceNamed(text: string): CatalogRelation | null {
    const { searchPath, temporary = null } = this.current();
    const { topology } = this.session.context.config;
    const names = new Names(topology, this.planner.catalog, searchPath, temporary);
    const sequence = sequenceNamed(text, names);
    if (sequence?.temporary !== true) return sequence;
    throw sqlError('feature_not_supported', 'currval of a temporary sequence is not supported', {
      hint: 'Use RETURNING.',
    });
  }

  /**
   * The plan of a text; null: wait, the message is handled again. Throws SqlError (42601 and the like).
   * @param oneMoment with the time of the transaction to be filled in
   */
  plan(
    buffer: Buffer,
    start: number,
    end: number,
    paramTypes: readonly number[],
    literals: Literals,
    oneMoment = false,
  ): PlannedText | null {
    const { session, aside } = this;
    if (session.pins.unread && !session.pins.read()) return null;
    if (aside !== null) {
      this.aside = null;
      if ('error' in aside) throw aside.error;
      return aside.planned;
    }
    if (session.catalogStale && !this.seesSchema(buffer, start, end, literals)) return null;
    const usual = this.contextFor(paramTypes);
    const context = oneMoment ? { ...usual, oneMoment } : usual;
    const planned = this.planner.plan(buffer, start, end, context, literals);
    if (!(planned instanceof Promise)) return planned;
    session.busy = true;
    const turn = ++session.turn;
    planned.then(
      (result) => {
        this.goOnWith({ planned: result }, turn);
      },
      (error: unknown) => {
        this.goOnWith({ error }, turn);
      },
    );
    return null;
  }

  /** False: the schema as the transaction has left it must be read first. COMMIT and the like need none. */
  private seesSchema(buffer: Buffer, start: number, end: number, literals: Literals): boolean {
    const { overlay } = this;
    if (!overlay.isStale) return true;
    const planned = this.planner.plan(buffer, start, end, this.contextFor(NO_TYPES), literals);
    if (!(planned instanceof Promise)) {
      const isLocal = planned.statements.every(({ plan }) => plan.kind === 'local');
      if (isLocal) return true;
    }
    return overlay.isFresh();
  }

  /**
   * The plan of a statement whose shared plan was not enough for several shards (`replan`). Throws
   * SqlError 0A000: the refusal, or a text that is too large to be planned at once.
   */
  planForValues(text: Buffer, literals: Literals): ShardPlan {
    const context = { ...this.contextFor(NO_TYPES), knowsValues: true };
    const planned = this.planner.plan(text, 0, text.length, context, literals);
    if (planned instanceof Promise) {
      planned.catch(() => undefined);
      throw sqlError(
        'feature_not_supported',
        'a statement of this size over several shards is not supported',
        { hint: 'Give the values as parameters.' },
      );
    }
    const plan = onlyPlan(planned);
    if (plan.kind === 'refuse') throw refusalError(plan.refusal);
    assert(isShardPlan(plan), 'a statement that needs shards no more');
    return plan;
  }

  /**
   * A table that the catalog does not know may have been made past this proxy: true, once in a while, when the catalog
   * is loaded again first and the message is to be handled anew.
   */
  seesFreshCatalog(refusal: Refusal): boolean {
    const { session } = this;
    const { context } = session;
    if (refusal.state !== 'undefined_table' || isCatalogFresh(session)) return false;
    session.busy = true;
    const turn = ++session.turn;
    void context.reloadCatalog().then(() => {
      if (turn === session.turn) session.resumeSoon();
    });
    return true;
  }

  /** A setting's value as it is now, inside the transaction; undefined: the server's default. */
  private setting(name: string): string | undefined {
    return settingOf(this.session, name);
  }

  /** PostgreSQL 18 reports the search path that a login begins with; before, it is taken to be the usual one. */
  private serverDefault(): string | undefined {
    return this.session.context.serverParameters().get('search_path');
  }

  /** `"$user"` is who the shards know, not who logged in here. */
  private serverUser(): string {
    const { servers, topology } = this.session.context.config;
    return servers[topology.catalogShard.index]!.primary.user;
  }

  private goOnWith(aside: NonNullable<SessionPlanning['aside']>, turn: number): void {
    const { session } = this;
    // The message may have become void by an error of an earlier one.
    if (session.over || turn !== session.turn) return;
    this.aside = aside;
    session.busy = false;
    session.pump();
  }
}

/** Equal for equal wishes. */
function keyOfWish(wish: WishTexts): string {
  return wishNames.map((name) => wish[name] ?? '').join('\0');
}

const NO_TYPES: readonly number[] = [];
