// Who may talk to the gateway: the address it is called by (against DNS rebinding), the page it is called from, the token.
// No cross-origin access is ever granted. Does not know tenants (see boundary-of in requests).
import { createHash, timingSafeEqual } from 'node:crypto';
import type { Secret } from '#libs/config/secret.ts';
import { Fault } from '#libs/kernel/fault.ts';
import { SHARED, VIEWER, type Identity } from './identity.ts';

export interface AccessRules {
  /** The address that is listened on. */
  readonly host: string;
  readonly allowedHosts: readonly string[];
  readonly apiToken?: Secret | undefined;
  /** Opens what only reads (GET, HEAD). */
  readonly viewerToken?: Secret | undefined;
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

const identify = ({ headers, method }: Request, { apiToken, viewerToken }: AccessRules): Identity => {
  if (apiToken === undefined) return SHARED;
  const given = /^Bearer (\S{1,4096})$/i.exec(headers.get('authorization') ?? '')?.[1];
  if (given !== undefined && isSame(given, apiToken)) return SHARED;
  if (given !== undefined && viewerToken !== undefined && isSame(given, viewerToken)) {
    if (READING.has(method)) return VIEWER;
    throw new Fault({
      code: 'TOKEN_READS_ONLY',
      retry: 'never',
      message: 'this bearer token may read and change nothing',
    });
  }
  throw new Fault({
    code: 'TOKEN_REQUIRED',
    retry: 'never',
    message: given === undefined ? 'no bearer token was sent' : 'the bearer token is not valid',
  });
};

/** Who asks. Throws `HOST_DENIED`, `TOKEN_REQUIRED` or `TOKEN_READS_ONLY` (never). */
export const checkAccess = (request: Request, rules: AccessRules): Identity => {
  checkHost(request.headers, rules);
  return identify(request, rules);
};
