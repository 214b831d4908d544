// The shapes that routes are written in: what a route is, what it is given, and what it answers besides a response.
import type { Context } from 'hono';
import { createHash } from 'node:crypto';
import { Fault } from '#libs/kernel/fault.ts';
import type { Clock } from '#libs/ports/clock.ts';
import type { EventLog } from '#libs/ports/event-log.ts';
import type { Ids } from '#libs/ports/ids.ts';
import { rejection, type Rejection } from '#libs/kernel/rejection.ts';
import type { Logger } from '#libs/telemetry/logger.ts';
import type { RejectionCode } from '#streams/rejections.ts';
import type { DISPATCH_REQUESTS } from '#streams/dispatch-requests.ts';
import type { ApiRoute } from '#streams/http/route.ts';
import type { HOST_REQUESTS } from '#streams/host-requests.ts';
import type { IDENTITY_REQUESTS } from '#streams/identity-requests.ts';
import type { MAIL_REQUESTS } from '#streams/mail-requests.ts';
import type { WorkDefaults } from '#streams/receipts.ts';
import type { POLICY_REQUESTS } from '#streams/policy-requests.ts';
import type { RUN_REQUESTS } from '#streams/run-requests.ts';
import type { SESSION_REQUESTS } from '#streams/session-requests.ts';
import type { TASK_REQUESTS } from '#streams/task-requests.ts';
import type { Boundary } from '#streams/subjects.ts';
import type { GatewaySettings } from './config.ts';
import type { FeedHub } from './feed-hub.ts';
import { mayNameOthers, type Identity } from './identity.ts';
import { idempotencyKeyOf } from './input.ts';
import type { HostPresences } from './host-presences.ts';
import type { ReadViews } from './read-views.ts';
import type { ServiceClient } from './service-client.ts';

/** What middleware leaves for the routes. */
export interface GatewayEnv {
  readonly Bindings: {
    /** What the answer goes over; absent where no server is. */
    readonly outgoing?: { destroy(): unknown };
  };
  readonly Variables: {
    requestId: string;
    identity: Identity;
    /** What counts where the request says nothing. */
    defaults: WorkDefaults;
  };
}
export type GatewayRequest = Context<GatewayEnv>;

/** Everything that routes work with. */
export interface GatewayParts {
  readonly config: GatewaySettings;
  /** The one tenant and project served here. */
  readonly boundary: Boundary;
  readonly views: ReadViews;
  readonly runsClient: ServiceClient<typeof RUN_REQUESTS>;
  readonly tasksClient: ServiceClient<typeof TASK_REQUESTS>;
  readonly dispatchClient: ServiceClient<typeof DISPATCH_REQUESTS>;
  readonly policiesClient: ServiceClient<typeof POLICY_REQUESTS>;
  readonly sessionsClient: ServiceClient<typeof SESSION_REQUESTS>;
  readonly hostsClient: ServiceClient<typeof HOST_REQUESTS>;
  readonly identityClient: ServiceClient<typeof IDENTITY_REQUESTS>;
  readonly presences: HostPresences;
  /** Whether work can be given to an agent of this name. */
  readonly knowsAgent: (name: string) => boolean;
  /** Agents of the settings, and those that were added. */
  readonly agentNames: () => readonly string[];
  /** Of the product. */
  readonly version: string;
  readonly hubs: { readonly transitions: FeedHub; readonly events: FeedHub };
  readonly mailClient: ServiceClient<typeof MAIL_REQUESTS>;
  readonly transitions: EventLog;
  /** The log of MESSAGES. */
  readonly messages: EventLog;
  readonly clock: Clock;
  readonly ids: Ids;
  readonly logger: Logger;
  /** Aborted when the gateway stops: live streams end. */
  readonly signal: AbortSignal;
  /** Told how many live streams are open. */
  readonly onStreams: (open: number) => void;
}

/** A refusal by a rule; becomes a problem document. */
export interface Refused {
  readonly refused: Rejection<RejectionCode>;
}

/** A declared route and what serves it. */
export interface Route extends ApiRoute {
  handle(request: GatewayRequest): Promise<Response | Refused> | Response | Refused;
}

/**
 * The idempotency key of a request within whoever asks, or undefined: what a named holder has asked is never taken for what another has.
 * Throws `INPUT_INVALID`.
 */
export const keyOf = (request: GatewayRequest): string | undefined => {
  const key = idempotencyKeyOf(request.req.raw);
  const { name, isNamed } = request.get('identity');
  if (key === undefined || !isNamed) return key;
  return createHash('sha256')
    .update(JSON.stringify([name, key]))
    .digest('hex');
};

/** Who asks, for the record: `user:anna`. */
export const actorOf = (request: GatewayRequest): string => `user:${request.get('identity').name}`;

/**
 * Who speaks: whoever's token it is, or whom they name if they may speak for others; `fallback` for a token that is nobody's own.
 * Throws `SPEAKER_FOREIGN` (never).
 */
export const speakerOf = (request: GatewayRequest, named: string | undefined, fallback?: string): string => {
  const identity = request.get('identity');
  if (mayNameOthers(identity))
    return named ?? (identity.isNamed ? identity.name : (fallback ?? identity.name));
  if (named === undefined || named === identity.name) return identity.name;
  throw new Fault({
    code: 'SPEAKER_FOREIGN',
    retry: 'never',
    message: `this token is ${identity.name}'s and cannot speak for ${named}; it would need the role on-behalf`,
  });
};

/** Refuses with a code. */
export const refuse = (code: RejectionCode, message: string): Refused => ({
  refused: rejection(code, message),
});

export const isRefused = (value: object): value is Refused => 'refused' in value;

/** A refusal when a request names another tenant or project than the one served here. */
export const foreignBoundary = (
  { boundary }: GatewayParts,
  asked: { readonly tenant?: string | undefined; readonly project?: string | undefined },
): Refused | undefined => {
  const { tenant = boundary.tenant, project = boundary.project } = asked;
  if (tenant === boundary.tenant && project === boundary.project) return undefined;
  return refuse('BOUNDARY_DENIED', `tenant ${tenant}, project ${project} is not served here`);
};
