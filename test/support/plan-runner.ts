import type pg from 'pg';
import { ShardTargets, ValueSource } from '../../src/executor/shard-targets.js';
import type { Keyspace, Topology } from '../../src/keyspace/topology.js';
import { combineAggregate } from '../../src/planner/aggregates/index.js';
import type {
  FinalPiece,
  GatherInput,
  GatherSpec,
  MergeSpec,
  RoutePlan,
  ShardSelector,
} from '../../src/planner/plan.js';
import type { Literals } from '../../src/sql/literals.js';
import { quoteIdentifier, quoteLiteral } from '../../src/sql/quote.js';

export type Row = readonly (string | null)[];

/**
 * Runs the plan of a SELECT without parameters by its letter, one server after the other: what the
 * plan says is put to the proof, not how the proxy runs it. Values are in text format.
 */
export class PlanRunner {
  readonly #clients: ReadonlyMap<string, pg.Client>;
  readonly #topology: Topology;
  readonly #targets = new ShardTargets();
  readonly #source = new ValueSource();
  #tables = 0;

  constructor(clients: ReadonlyMap<string, pg.Client>, topology: Topology) {
    this.#clients = clients;
    this.#topology = topology;
  }

  /** The rows, and in which way they were made; null where the plan is refused after all. */
  async run(
    plan: RoutePlan,
    sql: string,
    text: Uint8Array,
    literals: Literals,
  ): Promise<{ readonly rows: Row[]; readonly way: string } | null> {
    Object.assign(this.#source, { text, textStart: 0, literals, bind: null });
    const servers = this.#serversOf(plan.shards);
    if (servers.length === 1) return { rows: await this.rows(servers[0]!, sql), way: 'oneShard' };
    const { many } = plan;
    switch (many.kind) {
      case 'concat':
        return { rows: await this.#rowsOfAll(servers, sql), way: many.kind };
      case 'counts':
        return { rows: [sumOf(await this.#rowsOfAll(servers, sql))], way: many.kind };
      case 'gather':
        return { rows: await this.#gathered(many.gather), way: many.kind };
      case 'merge':
        return { rows: await this.#merged(many.merge, servers), way: many.kind };
      default:
        return null;
    }
  }

  /** Rows that one server gives, in text format. */
  async rows(server: string, sql: string): Promise<Row[]> {
    return (await this.#query(server, sql)).rows;
  }

  async #query(server: string, sql: string): Promise<pg.QueryArrayResult<(string | null)[]>> {
    const types = { getTypeParser: () => (value: unknown) => value };
    return this.#clients.get(server)!.query({ text: sql, rowMode: 'array' as const, types });
  }

  async #rowsOfAll(servers: readonly string[], sql: string): Promise<Row[]> {
    const answers = await Promise.all(servers.map((server) => this.rows(server, sql)));
    return answers.flat();
  }

  /** The keys' comparisons are left to a server, which must come to the fallback's result. */
  async #merged(merge: MergeSpec, servers: readonly string[]): Promise<Row[]> {
    const visible = Array.from({ length: merge.visibleColumns }, (_, index) => `c${index + 1}`);
    const keys = merge.keys.map((_, index) => `k${index + 1}`);
    const order = merge.keys.map(
      ({ descending, nullsFirst }, index) =>
        `k${index + 1} ${descending ? 'desc' : 'asc'} nulls ${nullsFirst ? 'first' : 'last'}`,
    );
    const count = (name: string, rows: MergeSpec['limit']): string =>
      rows?.kind === 'constant' && rows.value !== null ? ` ${name} ${rows.value}` : '';
    const ties = merge.withTies ? ` fetch first ${countOf(merge)} rows with ties` : '';
    const cut = count('offset', merge.offset) + (ties || count('limit', merge.limit));
    const input: GatherInput = {
      ...merge.fallback.inputs[0]!,
      sql: merge.sql,
      columns: [...visible, ...keys],
    };
    const head = `select ${visible.join(', ')} from `;
    const tail = ` t${order.length === 0 ? '' : ` order by ${order.join(', ')}`}${cut}`;
    const final: FinalPiece[] = [head, { kind: 'input', input: 0 }, tail];
    const rows = await this.#gathered({ ...merge.fallback, inputs: [input], final }, servers);
    const fallback = await this.#gathered(merge.fallback);
    if (fallback.length !== rows.length) throw new Error('the fallback gives other rows');
    return merge.keys.length === 0 ? rows : fallback;
  }

  async #gathered(spec: GatherSpec, servers?: readonly string[]): Promise<Row[]> {
    const [home] = this.#serversOf(spec.home) as [string];
    const names: string[] = [];
    const types: number[][] = [];
    for (const input of spec.inputs) {
      const name = `sg_test_${this.#tables++}`;
      names.push(name);
      types.push(await this.#bring(input, name, home, servers ?? this.#serversOf(input.shards)));
    }
    const text = spec.final.map((piece) => {
      if (typeof piece === 'string') return piece;
      if (piece.kind === 'input') return names[piece.input]!;
      const columns = piece.columns.map(
        (column) => `${piece.alias}.${quoteIdentifier(spec.inputs[piece.input]!.columns[column]!)}`,
      );
      const columnTypes = piece.columns.map((column) => types[piece.input]![column]!);
      const combined = combineAggregate(piece.aggregate, columns, columnTypes);
      if (combined === null) throw new Error(`${piece.aggregate} does not combine`);
      return combined;
    });
    try {
      return await this.rows(home, text.join(''));
    } finally {
      for (const name of names) await this.rows(home, `drop table ${name}`);
    }
  }

  /** Makes an input a temporary table of the home; the types of its columns. */
  async #bring(
    input: GatherInput,
    name: string,
    home: string,
    servers: readonly string[],
  ): Promise<number[]> {
    const columns = input.columns.map(quoteIdentifier).join(', ');
    await this.rows(home, `create temp table ${name} (${columns}) as ${input.sql} with no data`);
    let types: number[] = [];
    for (const server of servers) {
      const { rows, fields } = await this.#query(server, input.sql);
      types = fields.map(({ dataTypeID }) => dataTypeID);
      if (rows.length === 0) continue;
      const values = rows.map((row) => {
        return `(${row.map((value) => (value === null ? 'null' : quoteLiteral(value))).join(', ')})`;
      });
      await this.rows(home, `insert into ${name} values ${values.join(', ')}`);
    }
    return types;
  }

  #serversOf(selector: ShardSelector): string[] {
    switch (selector.kind) {
      case 'shard':
      case 'agreed':
        return [selector.shard.name];
      case 'all':
      case 'lookup':
        return namesOf(selector.keyspace);
      case 'any':
        return namesOf(selector.keyspace ?? this.#topology.keyspaces[0]!).slice(-1);
      case 'catalog':
        return [this.#topology.catalogShard.name];
      case 'nowhere':
        return [];
      case 'keys':
        this.#targets.resolve(selector.keyspace, selector.groups, this.#source);
        return this.#targets.shards.map(({ name }) => name);
    }
  }
}

function countOf(merge: MergeSpec): string {
  return merge.limit?.kind === 'constant' ? String(merge.limit.value) : '1';
}

function namesOf(keyspace: Keyspace): string[] {
  return keyspace.shards.map(({ name }) => name);
}

function sumOf(rows: readonly Row[]): Row {
  return rows[0]!.map((_, column) => {
    return String(rows.reduce((sum, row) => sum + BigInt(row[column] ?? 0), 0n));
  });
}
