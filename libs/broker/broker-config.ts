// The configuration file of a nats-server, rendered from plain data. Pure: the same settings give the same text.
// It decides nothing about the fleet: accounts, users and permissions are given by the caller.

/** Subjects that a user may or may not use; `allow` absent means everything that is not denied. */
interface SubjectRules {
  readonly allow?: readonly string[];
  readonly deny?: readonly string[];
}

interface UserPermissions {
  readonly publish?: SubjectRules;
  readonly subscribe?: SubjectRules;
  /** May answer requests on their reply subjects even where `publish` does not list them. */
  readonly allowResponses?: boolean;
}

interface UserConfig {
  readonly user: string;
  /** Plain or bcrypt. The rendered file is written with mode 0600. */
  readonly password: string;
  readonly permissions?: UserPermissions;
}

/** Something an account offers to others; `accounts` absent means to every account. */
interface ExportConfig {
  readonly kind: 'service' | 'stream';
  readonly subject: string;
  readonly accounts?: readonly string[];
  /** Services only: how many answers a request gets. */
  readonly responseType?: 'singleton' | 'stream' | 'chunked';
}

/** Something an account uses of another one; `to` is its name on this side and defaults to `subject`. */
interface ImportConfig {
  readonly kind: 'service' | 'stream';
  readonly account: string;
  readonly subject: string;
  readonly to?: string;
}

export interface AccountConfig {
  readonly name: string;
  readonly jetstream?: boolean;
  /** The broker's own account ($SYS); at most one. */
  readonly isSystem?: boolean;
  readonly users: readonly UserConfig[];
  readonly exports?: readonly ExportConfig[];
  readonly imports?: readonly ImportConfig[];
}

/** `always`: an acknowledged append is on disk. `relaxed`: it is on disk at most 100 ms later; a power cut may lose that. */
export type SyncProfile = 'always' | 'relaxed';

export interface ClusterSettings {
  readonly name: string;
  readonly port: number;
  /** `nats-route://host:port` of every member; a server ignores itself. */
  readonly routes: readonly string[];
}

export interface BrokerSettings {
  readonly serverName: string;
  readonly host: string;
  readonly clientPort: number;
  readonly monitorPort: number;
  readonly storeDir: string;
  readonly sync: SyncProfile;
  readonly accounts: readonly AccountConfig[];
  /** @default 1 MiB, headers included. */
  readonly maxPayloadBytes?: number;
  /** Ceiling of file storage; absent: the broker's own (three quarters of the free disk). */
  readonly maxFileBytes?: number;
  readonly maxMemoryBytes?: number;
  /** Of a stream that does not say it itself; absent: the broker's own, 1000 from version 2.15 on. Older ones do not know the setting. */
  readonly maxConsumersPerStream?: number;
  readonly cluster?: ClusterSettings;
}

const DEFAULT_MAX_PAYLOAD_BYTES = 1024 * 1024;

/** Leaves out undefined members, so that the rendered file has no nulls. */
const defined = (members: Record<string, unknown>): Record<string, unknown> =>
  Object.fromEntries(Object.entries(members).filter(([, value]) => value !== undefined));

const renderRules = (rules: SubjectRules | undefined): unknown =>
  rules === undefined ? undefined : defined({ allow: rules.allow, deny: rules.deny });

const renderUser = (user: UserConfig): unknown => {
  const permissions = user.permissions;
  return defined({
    user: user.user,
    password: user.password,
    permissions:
      permissions === undefined
        ? undefined
        : defined({
            publish: renderRules(permissions.publish),
            subscribe: renderRules(permissions.subscribe),
            allow_responses: permissions.allowResponses === true ? true : undefined,
          }),
  });
};

const renderExport = (offer: ExportConfig): unknown =>
  defined({ [offer.kind]: offer.subject, accounts: offer.accounts, response_type: offer.responseType });

const renderImport = (use: ImportConfig): unknown =>
  defined({ [use.kind]: { account: use.account, subject: use.subject }, to: use.to });

const renderAccount = (account: AccountConfig): unknown =>
  defined({
    jetstream: account.jetstream === true ? 'enabled' : undefined,
    users: account.users.map(renderUser),
    exports: account.exports?.map(renderExport),
    imports: account.imports?.map(renderImport),
  });

/**
 * The accounts as the two top-level members of a server configuration: `accounts` and, where one is marked so, `system_account`.
 * Throws `RangeError` on two accounts of one name or two system accounts.
 */
export const renderAccounts = (accounts: readonly AccountConfig[]): Record<string, unknown> => {
  const names = new Set(accounts.map((account) => account.name));
  if (names.size !== accounts.length) throw new RangeError('two accounts have the same name');
  const system = accounts.filter((account) => account.isSystem === true);
  if (system.length > 1) throw new RangeError('more than one account is marked as the system account');
  return defined({
    accounts: Object.fromEntries(accounts.map((account) => [account.name, renderAccount(account)])),
    system_account: system[0]?.name,
  });
};

/** A value as configuration text. JSON is accepted by the server, except for the \u escapes of control characters. */
const asConfigText = (value: unknown): string => {
  const text = JSON.stringify(value, undefined, 2);
  const escape = /\\(?:u[0-9a-f]{4}|b|f)/i.exec(text.replaceAll('\\\\', ''));
  if (escape !== null) throw new RangeError(`a broker setting holds a control character (${escape[0]})`);
  return text;
};

/** One account as a file that the block of the account includes. Holds passwords: write it with mode 0600. */
export const renderAccountFile = (account: AccountConfig): string =>
  `${asConfigText(renderAccount(account))}\n`;

/**
 * The whole configuration file. Holds passwords: write it with mode 0600.
 * Throws `RangeError` for data that no configuration can express (doubled names, control characters).
 */
export const renderBrokerConfig = (settings: BrokerSettings): string =>
  `${asConfigText(
    defined({
      server_name: settings.serverName,
      listen: `${settings.host}:${settings.clientPort}`,
      http: `${settings.host}:${settings.monitorPort}`,
      max_payload: settings.maxPayloadBytes ?? DEFAULT_MAX_PAYLOAD_BYTES,
      jetstream: defined({
        store_dir: settings.storeDir,
        sync_interval: settings.sync === 'always' ? 'always' : '100ms',
        max_file_store: settings.maxFileBytes,
        max_memory_store: settings.maxMemoryBytes,
        limits:
          settings.maxConsumersPerStream === undefined
            ? undefined
            : { default_max_consumers: settings.maxConsumersPerStream },
      }),
      cluster:
        settings.cluster === undefined
          ? undefined
          : {
              name: settings.cluster.name,
              listen: `${settings.host}:${settings.cluster.port}`,
              routes: settings.cluster.routes,
            },
      ...renderAccounts(settings.accounts),
    }),
  )}\n`;
