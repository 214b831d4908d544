// Fits declared sizes to the storage there is: a broker reserves what streams may grow to, and refuses a sum above its limit.
// Pure and stable: the same declaration and budget give the same sizes, so a second plan finds nothing to change.
import type { DeclaredStream } from './declared-streams.ts';

/** Share of the budget that is left to what has no limit: the log that is kept for ever, and the buckets. */
const UNLIMITED_SHARE = 0.25;
const MIB = 1024 ** 2;

export interface Fitted {
  readonly streams: readonly DeclaredStream[];
  /** One line when sizes were scaled down. */
  readonly warning: string | null;
}

const limited = ({ settings }: DeclaredStream): boolean => settings.maxBytes > 0;

/** Scales every `maxBytes` by one factor when their sum is above `budgetBytes` (per server; null: no budget). Never below 1 MiB, and never up. */
export const fitToBudget = (streams: readonly DeclaredStream[], budgetBytes: number | null): Fitted => {
  const wanted = streams.filter(limited).reduce((sum, { settings }) => sum + settings.maxBytes, 0);
  if (budgetBytes === null) return { streams, warning: null };
  const available = Math.floor(budgetBytes * (1 - UNLIMITED_SHARE));
  if (wanted <= available) return { streams, warning: null };
  const factor = available / wanted;
  const scale = (bytes: number): number =>
    Math.min(bytes, Math.max(MIB, Math.floor((bytes * factor) / MIB) * MIB));
  return {
    streams: streams.map((stream) =>
      limited(stream)
        ? { ...stream, settings: { ...stream.settings, maxBytes: scale(stream.settings.maxBytes) } }
        : stream,
    ),
    warning:
      `storage: ${budgetBytes} bytes are available and ${wanted} declared; sizes are scaled by ${factor.toFixed(3)}, ` +
      `with a quarter left to what has no limit: old entries go sooner`,
  };
};
