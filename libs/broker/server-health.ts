// What a running nats-server says of itself. One look, no judgement of what to do about it.
import { get } from '#libs/local-http/node-http.ts';

/** `silent`: nobody answers there. */
export type ServerHealth =
  | { readonly kind: 'ok' }
  | { readonly kind: 'ill'; readonly problem: string }
  | { readonly kind: 'silent' };

const LOOK_WITHIN_MS = 2000;

const problemIn = (body: string): string => {
  try {
    const { error } = JSON.parse(body) as { readonly error?: unknown };
    return typeof error === 'string' ? error : body;
  } catch {
    return body;
  }
};

/** Asks the monitoring endpoint, streams and consumers included. Never rejects. (Not fetch: loading it costs more than the start of the server.) */
export const readServerHealth = (monitorUrl: string): Promise<ServerHealth> =>
  new Promise((resolve) => {
    const request = get(`${monitorUrl}/healthz`, { agent: false, timeout: LOOK_WITHIN_MS }, (answer) => {
      let body = '';
      answer.setEncoding('utf8').on('data', (chunk: string) => (body += chunk));
      answer.once('end', () =>
        resolve(answer.statusCode === 200 ? { kind: 'ok' } : { kind: 'ill', problem: problemIn(body) }),
      );
      answer.once('error', () => resolve({ kind: 'silent' }));
    });
    request.once('timeout', () => request.destroy());
    request.once('error', () => resolve({ kind: 'silent' }));
  });
