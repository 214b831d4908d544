// A POST under an idempotency key, between access and its route: reads what is asked, and answers with the receipt where there is one.
// What breaks its schema goes straight to its route, which says so; a receipt is only for what could be done.
import type { GatewayRequest, Refused, Route } from './http.ts';
import { isRefused } from './http.ts';
import { idempotencyKeyOf, readJson } from './input.ts';
import type { Outcome, Receipts } from './receipts.ts';

/** Tells a caller that the answer is one given before. */
const REPLAYED = { 'idempotency-replayed': 'true' };

/** The body of a repeated answer: what says that it is one says so. */
const repeatedBody = (body: string): string => {
  const parsed = JSON.parse(body) as unknown;
  const isTelling = typeof parsed === 'object' && parsed !== null && 'repeated' in parsed;
  return isTelling ? JSON.stringify({ ...parsed, repeated: true }) : body;
};

const outcomeOf = async (response: Response): Promise<Outcome> => ({
  status: response.status,
  body: await response.text(),
  location: response.headers.get('location'),
});

const responseOf = ({ status, body, location, isRepeated }: Outcome & { readonly isRepeated: boolean }) =>
  new Response(isRepeated ? repeatedBody(body) : body, {
    status,
    headers: {
      'content-type': 'application/json',
      ...(location !== null && { location }),
      ...(isRepeated && REPLAYED),
    },
  });

/** What the route answers, once for each key. */
export const handleOnce = async (
  receipts: Receipts,
  route: Pick<Route, 'method' | 'body' | 'handle'>,
  request: GatewayRequest,
  limitBytes: number,
): Promise<Response | Refused> => {
  const key = route.method === 'POST' ? idempotencyKeyOf(request.req.raw) : undefined;
  if (key === undefined || route.body === undefined) return route.handle(request);
  const body = await readJson(request.req.raw, limitBytes);
  if (!route.body.safeParse(body).success) return route.handle(request);
  const { method, path } = request.req;
  const by = request.get('identity').name;
  const answer = await receipts.once({ key, method, path, body, by }, async (defaults) => {
    request.set('defaults', defaults);
    const response = await route.handle(request);
    return isRefused(response) ? response : outcomeOf(response);
  });
  return isRefused(answer) ? answer : responseOf(answer);
};
