// What the mail service answers (streams/mail-requests.ts), to the control plane and to runners. Who writes stands in the subject where
// a runner asks, and in the request where the control plane does. Every request may be repeated: its message id makes it one.
import type { z } from 'zod';
import type { ServedRequest } from '#libs/service/define-service.ts';
import type { Answer } from '#libs/service/request-answer.ts';
import { serveRequest } from '#libs/service/serve-request.ts';
import {
  AGENT_MAIL_REQUESTS,
  FORWARD_REQUESTS,
  MAIL_REQUESTS,
  type AgentMailOperation,
  type AgentMailRequestOf,
  type AgentMailResultOf,
  type MailOperation,
  type MailRequestOf,
} from '#streams/mail-requests.ts';
import {
  agentRequestFilter,
  askingAgentOf,
  controlPlaneOf,
  requestFilter,
  type AgentPlace,
  type Boundary,
} from '#streams/subjects.ts';
import type { createBeginTurn } from './begin-turn.ts';
import type { Forward } from './forwarding.ts';
import type { PostOffice, Sender } from './post-office.ts';

interface Parts {
  readonly postOffice: PostOffice;
  readonly beginTurn: ReturnType<typeof createBeginTurn>;
  readonly forward: Forward;
}

const agentSender = ({ agent, ...boundary }: AgentPlace): Sender => ({
  boundary,
  from: agent,
  actor: `agent:${agent}`,
});

const controlSender = (
  boundary: Boundary,
  { from, actor }: { readonly from: string; readonly actor: string },
): Sender => ({ boundary, from, actor });

const byAgent = <Op extends AgentMailOperation>(
  operation: Op,
  handle: (asker: AgentPlace, request: AgentMailRequestOf<Op>) => Promise<Answer<AgentMailResultOf<Op>>>,
): ServedRequest =>
  serveRequest({
    subject: agentRequestFilter('mail', operation),
    askerOf: askingAgentOf,
    means: AGENT_MAIL_REQUESTS[operation].means,
    schema: AGENT_MAIL_REQUESTS[operation].request as unknown as z.ZodType<AgentMailRequestOf<Op>>,
    handle,
  });

const byControl = <Op extends MailOperation>(
  operation: Op,
  handle: (sender: Sender, request: MailRequestOf<Op>) => Promise<Answer<AgentMailResultOf<Op>>>,
): ServedRequest =>
  serveRequest({
    subject: requestFilter('mail', operation),
    askerOf: controlPlaneOf,
    means: MAIL_REQUESTS[operation].means,
    schema: MAIL_REQUESTS[operation].request as unknown as z.ZodType<MailRequestOf<Op>>,
    handle: (boundary, request) => handle(controlSender(boundary, request), request),
  });

/** All operations of the service. */
export const mailRequests = ({ postOffice, beginTurn, forward }: Parts): readonly ServedRequest[] => [
  byControl('send', (sender, request) => postOffice.send(sender, request)),
  byControl('reply', (sender, request) => postOffice.reply(sender, request)),
  byControl('nudge', (sender, request) => postOffice.nudge(sender, request)),
  byAgent('send', (asker, request) => postOffice.send(agentSender(asker), request)),
  byAgent('reply', (asker, request) => postOffice.reply(agentSender(asker), request)),
  byAgent('nudge', (asker, request) => postOffice.nudge(agentSender(asker), request)),
  byAgent('begin-turn', beginTurn),
  serveRequest({
    subject: requestFilter('mail', 'forward'),
    askerOf: controlPlaneOf,
    schema: FORWARD_REQUESTS.forward.request,
    handle: forward,
  }),
];
