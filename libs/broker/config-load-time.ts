// When a running nats-server last took up its configuration, in its own words: it changes when a reload has been done.
import { get } from '#libs/local-http/node-http.ts';

const LOOK_WITHIN_MS = 2000;

const loadTimeIn = (body: string): string | undefined => {
  try {
    const { config_load_time: time } = JSON.parse(body) as { readonly config_load_time?: unknown };
    return typeof time === 'string' ? time : undefined;
  } catch {
    return undefined;
  }
};

/** Undefined: nobody answers, or the server does not say. Never rejects. */
export const readConfigLoadTime = (monitorUrl: string): Promise<string | undefined> =>
  new Promise((resolve) => {
    const request = get(`${monitorUrl}/varz`, { agent: false, timeout: LOOK_WITHIN_MS }, (answer) => {
      let body = '';
      answer.setEncoding('utf8').on('data', (chunk: string) => (body += chunk));
      answer.once('end', () => resolve(loadTimeIn(body)));
      answer.once('error', () => resolve(undefined));
    });
    request.once('timeout', () => request.destroy());
    request.once('error', () => resolve(undefined));
  });
