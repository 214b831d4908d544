// Where configuration comes from: parsed flags, an environment snapshot, one optional JSON file. Reads files; decides nothing.
import { readFileSync } from 'node:fs';

/** Everything a configuration is made of, strongest first: option, environment, file, default of the schema. */
export interface ConfigSources {
  /** Parsed flags by camelCase name (`tasksLeaseMs`); undefined counts as not given, names that no section has are ignored. */
  readonly options: Readonly<Record<string, unknown>>;
  /** A snapshot of the environment; an empty variable counts as not given. */
  readonly environment: Readonly<Record<string, string | undefined>>;
  /** Path of a JSON file, if any. */
  readonly filePath?: string;
  /** Reads a text file; throws when it cannot. */
  readonly readFile: (path: string) => string;
}

/** Sources of this process. The file is named by the flag `--config` or by `FLEETLOG_CONFIG`. */
export const configSources = (
  options: Readonly<Record<string, unknown>>,
  environment: Readonly<Record<string, string | undefined>>,
): ConfigSources => {
  const flagged = options['config'];
  const filePath = typeof flagged === 'string' ? flagged : environment['FLEETLOG_CONFIG'];
  return {
    options,
    environment,
    readFile: (path) => readFileSync(path, 'utf8'),
    ...(filePath === undefined || filePath === '' ? {} : { filePath }),
  };
};
