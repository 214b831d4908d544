// Every request of the system with an example, in one list for the generated pages. Not used at run time.
import type { z } from 'zod';
import { REQUEST_EXAMPLES } from './generate-example-values.ts';
import { AGENT_MAIL_REQUEST_EXAMPLES, MAIL_REQUEST_EXAMPLES } from './generate-mail-examples.ts';
import { AGENT_MAIL_REQUESTS, FORWARD_REQUESTS, MAIL_REQUESTS } from './mail-requests.ts';
import { HOST_REQUEST_EXAMPLES } from './generate-host-examples.ts';
import { HOST_OPERATIONS, HOST_REQUESTS } from './host-requests.ts';
import { POLICY_REQUEST_EXAMPLES } from './generate-policy-examples.ts';
import { POLICY_REQUESTS } from './policy-requests.ts';
import { IDENTITY_REQUEST_EXAMPLES, IDENTITY_REQUESTS } from './identity-requests.ts';
import type { RequestTable } from './requests.ts';
import { DISPATCH_REQUESTS } from './dispatch-requests.ts';
import { DISPATCH_REQUEST_EXAMPLES, TASK_REQUEST_EXAMPLES } from './generate-task-examples.ts';
import { TASK_REQUESTS } from './task-requests.ts';
import { SESSION_REQUEST_EXAMPLES } from './generate-session-examples.ts';
import { SESSION_REQUESTS } from './session-requests.ts';
import { RUN_REQUESTS, RUNNER_OPERATIONS } from './run-requests.ts';

/** One operation as it is asked. */
interface DocumentedRequest {
  /** `runs.claim`; with `.agent` where the control plane asks for the same, too. */
  readonly name: string;
  readonly service: string;
  readonly operation: string;
  /** Asked by a runner or host: the subject ends with its name. */
  readonly byAgent: boolean;
  readonly means: string;
  readonly schemas: { readonly request: z.ZodType; readonly answer: z.ZodType };
  readonly example: { readonly request: unknown; readonly result: unknown };
}

type Examples = Readonly<Record<string, { readonly request: unknown; readonly result: unknown }>>;

interface Source {
  readonly service: string;
  readonly table: RequestTable;
  readonly examples: Examples;
  readonly byAgent: (operation: string) => boolean;
  readonly suffix?: string;
}

const documented = ({ service, table, examples, byAgent, suffix = '' }: Source): DocumentedRequest[] =>
  Object.entries(table).map(([operation, { means, request, answer }]) => ({
    name: `${service}.${operation}${suffix}`,
    service,
    operation,
    byAgent: byAgent(operation),
    means,
    schemas: { request, answer },
    example: examples[operation] ?? { request: undefined, result: undefined },
  }));

/** All of them, by service. */
export const DOCUMENTED_REQUESTS: readonly DocumentedRequest[] = [
  ...documented({
    service: 'runs',
    table: RUN_REQUESTS,
    examples: REQUEST_EXAMPLES,
    byAgent: (operation) => (RUNNER_OPERATIONS as readonly string[]).includes(operation),
  }),
  ...documented({
    service: 'sessions',
    table: SESSION_REQUESTS,
    examples: SESSION_REQUEST_EXAMPLES,
    byAgent: () => false,
  }),
  ...documented({
    service: 'tasks',
    table: TASK_REQUESTS,
    examples: TASK_REQUEST_EXAMPLES,
    byAgent: () => false,
  }),
  ...documented({
    service: 'hosts',
    table: HOST_REQUESTS,
    examples: HOST_REQUEST_EXAMPLES,
    byAgent: (operation) => (HOST_OPERATIONS as readonly string[]).includes(operation),
  }),
  ...documented({
    service: 'lifecycle',
    table: POLICY_REQUESTS,
    examples: POLICY_REQUEST_EXAMPLES,
    byAgent: () => false,
  }),
  ...documented({
    service: 'dispatch',
    table: DISPATCH_REQUESTS,
    examples: DISPATCH_REQUEST_EXAMPLES,
    byAgent: () => false,
  }),
  ...documented({
    service: 'identity',
    table: IDENTITY_REQUESTS,
    examples: IDENTITY_REQUEST_EXAMPLES,
    byAgent: () => false,
  }),
  ...documented({
    service: 'mail',
    table: MAIL_REQUESTS,
    examples: MAIL_REQUEST_EXAMPLES,
    byAgent: () => false,
  }),
  ...documented({
    service: 'mail',
    table: FORWARD_REQUESTS,
    examples: {
      forward: {
        request: {
          policy: 'builders',
          agent: 'builder-1',
          host: 'forge-7',
          spawnId: 'spw_01KAJ5M8D0S4P6A8W0N2E4G6J8',
          sinceSeq: 0,
          actor: 'service:lifecycle',
        },
        result: { forwarded: 1 },
      },
    },
    byAgent: () => false,
  }),
  ...documented({
    service: 'mail',
    table: AGENT_MAIL_REQUESTS,
    examples: AGENT_MAIL_REQUEST_EXAMPLES,
    byAgent: () => true,
    suffix: '.agent',
  }),
];
