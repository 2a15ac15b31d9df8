import type { TransactionStmt } from '@pgsql/types';
import { defElemText } from './ast.js';
import type { Plan } from './plan.js';
import { localPlan } from './plans.js';
import { refuse } from './refusals.js';

/** BEGIN, COMMIT, ROLLBACK, SAVEPOINT and their like: the session runs them. */
export function planTransaction(statement: TransactionStmt): Plan {
  const chain = statement.chain === true;
  const name = statement.savepoint_name ?? '';
  switch (statement.kind ?? 'TRANS_STMT_BEGIN') {
    case 'TRANS_STMT_BEGIN':
    case 'TRANS_STMT_START':
      return localPlan('begin', { kind: 'begin', ...characteristicsOf(statement) });
    case 'TRANS_STMT_COMMIT':
      return localPlan('commit', { kind: 'commit', chain });
    case 'TRANS_STMT_ROLLBACK':
      return localPlan('rollback', { kind: 'rollback', chain });
    case 'TRANS_STMT_SAVEPOINT':
      return localPlan('savepoint', { kind: 'savepoint', name });
    case 'TRANS_STMT_RELEASE':
      return localPlan('savepoint', { kind: 'release', name });
    case 'TRANS_STMT_ROLLBACK_TO':
      return localPlan('savepoint', { kind: 'rollbackTo', name });
    case 'TRANS_STMT_PREPARE':
      return localPlan('rollback', { kind: 'prepareTransaction' });
    default:
      return refuse(
        'COMMIT PREPARED and ROLLBACK PREPARED are not supported',
        'Shardgate commits over several shards by itself; use COMMIT.',
      );
  }
}

function characteristicsOf(statement: TransactionStmt): {
  readonly isolation: string | null;
  readonly readOnly?: boolean;
} {
  let isolation: string | null = null;
  let readOnly: boolean | undefined;
  for (const node of statement.options ?? []) {
    if (!('DefElem' in node)) continue;
    const { defname } = node.DefElem;
    const value = defElemText(node.DefElem);
    if (defname === 'transaction_isolation') isolation = value?.toLowerCase() ?? null;
    else if (defname === 'transaction_read_only') readOnly = value === '1';
  }
  return readOnly === undefined ? { isolation } : { isolation, readOnly };
}
