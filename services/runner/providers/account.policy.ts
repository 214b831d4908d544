// Whether a program failed because nobody vouches for it: its key or login is not valid (any more), or whoever pays for it does not. Pure.
// Whatever it is asked then fails, on this runner; elsewhere the same may well be done.
import type { ProviderName } from '#streams/run.ts';
import type { TurnResult } from '#streams/turn-result.ts';
import type { TurnFacts } from './turn-facts.ts';

/** As said by Claude Code 2.1 and Codex 0.169 (measured), and as the model APIs call it. */
const SIGNS = [
  /\b(?:error|status|code|HTTP)\W{0,3}401\b/i,
  /\b401 unauthori[sz]ed\b/i,
  /authentication[ _-]?(?:error|failed|required)/i,
  /failed to authenticate/i,
  /(?:invalid|incorrect|missing|no) (?:x-)?api[ _-]?key/i,
  /not logged in|please (?:run )?\/?log ?in/i,
  /(?:oauth|access|refresh) token (?:has |is )?(?:been )?(?:expired|revoked|invalid)/i,
  /credit balance is too low/i,
  /billing[ _-]?error/i,
];

/**
 * The result, told to be the runner's own trouble where the program itself said so of its account, before it had called any tool: nothing
 * of the work was done. Only of programs that ask a model: what any other program prints is about its work.
 */
export const withAccount = (
  result: TurnResult,
  { closing }: Pick<TurnFacts, 'closing'>,
  { provider, toolCalls }: { readonly provider: ProviderName; readonly toolCalls: number },
): TurnResult => {
  const { failure } = result;
  if (failure?.kind !== 'provider-failed' || provider === 'exec' || toolCalls > 0) return result;
  if (closing?.outcome !== 'failed' || !SIGNS.some((sign) => sign.test(failure.message))) return result;
  return { ...result, failure: { ...failure, unfit: true } };
};
