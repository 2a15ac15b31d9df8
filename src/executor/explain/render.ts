import type { PlanNode, PropertyValue } from './plan-tree.js';

/** What was learned of a node by running it, or by asking shards for their plans. */
export interface NodeFacts {
  readonly properties: readonly (readonly [name: string, value: PropertyValue])[];
  /** PostgreSQL's own plans, by shard: lines of text, or the parsed JSON. */
  readonly shardPlans: readonly { readonly shard: string; readonly plan: unknown }[];
}

export type FactsOf = (node: PlanNode) => NodeFacts;

/** Lines in the manner of PostgreSQL's text format; children hang from arrows. */
export function renderText(root: PlanNode, facts: FactsOf): string[] {
  const lines: string[] = [];
  addText(root, facts, 0, lines);
  return lines;
}

function addText(node: PlanNode, facts: FactsOf, depth: number, lines: string[]): void {
  const indent = ' '.repeat(depth * 6);
  lines.push(depth === 0 ? node.type : `${indent.slice(4)}->  ${node.type}`);
  const { properties, shardPlans } = facts(node);
  const inner = `${indent}  `;
  for (const [name, value] of [...node.properties, ...properties]) {
    lines.push(`${inner}${name}: ${valueText(value)}`);
  }
  for (const { shard, plan } of shardPlans) {
    lines.push(`${inner}On ${shard}:`);
    if (Array.isArray(plan)) for (const line of plan) lines.push(`${inner}  ${String(line)}`);
  }
  for (const child of node.children) addText(child, facts, depth + 1, lines);
}

function valueText(value: PropertyValue): string {
  if (typeof value === 'object') return value.join(', ');
  // A statement of several lines stays one line of the plan.
  return String(value).replaceAll(/\s*\n\s*/g, ' ');
}

/** The document of FORMAT JSON: PostgreSQL's shape, an array of one object with its `Plan`. */
export function renderJson(root: PlanNode, facts: FactsOf): string {
  return JSON.stringify([{ Plan: jsonOf(root, facts) }], null, 2);
}

function jsonOf(node: PlanNode, facts: FactsOf): Record<string, unknown> {
  const out: Record<string, unknown> = { 'Node Type': node.type };
  const { properties, shardPlans } = facts(node);
  for (const [name, value] of [...node.properties, ...properties]) out[name] = value;
  if (shardPlans.length > 0) {
    out['Shard Plans'] = shardPlans.map(({ shard, plan }) => ({ Shard: shard, Plan: plan }));
  }
  if (node.children.length > 0) out['Plans'] = node.children.map((child) => jsonOf(child, facts));
  return out;
}
