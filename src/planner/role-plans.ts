import type { CreateRoleStmt, Node, RoleSpec } from '@pgsql/types';
import { defElemText } from './ast.js';
import type { BroadcastPlan, DdlNotice } from './plan.js';
import { broadcastPlan } from './plans.js';
import { refuse } from './refusals.js';

/**
 * Plans what is about roles and about privileges on settings, which all databases of a server have in
 * common: one shard of each server runs it. Null: it is about something else.
 */
export function planRoles(node: Node): BroadcastPlan | null {
  if ('CreateRoleStmt' in node) {
    const notice = loginNotice(node.CreateRoleStmt);
    return { ...onServers(null), ...(notice === null ? {} : { notice }) };
  }
  if ('AlterRoleStmt' in node) {
    // ALTER GROUP ... ADD USER changes who belongs to it.
    const { role, options } = node.AlterRoleStmt;
    const members = (options ?? []).some(
      (o) => 'DefElem' in o && o.DefElem.defname === 'rolemembers',
    );
    return onServers(members ? null : alteredRole(role));
  }
  if ('DropRoleStmt' in node || 'GrantRoleStmt' in node) return onServers(null);
  if ('RenameStmt' in node && node.RenameStmt.renameType === 'OBJECT_ROLE') return onServers(null);
  if ('CommentStmt' in node && node.CommentStmt.objtype === 'OBJECT_ROLE') return onServers(null);
  if ('SecLabelStmt' in node && node.SecLabelStmt.objtype === 'OBJECT_ROLE') return onServers(null);
  if ('GrantStmt' in node && node.GrantStmt.objtype === 'OBJECT_PARAMETER_ACL')
    return onServers(null);
  return null;
}

/** `alters`: a role that must not be the one that Shardgate connects as. */
export function onServers(alters: string | null): BroadcastPlan {
  const plan = broadcastPlan('ddl', null, { ddl: false, transactional: true });
  return { ...plan, servers: { alters } };
}

function alteredRole(role: RoleSpec | undefined): string {
  if (role?.roletype === 'ROLESPEC_CSTRING') return role.rolename ?? '';
  return refuse(
    'ALTER ROLE of the current user is not supported: Shardgate connects to the servers as that',
    'Run it on each server, and change the configuration with it.',
  );
}

/** Who may log in to the servers may not log in here. */
function loginNotice({ role = '', stmt_type, options }: CreateRoleStmt): DdlNotice | null {
  const said = (options ?? []).flatMap((option) =>
    'DefElem' in option && option.DefElem.defname === 'canlogin' ? [option.DefElem] : [],
  );
  const last = said.at(-1);
  const mayLogin =
    last === undefined ? stmt_type === 'ROLESTMT_USER' : defElemText(last) !== 'false';
  if (!mayLogin) return null;
  return {
    message: `role "${role}" is made on the servers: the configuration says who may log in to Shardgate`,
    hint: `Add it under auth.users to let it log in.`,
  };
}
