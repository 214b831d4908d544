// fleetlog token: API tokens of persons, agents and services. Works on the token file of a gateway on this machine; the gateway need not run,
// and a running one takes up a change within a second. A token is shown once, when it is made.
import type { Command } from 'commander';
import { Fault } from '#libs/kernel/fault.ts';
import { newSecret } from '#libs/system/secrets.ts';
import { parseDuration } from '#libs/config/duration.ts';
import { nameSchema } from '#streams/ids.ts';
import { IDENTITY_KINDS, tokenSchema, type ApiToken } from '#streams/tokens.ts';
import { dataDirectory } from './cli/connection.ts';
import type { CliContext } from './cli/context.ts';
import { ago, table } from './cli/output.ts';
import { changeTokens, readTokens, tokenFileIn, tokenRecord } from './token-file.ts';

interface TokenFlags {
  readonly file?: string;
  readonly data?: string;
  readonly json?: boolean;
}

interface AddFlags extends TokenFlags {
  readonly kind: string;
  readonly role: readonly string[];
  readonly expires?: string;
  readonly tenant?: string;
  readonly project?: string;
}

/** Names that the record has for tokens that are nobody's own. */
const RESERVED = new Set(['api', 'viewer']);

const wrong = (message: string): Fault => new Fault({ code: 'ARGUMENT_INVALID', retry: 'never', message });

const fileOf = ({ environment, workingDirectory }: CliContext, flags: TokenFlags): string =>
  flags.file ??
  environment['FLEETLOG_GATEWAY_TOKENS_FILE'] ??
  tokenFileIn(dataDirectory(flags.data, environment, workingDirectory));

const parsed = <Value>(
  what: string,
  result: { success: boolean; data?: Value; error?: { issues: readonly { message: string }[] } },
): Value => {
  if (result.success) return result.data as Value;
  throw wrong(`${what}: ${result.error?.issues.map(({ message }) => message).join('; ') ?? 'not valid'}`);
};

const expiryOf = (text: string | undefined, now: number): number | null => {
  if (text === undefined) return null;
  const afterMs = parseDuration(text);
  if (afterMs === undefined || afterMs <= 0)
    throw wrong(`--expires ${JSON.stringify(text)}: expected a duration such as 12h or 30d`);
  return now + afterMs;
};

const add = async (context: CliContext, given: string, flags: AddFlags): Promise<void> => {
  const { clock, environment, terminal } = context;
  const name = parsed('name', nameSchema.safeParse(given));
  if (RESERVED.has(name)) throw wrong(`${name} is the name of a token that is nobody's own; choose another`);
  const kind = parsed('--kind', tokenSchema.shape.kind.safeParse(flags.kind));
  const roles = parsed('--role', tokenSchema.shape.roles.safeParse([...new Set(flags.role)]));
  const token = `flt_${newSecret()}`;
  const record = tokenRecord(token, {
    name,
    kind,
    roles,
    tenant: parsed(
      '--tenant',
      nameSchema.safeParse(flags.tenant ?? environment['FLEETLOG_TENANT'] ?? 'local'),
    ),
    project: parsed(
      '--project',
      nameSchema.safeParse(flags.project ?? environment['FLEETLOG_PROJECT'] ?? 'main'),
    ),
    createdAt: clock.now(),
    expiresAt: expiryOf(flags.expires, clock.now()),
  });
  const file = fileOf(context, flags);
  await changeTokens(file, (tokens) => [...tokens, record]);
  const { sha256: _sha256, ...shown } = record;
  if (flags.json === true) return terminal.out(JSON.stringify({ ...shown, token, file }));
  terminal.out(token);
  terminal.note(
    `${record.id} of ${name} (${kind}${roles.map((role) => `, ${role}`).join('')}) is in ${file}.`,
  );
  terminal.note(
    'The token is shown this once; whoever holds it asks with FLEETLOG_API_TOKEN or as a bearer token.',
  );
};

const list = async (context: CliContext, flags: TokenFlags): Promise<void> => {
  const { clock, terminal } = context;
  const tokens = await readTokens(fileOf(context, flags));
  if (flags.json === true)
    return terminal.out(JSON.stringify({ tokens: tokens.map(({ sha256: _sha256, ...shown }) => shown) }));
  const now = clock.now();
  const left = ({ expiresAt }: ApiToken): string => {
    if (expiresAt === null) return 'never';
    return expiresAt <= now ? 'is over' : `in ${ago(now, expiresAt)}`;
  };
  if (tokens.length === 0) return terminal.note('there is no token; add one with: fleetlog token add NAME');
  const rows = tokens.map((one) => [
    one.id,
    one.name,
    one.kind,
    one.roles.join(','),
    `${one.tenant}/${one.project}`,
    `${ago(one.createdAt, now)} ago`,
    left(one),
  ]);
  terminal.out(table(['TOKEN', 'NAME', 'KIND', 'ROLES', 'OPENS', 'MADE', 'EXPIRES'], rows));
};

const revoke = async (context: CliContext, which: string, flags: TokenFlags): Promise<void> => {
  const isMeant = ({ id, name }: ApiToken): boolean => id === which || name === which;
  let revoked: readonly ApiToken[] = [];
  await changeTokens(fileOf(context, flags), (tokens) => {
    revoked = tokens.filter(isMeant);
    if (revoked.length === 0)
      throw new Fault({
        code: 'TOKEN_UNKNOWN',
        retry: 'never',
        message: `no token has the id or name ${JSON.stringify(which)}; fleetlog token list shows them`,
      });
    return tokens.filter((token) => !isMeant(token));
  });
  const ids = revoked.map(({ id }) => id);
  context.terminal.out(flags.json === true ? JSON.stringify({ revoked: ids }) : `revoked ${ids.join(', ')}`);
};

const withFile = (command: Command): Command =>
  command
    .option(
      '--file <file>',
      'the token file (default: $FLEETLOG_GATEWAY_TOKENS_FILE or that of the data directory)',
    )
    .option('--data <dir>', 'data directory of a stack started here (default: $FLEETLOG_DATA or ./data)')
    .option('--json', 'print JSON');

/** Registers the commands. */
export const registerTokenCommand = (program: Command, context: CliContext): void => {
  const token = program
    .command('token')
    .description(
      'API tokens of persons, agents and services: who asks is on record under the name of the token',
    );
  withFile(token.command('add'))
    .description(
      'Make a token and print it, once. A holder may have several: make the new one, then revoke the old',
    )
    .argument('<name>', 'whose it is; on record as user:NAME')
    .option('--kind <kind>', IDENTITY_KINDS.join(', '), 'person')
    .option(
      '--role <role>',
      'a role; may be repeated. reads-only changes nothing, on-behalf may speak for others, any other is for approvals',
      (role: string, roles: readonly string[]) => [...roles, role],
      [] as readonly string[],
    )
    .option('--expires <duration>', 'how long it is valid, such as 30d (default: until it is revoked)')
    .option('--tenant <name>', 'what it opens (default: $FLEETLOG_TENANT or local)')
    .option('--project <name>', 'what it opens (default: $FLEETLOG_PROJECT or main)')
    .action((name: string, flags: AddFlags) => add(context, name, flags));
  withFile(token.command('list'))
    .description('Show whose tokens there are and what they may; never a token')
    .action((flags: TokenFlags) => list(context, flags));
  withFile(token.command('revoke'))
    .description('Take a token back, by its id, or all of a name; counts within a second')
    .argument('<token>', 'id or name')
    .action((which: string, flags: TokenFlags) => revoke(context, which, flags));
};
