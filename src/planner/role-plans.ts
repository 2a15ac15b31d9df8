import type { AlterRoleSetStmt, CreateRoleStmt, Node, RoleSpec } from '@pgsql/types';
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
    return { ...onServers(), ...(notice === null ? {} : { notice }) };
  }
  if ('AlterRoleStmt' in node) {
    // ALTER GROUP ... ADD USER changes who belongs to it.
    const { role, options } = node.AlterRoleStmt;
    const members = (options ?? []).some(
      (o) => 'DefElem' in o && o.DefElem.defname === 'rolemembers',
    );
    return members ? onServers() : onServers('ALTER ROLE', [namedRole('ALTER ROLE', role)]);
  }
  if ('AlterRoleSetStmt' in node) return planRoleSettings(node.AlterRoleSetStmt);
  if ('ReassignOwnedStmt' in node) {
    const { roles, newrole } = node.ReassignOwnedStmt;
    return onDatabases('REASSIGN OWNED', roles, newrole);
  }
  if ('DropOwnedStmt' in node) return onDatabases('DROP OWNED', node.DropOwnedStmt.roles);
  if ('DropRoleStmt' in node || 'GrantRoleStmt' in node) return onServers();
  if ('RenameStmt' in node && node.RenameStmt.renameType === 'OBJECT_ROLE') return onServers();
  if ('CommentStmt' in node && node.CommentStmt.objtype === 'OBJECT_ROLE') return onServers();
  if ('SecLabelStmt' in node && node.SecLabelStmt.objtype === 'OBJECT_ROLE') return onServers();
  if ('GrantStmt' in node && node.GrantStmt.objtype === 'OBJECT_PARAMETER_ACL') return onServers();
  return null;
}

/** `alters`: roles of which none may be one that Shardgate connects as; `command` does that. */
export function onServers(command = '', alters: readonly string[] = []): BroadcastPlan {
  const plan = broadcastPlan('ddl', null, { ddl: false, transactional: true });
  return { ...plan, servers: { command, alters } };
}

/** What is about all that a role has in a database. */
function onDatabases(
  command: string,
  roles: readonly Node[] = [],
  newRole?: RoleSpec,
): BroadcastPlan {
  const alters = roles.map((node) =>
    namedRole(command, 'RoleSpec' in node ? node.RoleSpec : undefined),
  );
  if (newRole !== undefined && newRole.roletype !== 'ROLESPEC_CSTRING') refuseCurrent(command);
  const plan = broadcastPlan('ddl', null, { ddl: true, transactional: true });
  return { ...plan, servers: { command, alters, databases: true } };
}

/** Settings with which sessions of a role begin. */
function planRoleSettings({ role, database, setstmt }: AlterRoleSetStmt): BroadcastPlan {
  const command = 'ALTER ROLE ... SET';
  if (role === undefined || database !== undefined || setstmt?.kind === 'VAR_SET_CURRENT') {
    refuse(
      `${command} for all roles, in a database, or FROM CURRENT is not supported`,
      'Give the users these settings in the configuration (auth.users).',
    );
  }
  const name = namedRole(command, role);
  const notice = {
    message: `settings of role "${name}" are stored on the servers: sessions of Shardgate do not begin with them`,
    hint: 'Give the user these settings under auth.users.',
  };
  const plan = onServers(command, [name]);
  return setstmt?.kind === 'VAR_SET_VALUE' ? { ...plan, notice } : plan;
}

function namedRole(command: string, role: RoleSpec | undefined): string {
  return role?.roletype === 'ROLESPEC_CSTRING' ? (role.rolename ?? '') : refuseCurrent(command);
}

function refuseCurrent(command: string): never {
  return refuse(
    `${command} of the current user is not supported: Shardgate connects to the servers as that`,
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
