// What a request to a service comes to. On the wire it is JSON with an `outcome`; these are its forms in code.
import type { Rejection } from '#libs/kernel/rejection.ts';

/** An answer as it is written: the result, a refusal by a rule, or a fault that says whether to try again. */
export type WireAnswer<Result> =
  | { readonly outcome: 'ok'; readonly result: Result }
  | {
      readonly outcome: 'refused';
      readonly code: string;
      readonly message: string;
      readonly detail: Readonly<Record<string, unknown>>;
    }
  | {
      readonly outcome: 'fault';
      readonly code: string;
      readonly message: string;
      readonly retry: 'now' | 'later' | 'never';
    };

/** What the handler of a request gives: a result, or the refusal of a rule. */
export type Answer<Result, Code extends string = string> =
  | { readonly kind: 'ok'; readonly result: Result }
  | { readonly kind: 'refused'; readonly rejection: Rejection<Code> };

export const ok = <Result>(result: Result): Answer<Result, never> => ({ kind: 'ok', result });
export const refused = <Code extends string>(refusal: Rejection<Code>): Answer<never, Code> => ({
  kind: 'refused',
  rejection: refusal,
});
