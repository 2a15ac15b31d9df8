// @ts-check
import { isMap, isScalar, isSeq, parseDocument } from 'yaml';
import { StepError } from '../project.mjs';

/**
 * @typedef {object} Endpoints what of the file belongs to this machine
 * @property {number} listenPort
 * @property {number} httpPort
 * @property {ReadonlyMap<string, number>} shardPorts by shard name
 */

/**
 * The file of the first start. It is the user's from then on.
 * @param {Endpoints} endpoints
 * @param {string} password of the role `app` on the shards
 */
export function newConfig({ listenPort, httpPort, shardPorts }, password) {
  /** @param {string} name */
  const url = (name) => `"postgres://app:${password}@127.0.0.1:${shardPorts.get(name)}/shop"`;
  return `# The cluster of \`npm start\`. Edit it freely: it is kept between starts, and the running proxy
# takes changes over when the file is saved. Only ports are rewritten, where they had to move.
# \`node dist/main.js check\` with this file's name explains mistakes by line.

listen: { host: 127.0.0.1, port: ${listenPort} }
http: { host: 127.0.0.1, port: ${httpPort} }   # /metrics /healthz /readyz

database: shop   # the name that clients connect to
auth:
  method: trust   # no passwords; possible only while listening on loopback
  users: [{ name: app, role: admin }]

# How long running transactions may go on after Ctrl-C.
drain_timeout: 3s

# Tables that are named nowhere below live here.
default_keyspace: main

keyspaces:
  # One database, no sharding.
  main:
    shards:
      - { name: main, primary: ${url('main')} }
    tables:
      settings: {}

  # Four databases. A row lives on the shard whose range holds the hash of its shard key.
  shop:
    vindexes:
      by_customer: { type: hash }
    shards:
      - { name: s0, range: "-40", primary: ${url('s0')} }
      - { name: s1, range: "40-80", primary: ${url('s1')} }
      - { name: s2, range: "80-c0", primary: ${url('s2')} }
      - { name: s3, range: "c0-", primary: ${url('s3')} }
    tables:
      customers: { shard_key: id, vindex: by_customer }
      orders: { shard_key: customer_id, vindex: by_customer }
      order_items: { shard_key: customer_id, vindex: by_customer }
      countries: { type: reference }   # a copy on every shard
`;
}

/**
 * Ports that the file asks the proxy to listen on.
 * @param {string} text
 * @returns {{ listenPort: number, httpPort: number | null }} null: the file has no HTTP listener
 */
export function wantedPorts(text) {
  const document = parse(text);
  const listenPort = document.getIn(['listen', 'port']);
  const httpPort = document.getIn(['http', 'port']);
  return {
    listenPort: typeof listenPort === 'number' ? listenPort : 6432,
    httpPort: typeof httpPort === 'number' ? httpPort : null,
  };
}

/**
 * Puts other ports into a file; nothing else of it changes, comments and layout included. Servers that are
 * not ours (other hosts, other names) stay.
 * @param {string} text
 * @param {Endpoints} endpoints
 */
export function retarget(text, { listenPort, httpPort, shardPorts }) {
  const document = parse(text);
  /** @type {{ start: number, end: number, text: string }[]} */
  const edits = [];
  /**
   * @param {unknown} node
   * @param {(source: string) => string} change
   */
  const edit = (node, change) => {
    if (!isScalar(node) || !node.range) return;
    const [start, end] = node.range;
    edits.push({ start, end, text: change(text.slice(start, end)) });
  };
  edit(document.getIn(['listen', 'port'], true), () => String(listenPort));
  edit(document.getIn(['http', 'port'], true), () => String(httpPort));
  for (const shard of shardNodes(document)) {
    const port = shardPorts.get(String(shard.get('name')));
    if (port === undefined) continue;
    edit(shard.get('primary', true), (source) =>
      source.replace(/(@127\.0\.0\.1:)\d+/, `$1${port}`),
    );
  }
  let result = text;
  for (const { start, end, text: replacement } of edits.sort((a, b) => b.start - a.start)) {
    result = result.slice(0, start) + replacement + result.slice(end);
  }
  return result;
}

/** @param {string} text */
function parse(text) {
  const document = parseDocument(text);
  const [problem] = document.errors;
  if (problem !== undefined) {
    throw new StepError('shardgate.yaml is not valid YAML', [
      ...problem.message.split('\n'),
      'Correct it, or delete it to get a new one.',
    ]);
  }
  return document;
}

/**
 * @param {import('yaml').Document} document
 * @returns {import('yaml').YAMLMap[]}
 */
function shardNodes(document) {
  const keyspaces = document.get('keyspaces', true);
  if (!isMap(keyspaces)) return [];
  return keyspaces.items.flatMap(({ value }) => {
    const shards = isMap(value) ? value.get('shards', true) : null;
    return isSeq(shards) ? shards.items.filter((item) => isMap(item)) : [];
  });
}
