// Where the stack is that a command talks to: flags, then FLEETLOG_ variables, then the file that a running stack leaves in
// its data directory. Reading only; the file is written by services/up.ts.
import { Fault } from '#libs/kernel/fault.ts';
import { readFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { z } from 'zod';

/** Name of the file in the data directory that tells where a running stack is (mode 0600: it holds credentials). */
export const CONNECTION_FILE = 'connection.json';

const connectionSchema = z.object({
  natsUrl: z.string().min(1),
  natsUser: z.string().optional(),
  natsPassword: z.string().optional(),
  apiUrl: z.url(),
  apiToken: z.string().optional(),
  tenant: z.string(),
  project: z.string(),
});
export type Connection = z.infer<typeof connectionSchema>;

export interface ConnectionFlags {
  readonly data?: string | undefined;
  readonly natsUrl?: string | undefined;
  readonly apiUrl?: string | undefined;
}

type Environment = Readonly<Record<string, string | undefined>>;

/** The data directory: `--data`, `FLEETLOG_DATA`, or `data` in the working directory. Fault: `ARGUMENT_INVALID` (never): an empty name. */
export const dataDirectory = (
  flag: string | undefined,
  environment: Environment,
  workingDirectory: string,
): string => {
  // An empty variable is one that is not set; an empty flag is most likely a variable that is not set in a script.
  if (flag === '')
    throw new Fault({
      code: 'ARGUMENT_INVALID',
      retry: 'never',
      message: '--data "": expected a directory',
    });
  const named = flag ?? environment['FLEETLOG_DATA'] ?? '';
  return resolve(workingDirectory, named === '' ? 'data' : named);
};

/**
 * The connection to use. Faults: `CONNECTION_UNKNOWN` (nothing says where the stack is), `CONNECTION_INVALID` (what says so
 * cannot be read), both never.
 */
export const findConnection = async (
  flags: ConnectionFlags,
  environment: Environment,
  workingDirectory: string,
): Promise<Connection> => {
  const file = join(dataDirectory(flags.data, environment, workingDirectory), CONNECTION_FILE);
  const fromFile = await readConnectionFile(file);
  const password =
    environment['FLEETLOG_NATS_PASSWORD'] ?? (await secretFile(environment['FLEETLOG_NATS_PASSWORD_FILE']));
  const token =
    environment['FLEETLOG_API_TOKEN'] ?? (await secretFile(environment['FLEETLOG_API_TOKEN_FILE']));
  const merged = {
    tenant: 'local',
    project: 'main',
    apiUrl: 'http://127.0.0.1:7710',
    natsUrl: undefined,
    ...fromFile,
    ...defined({
      natsUrl: flags.natsUrl ?? environment['FLEETLOG_NATS_URL'],
      natsUser: environment['FLEETLOG_NATS_USER'],
      natsPassword: password,
      apiUrl: flags.apiUrl ?? environment['FLEETLOG_API_URL'],
      apiToken: token,
      tenant: environment['FLEETLOG_TENANT'],
      project: environment['FLEETLOG_PROJECT'],
    }),
  };
  if (merged.natsUrl === undefined)
    throw new Fault({
      code: 'CONNECTION_UNKNOWN',
      retry: 'never',
      message: `no running stack found: ${file} is not there. Start one with "npm start", or say where it is with --data DIR, or with FLEETLOG_NATS_URL, FLEETLOG_NATS_USER, FLEETLOG_NATS_PASSWORD and FLEETLOG_API_URL`,
    });
  return connectionSchema.parse(merged);
};

const defined = (record: Record<string, string | undefined>): Record<string, string> =>
  Object.fromEntries(
    Object.entries(record).filter((entry): entry is [string, string] => entry[1] !== undefined),
  );

const secretFile = async (path: string | undefined): Promise<string | undefined> => {
  if (path === undefined) return undefined;
  try {
    return (await readFile(path, 'utf8')).trim();
  } catch (cause) {
    throw new Fault({
      code: 'CONNECTION_INVALID',
      retry: 'never',
      message: `the secret file ${path} cannot be read`,
      cause,
    });
  }
};

const readConnectionFile = async (file: string): Promise<Partial<Connection>> => {
  let text: string;
  try {
    text = await readFile(file, 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return {};
    throw new Fault({
      code: 'CONNECTION_INVALID',
      retry: 'never',
      message: `${file} cannot be read`,
      cause: error,
    });
  }
  try {
    return connectionSchema.parse(JSON.parse(text));
  } catch (cause) {
    throw new Fault({
      code: 'CONNECTION_INVALID',
      retry: 'never',
      message: `${file} is not a connection file; remove it and start the stack again`,
      cause,
    });
  }
};
