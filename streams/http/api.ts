// Every route of the HTTP API by its name. A new family of routes is one line here; the gateway serves what this table declares and
// nothing else (services/gateway/app.ts).
import { APPROVAL_API } from './approvals.ts';
import { COMMAND_API } from './commands.ts';
import { HOST_API } from './hosts.ts';
import { LIVE_API } from './live.ts';
import { MAIL_API } from './mail.ts';
import { POLICY_API } from './policies.ts';
import { READ_API } from './reads.ts';
import type { ApiTable } from './route.ts';
import { RUN_API } from './runs.ts';
import { SESSION_API } from './sessions.ts';
import { TASK_API } from './tasks.ts';

export const API = {
  ...RUN_API,
  ...COMMAND_API,
  ...READ_API,
  ...SESSION_API,
  ...APPROVAL_API,
  ...TASK_API,
  ...POLICY_API,
  ...MAIL_API,
  ...HOST_API,
  ...LIVE_API,
} as const satisfies ApiTable;
