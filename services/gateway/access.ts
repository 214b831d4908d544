// Who may talk to the gateway: the address it is called by (against DNS rebinding), the page it is called from, the token.
// No cross-origin access is ever granted. What a request names of tenants is checked by its route (foreignBoundary in http.ts).
import { createHash, timingSafeEqual } from 'node:crypto';
import type { Secret } from '#libs/config/secret.ts';
import { Fault } from '#libs/kernel/fault.ts';
import type { Boundary } from '#streams/subjects.ts';
import { mayOnlyRead, SHARED, VIEWER, type Identity } from './identity.ts';
import type { TokenBook } from './token-book.ts';

export interface AccessRules {
  /** The address that is listened on. */
  readonly host: string;
  readonly allowedHosts: readonly string[];
  readonly apiToken?: Secret | undefined;
  /** Opens what only reads. */
  readonly viewerToken?: Secret | undefined;
  /** Tokens of persons, agents and services. */
  readonly tokens?: TokenBook | undefined;
  /** Whether a request without a token is turned away; default: where there are tokens. */
  readonly requireToken?: boolean | undefined;
  /** What is served here: a token of another tenant or project opens nothing. */
  readonly boundary: Boundary;
  /** Wall time, epoch ms. */
  readonly now: () => number;
}

const LOOPBACK = new Set(['localhost', '127.0.0.1', '::1', '[::1]']);

/** True when only this machine can reach the address. */
export const isLoopback = (host: string): boolean => LOOPBACK.has(host) || /^127(\.\d{1,3}){3}$/.test(host);

/** The host name of a `Host` header, without the port. */
const hostName = (header: string): string => {
  const bracket = /^(\[[0-9a-f:.]+\])(?::\d+)?$/i.exec(header);
  return (bracket?.[1] ?? header.replace(/:\d+$/, '')).toLowerCase();
};

const denied = (message: string): Fault => new Fault({ code: 'HOST_DENIED', retry: 'never', message });

const digest = (text: string): Buffer => createHash('sha256').update(text).digest();

const checkHost = (headers: Headers, { host, allowedHosts }: AccessRules): void => {
  const asked = headers.get('host');
  // Bound to loopback, a foreign name in Host means that a web page has pointed its own name at this machine.
  if (isLoopback(host)) {
    const name = hostName(asked ?? '');
    if (!isLoopback(name) && !allowedHosts.includes(name))
      throw denied(`this gateway is not ${JSON.stringify(name.slice(0, 100))}; call it by localhost`);
  }
  const origin = headers.get('origin');
  if (origin === null) return;
  const from = URL.canParse(origin) ? new URL(origin).host : undefined;
  if (from !== asked) throw denied('requests from pages of other origins are not taken');
};

/** Digests have one length, so the comparison takes the same time for every guess. */
const isSame = (given: string, token: Secret): boolean =>
  timingSafeEqual(digest(given), digest(token.reveal()));

const READING = new Set(['GET', 'HEAD']);

const tokenRequired = (message: string): Fault =>
  new Fault({ code: 'TOKEN_REQUIRED', retry: 'never', message });

/** Whoever a token of the file is. Throws `TOKEN_REQUIRED`, `TOKEN_FOREIGN` (never). */
const holderOf = (given: string, { tokens, boundary, now }: AccessRules): Identity => {
  const found = tokens?.find(given);
  if (found === undefined || (found.expiresAt !== null && found.expiresAt <= now()))
    throw tokenRequired('the bearer token is not valid');
  if (found.tenant !== boundary.tenant || found.project !== boundary.project)
    throw new Fault({
      code: 'TOKEN_FOREIGN',
      retry: 'never',
      message: 'this bearer token is of another tenant or project than the one served here',
    });
  const { name, kind, roles } = found;
  return { name, kind, roles, isNamed: true };
};

const identify = ({ headers }: Request, rules: AccessRules): Identity => {
  const { apiToken, viewerToken, tokens } = rules;
  const given = /^Bearer (\S{1,4096})$/i.exec(headers.get('authorization') ?? '')?.[1];
  if (apiToken === undefined && tokens === undefined) return SHARED;
  if (given === undefined) {
    const isRequired = rules.requireToken ?? true;
    if (isRequired || headers.has('authorization')) throw tokenRequired('no bearer token was sent');
    return SHARED;
  }
  if (apiToken !== undefined && isSame(given, apiToken)) return SHARED;
  if (viewerToken !== undefined && isSame(given, viewerToken)) return VIEWER;
  return holderOf(given, rules);
};

/**
 * Who asks. Throws `HOST_DENIED`, `TOKEN_REQUIRED`, `TOKEN_FOREIGN` or `TOKEN_READS_ONLY` (never). `isReading`: the route changes nothing
 * although it is posted to.
 */
export const checkAccess = (request: Request, rules: AccessRules, isReading = false): Identity => {
  checkHost(request.headers, rules);
  const identity = identify(request, rules);
  if (mayOnlyRead(identity) && !isReading && !READING.has(request.method))
    throw new Fault({
      code: 'TOKEN_READS_ONLY',
      retry: 'never',
      message: 'this bearer token may read and change nothing',
    });
  return identity;
};
