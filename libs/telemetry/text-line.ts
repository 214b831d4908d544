// One readable line for one JSON log line: `12:00:00.123 WARN  tasks  consumer is behind  backlog=12`. Pure; a line that is not JSON passes as it is.

const isRecord = (value: unknown): value is Readonly<Record<string, unknown>> =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

const parse = (line: string): Readonly<Record<string, unknown>> | undefined => {
  try {
    const value: unknown = JSON.parse(line);
    return isRecord(value) ? value : undefined;
  } catch {
    return undefined;
  }
};

/** Bare when it is one word, JSON otherwise. */
const shown = (value: unknown): string =>
  typeof value === 'string' && /^[^\s"=]+$/.test(value) ? value : (JSON.stringify(value) ?? '');

const errorLines = (error: unknown): string => {
  if (!isRecord(error)) return '';
  const code = typeof error['code'] === 'string' ? ` [${error['code']}]` : '';
  const stack =
    typeof error['stack'] === 'string'
      ? error['stack']
      : `${shown(error['name'])}: ${shown(error['message'])}`;
  const [first = '', ...rest] = stack.split('\n');
  return (
    [`\n    ${first}${code}`, ...rest.map((line) => `\n    ${line}`)].join('') + causeLines(error['cause'])
  );
};

const causeLines = (cause: unknown): string =>
  isRecord(cause) ? `\n    caused by${errorLines(cause).replace('\n   ', '')}` : '';

/** The line for a person, ending in a line feed. */
export const textLine = (line: string): string => {
  const entry = parse(line);
  if (entry === undefined) return line.endsWith('\n') ? line : `${line}\n`;
  const { time, level, service, message, ...others } = entry;
  const { error, ...withoutError } = others;
  const fields = isRecord(error) ? withoutError : others;
  const clock = typeof time === 'string' ? time.slice(11, 23) : '';
  const head = `${clock} ${String(level).toUpperCase().padEnd(5)}`;
  const who = typeof service === 'string' ? ` ${service}:` : '';
  const rest = Object.entries(fields)
    .map(([name, value]) => ` ${name}=${shown(value)}`)
    .join('');
  return `${head}${who} ${typeof message === 'string' ? message : ''}${rest === '' ? '' : ` ${rest}`}${errorLines(error)}\n`;
};
