// What a request of this service leads to: a result, or the refusal of a rule.
import type { Rejection } from '#libs/kernel/rejection.ts';
import type { RejectionCode } from '#streams/rejections.ts';

export type Answer<Result> =
  | { readonly kind: 'ok'; readonly result: Result }
  | { readonly kind: 'refused'; readonly rejection: Rejection<RejectionCode> };

export const ok = <Result>(result: Result): Answer<Result> => ({ kind: 'ok', result });
export const refused = (rejection: Rejection<RejectionCode>): Answer<never> => ({
  kind: 'refused',
  rejection,
});
