// Epoch milliseconds as ISO 8601 in UTC, without the platform's Date (time is read in libs/system only). Pure.

const padded = (value: number, width: number): string => String(value).padStart(width, '0');

/** Days since 1970-01-01 to a calendar date (Howard Hinnant's civil_from_days). */
const dateOf = (days: number): string => {
  const shifted = days + 719_468;
  const era = Math.floor(shifted / 146_097);
  const dayOfEra = shifted - era * 146_097;
  const yearOfEra = Math.floor(
    (dayOfEra -
      Math.floor(dayOfEra / 1_460) +
      Math.floor(dayOfEra / 36_524) -
      Math.floor(dayOfEra / 146_096)) /
      365,
  );
  const dayOfYear = dayOfEra - (365 * yearOfEra + Math.floor(yearOfEra / 4) - Math.floor(yearOfEra / 100));
  const shiftedMonth = Math.floor((5 * dayOfYear + 2) / 153);
  const day = dayOfYear - Math.floor((153 * shiftedMonth + 2) / 5) + 1;
  const month = shiftedMonth < 10 ? shiftedMonth + 3 : shiftedMonth - 9;
  const year = yearOfEra + era * 400 + (month <= 2 ? 1 : 0);
  return `${padded(year, 4)}-${padded(month, 2)}-${padded(day, 2)}`;
};

/** `2026-01-31T23:59:59.123Z` */
export const isoTime = (epochMs: number): string => {
  const wholeMs = Math.floor(epochMs);
  const days = Math.floor(wholeMs / 86_400_000);
  const inDayMs = wholeMs - days * 86_400_000;
  const hours = Math.floor(inDayMs / 3_600_000);
  const minutes = Math.floor(inDayMs / 60_000) % 60;
  const seconds = Math.floor(inDayMs / 1_000) % 60;
  return `${dateOf(days)}T${padded(hours, 2)}:${padded(minutes, 2)}:${padded(seconds, 2)}.${padded(inDayMs % 1_000, 3)}Z`;
};
