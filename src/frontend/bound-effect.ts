import { sqlError } from '../errors/sql-error.js';
import type { ValueSource } from '../executor/shard-targets.js';
import type { Plan, PlannedEffect, SettingEffect } from '../planner/plan.js';

/** A plan whose effects have the values of their parameters. Throws SqlError 0A000 for those without. */
export function withBoundEffect<P extends Plan>(plan: P, source: ValueSource): P {
  if (plan.kind !== 'route' || plan.effects === null) return plan;
  return { ...plan, effects: plan.effects.map((effect) => bound(effect, source)) };
}

function bound(planned: PlannedEffect, source: ValueSource): SettingEffect {
  const { params, ...effect } = planned;
  if (params === undefined) return effect;
  const name = params.name === null ? effect.name : valueOf(source, params.name);
  const value = params.value === null ? effect.value : valueOf(source, params.value);
  const local = params.local === null ? effect.local : isTrue(valueOf(source, params.local));
  if (name === null) {
    throw sqlError('feature_not_supported', 'set_config without a name is not supported', {
      hint: 'Give the name of a setting.',
    });
  }
  return { name: name.toLowerCase(), value, local };
}

/** The text of parameter `index`; null: NULL. Text has one form in both formats. */
function valueOf({ bind, layout }: ValueSource, index: number): string | null {
  const start = layout.valueStart[index] ?? -1;
  if (bind === null || start < 0) return null;
  return bind.toString('utf8', start, layout.valueEnd[index]);
}

/** A boolean in text or binary format. */
function isTrue(text: string | null): boolean {
  return text !== null && /^(\x01|\s*(t|tr|tru|true|y|ye|yes|on|1)\s*)$/i.test(text);
}
