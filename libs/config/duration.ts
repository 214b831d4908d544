// Durations and sizes as people write them ("30s", "1h30m", "64KiB"), to numbers and back. Pure.

const unitsMs: Readonly<Record<string, number>> = {
  ms: 1,
  s: 1_000,
  m: 60_000,
  h: 3_600_000,
  d: 86_400_000,
};

const unitsBytes: Readonly<Record<string, number>> = {
  b: 1,
  kb: 1_000,
  mb: 1_000_000,
  gb: 1_000_000_000,
  kib: 1_024,
  mib: 1_048_576,
  gib: 1_073_741_824,
};

/** `"30s"`, `"1h30m"`, `"1.5s"`, `"250ms"` or `"250"` (milliseconds) as whole milliseconds; undefined when it is none of these. */
export const parseDuration = (text: string): number | undefined => {
  const trimmed = text.trim().toLowerCase();
  if (/^\d{1,15}$/.test(trimmed)) return Number(trimmed);
  if (!/^(?:\d{1,12}(?:\.\d{1,6})?(?:ms|s|m|h|d))+$/.test(trimmed)) return undefined;
  let sumMs = 0;
  for (const [, amount, unit] of trimmed.matchAll(/(\d+(?:\.\d+)?)(ms|s|m|h|d)/g)) {
    sumMs += Number(amount) * (unitsMs[unit ?? ''] ?? Number.NaN);
  }
  return Number.isFinite(sumMs) ? Math.round(sumMs) : undefined;
};

/** `"64KiB"`, `"10MB"` or `"4096"` as whole bytes; undefined when it is none of these. */
export const parseBytes = (text: string): number | undefined => {
  const match = /^(\d{1,15}(?:\.\d{1,6})?)\s?(b|kb|mb|gb|kib|mib|gib)?$/.exec(text.trim().toLowerCase());
  if (match === null) return undefined;
  const bytes = Number(match[1]) * (unitsBytes[match[2] ?? 'b'] ?? Number.NaN);
  return Number.isSafeInteger(Math.round(bytes)) ? Math.round(bytes) : undefined;
};

/** The shortest exact form: 90000 → `1m30s`, 1500 → `1500ms`, 0 → `0s`. */
export const formatDuration = (durationMs: number): string => {
  if (durationMs === 0) return '0s';
  if (!Number.isInteger(durationMs) || durationMs % 1_000 !== 0) return `${durationMs}ms`;
  let restMs = durationMs;
  let text = '';
  for (const unit of ['d', 'h', 'm', 's'] as const) {
    const sizeMs = unitsMs[unit] ?? 1;
    const amount = Math.floor(restMs / sizeMs);
    if (amount > 0) text += `${amount}${unit}`;
    restMs -= amount * sizeMs;
  }
  return text;
};

/** Exact in the largest binary unit that divides it: 65536 → `64KiB`, 1000 → `1000B`. */
export const formatBytes = (bytes: number): string => {
  for (const [unit, size] of [
    ['GiB', 1_073_741_824],
    ['MiB', 1_048_576],
    ['KiB', 1_024],
  ] as const) {
    if (bytes > 0 && bytes % size === 0) return `${bytes / size}${unit}`;
  }
  return `${bytes}B`;
};
